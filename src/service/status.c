/* SPDX-License-Identifier: MIT */
#include "service/status.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"

#define STATUS_TROUBLES_MAX 4
#define STATUS_REASON_MAX 200

static const char *plural(uint64_t n) {
	return n == 1 ? "" : "s";
}

static void append_trouble(struct strbuf *b, const struct status_trouble *t) {
	strbuf_append_str(b, "; ");
	strbuf_append_escaped(b, t->name, strlen(t->name));
	strbuf_printf(b, " %s", t->state);
	if (t->reason) {
		size_t len = strlen(t->reason);

		strbuf_append_str(b, ": ");
		strbuf_append_escaped(b, t->reason, len > STATUS_REASON_MAX ? STATUS_REASON_MAX : len);
		if (len > STATUS_REASON_MAX)
			strbuf_append_str(b, "...");
	}
}

static void append_work(struct strbuf *b, const struct status_input *in) {
	if (in->stopping) {
		strbuf_printf(b, "stopping, %u handler%s still running", in->running, plural(in->running));
		if (in->running > 0 && in->drain_left_usec != USEC_INFINITY)
			strbuf_printf(b, ", stopped in %" PRIu64 " s at the latest",
				      (in->drain_left_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
	} else if (in->consuming == in->queues) {
		strbuf_printf(b, "%zu queue%s consuming, %u handler%s running", in->queues, plural(in->queues),
			      in->running, plural(in->running));
	} else {
		strbuf_printf(b, "%zu of %zu queue%s consuming, %u handler%s running", in->consuming, in->queues,
			      plural(in->queues), in->running, plural(in->running));
	}
	if (in->held > 0)
		strbuf_printf(b, ", %u message%s held", in->held, plural(in->held));
	strbuf_printf(b, "; %" PRIu64 " message%s acknowledged, %" PRIu64 " requeued", in->acked, plural(in->acked),
		      in->requeued);
}

int status_format(const struct status_input *in, char **ret) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	size_t named = in->n_troubles > STATUS_TROUBLES_MAX ? STATUS_TROUBLES_MAX : in->n_troubles;

	append_work(&b, in);
	for (size_t i = 0; i < named; i++)
		append_trouble(&b, &in->troubles[i]);
	if (in->n_troubles > named)
		strbuf_printf(&b, "; and %zu more", in->n_troubles - named);
	return strbuf_take(&b, ret);
}
