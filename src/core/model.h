/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model turns snapshots into a picture: deltas, rates, histories, verdicts, forecast.
 * It holds everything that has a memory of earlier ticks; time comes in with the snapshot.
 */
#ifndef MEMTOP_CORE_MODEL_H
#define MEMTOP_CORE_MODEL_H

#include "core/picture.h"
#include "core/source.h"

struct model;

struct model *model_new(void);
void model_free(struct model *model);

/* Takes in one tick; `source` is asked for cohorts of the sites that matter. */
void model_update(struct model *model, struct source *source, const struct snapshot *snapshot);

/* The picture of the last tick, owned by the model until the next update. */
const struct picture *model_picture(const struct model *model);

/* From now on deltas count from the last tick; earlier marks stay in the list. */
void model_mark(struct model *model, const char *name);

/* The share of frames that have a name, as the resolver saw it; the next picture shows it. */
void model_set_names_percent(struct model *model, double percent);

#endif
