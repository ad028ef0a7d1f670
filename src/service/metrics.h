/* SPDX-License-Identifier: MIT */
/* The daemon at one moment, as metrics for Prometheus: names, types and labels are those that amqp-execd(8) lists.
 * Labels come from the configuration alone, so that no message can make more of them. Pure. */
#pragma once

#include "base/strbuf.h"
#include "service/exposition.h"
#include "service/process_figures.h"
#include "service/snapshot.h"

/* Appends them all. A lack of memory makes the buffer fail. */
void metrics_format(const struct snapshot *s, const struct process_figures *process, struct strbuf *b);
