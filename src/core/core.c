/* SPDX-License-Identifier: GPL-2.0-only */
#include "core/source.h"
#include "core/resolver.h"
#include "core/model.h"
#include "core/view.h"
#include "core/format.h"
#include "core/losses.h"
#include "core/sitekey.h"
