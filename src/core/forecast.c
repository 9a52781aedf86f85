/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/forecast.h"

#include <math.h>

#define LEAST_SPAN_S	  27.0 /* a tenth less than 30 s: points are taken a tenth early */
#define FARTHEST_S	  (30 * 86400.0)
#define LEAST_UNCERTAINTY 0.02
/* Neighbouring points are not independent, so the error of least squares is too small. */
#define AUTOCORRELATION	    2.0
#define STANDARD_DEVIATIONS 2.0

struct forecast forecast_make(const struct point *minute, size_t minute_count,
			      const struct point *recent, size_t recent_count,
			      double floor_bytes_per_s)
{
	struct forecast none = {.rate_bytes_per_s = NAN, .low_s = NAN, .high_s = NAN};
	struct fit fit = trend_fit(minute, minute_count);
	struct fit late = trend_fit(recent, recent_count);
	struct forecast forecast;
	double margin, headroom, fastest, slowest;

	if (!(fit.span_s >= LEAST_SPAN_S) || minute_count < 4)
		return none;
	none.rate_bytes_per_s = -fit.slope;
	headroom = minute[minute_count - 1].value;
	margin = fmax(fit.error * AUTOCORRELATION * STANDARD_DEVIATIONS,
		      fabs(fit.slope) * LEAST_UNCERTAINTY);
	fastest = -fit.slope + margin;
	slowest = -fit.slope - margin;
	if (recent_count > 5 && late.span_s > 5 && -late.slope > floor_bytes_per_s) {
		fastest = fmax(fastest, -late.slope);
		slowest = fmin(slowest, -late.slope);
	}
	if (!(slowest > floor_bytes_per_s) || headroom / slowest > FARTHEST_S)
		return none;
	forecast.rate_bytes_per_s = -fit.slope;
	forecast.low_s = headroom / fastest;
	forecast.high_s = headroom / slowest;
	return forecast;
}
