/* SPDX-License-Identifier: MIT */
/* The text in which Prometheus reads metrics (exposition format 0.0.4). Pure: a lack of memory makes the buffer fail.
 */
#pragma once

#include "base/histogram.h"
#include "base/strbuf.h"
#include <stdint.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The head of a family: HELP and TYPE ("counter", "gauge", "histogram"). All samples of it follow. */
void exposition_family(struct strbuf *b, const char *name, const char *type, const char *help);

/* name="VALUE", after a comma if there is one already. Whatever the bytes of the value, this is one label; what is not
 * UTF-8 is escaped as in the log first, as a scrape that has it would be refused as a whole. */
void exposition_label(struct strbuf *labels, const char *name, const char *value);

/* A sample. `labels` as exposition_label has made them, "" for none. `label` and `value`, which need no escapes: one
 * more, or NULL. */
void exposition_count(struct strbuf *b, const char *name, const char *labels, const char *label, const char *value,
		      uint64_t n);
void exposition_seconds(struct strbuf *b, const char *name, const char *labels, double seconds);
/* Its buckets, sum and count. */
void exposition_histogram(struct strbuf *b, const char *name, const char *labels, const struct histogram_bounds *bounds,
			  const struct histogram *h);
