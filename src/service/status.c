/* SPDX-License-Identifier: MIT */
#include "service/status.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/strbuf.h"

#define STATUS_TROUBLES_MAX 4
#define STATUS_REASON_MAX 200

static const char *plural(uint64_t n) {
	return n == 1 ? "" : "s";
}

/* What comes from outside was escaped where it came in; this only makes sure that a line of ours stays one, because what
 * follows a newline is another order to systemd. */
static void append_one_line(struct strbuf *b, const char *text, size_t max) {
	size_t i;

	for (i = 0; text[i] && i < max; i++)
		strbuf_append_char(b, (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i]);
	if (text[i])
		strbuf_append_str(b, "...");
}

static void append_trouble(struct strbuf *b, const struct status_trouble *t) {
	strbuf_append_str(b, "; ");
	append_one_line(b, t->name, SIZE_MAX);
	strbuf_printf(b, " %s", t->state);
	if (t->reason) {
		strbuf_append_str(b, ": ");
		append_one_line(b, t->reason, STATUS_REASON_MAX);
	}
}

static void append_work(struct strbuf *b, const struct status_input *in) {
	if (in->stopping) {
		strbuf_printf(b, "stopping, %u handler%s still running", in->running, plural(in->running));
		if (in->running > 0 && in->drain_left_usec != USEC_INFINITY)
			strbuf_printf(b, ", stopped in %" PRIu64 " s at the latest",
				      (in->drain_left_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
	} else if (in->queues == 0) {
		strbuf_printf(b, "no queue is configured, %u handler%s running", in->running, plural(in->running));
	} else if (in->consuming == in->queues) {
		strbuf_printf(b, "%zu queue%s consuming, %u handler%s running", in->queues, plural(in->queues),
			      in->running, plural(in->running));
	} else {
		strbuf_printf(b, "%zu of %zu queue%s consuming, %u handler%s running", in->consuming, in->queues,
			      plural(in->queues), in->running, plural(in->running));
	}
	if (in->leaving > 0)
		strbuf_printf(b, ", %zu queue%s of an earlier configuration finishing", in->leaving, plural(in->leaving));
	if (in->held > 0)
		strbuf_printf(b, ", %u message%s held", in->held, plural(in->held));
	if (in->publishing > 0)
		strbuf_printf(b, ", %u publication%s to be confirmed", in->publishing, plural(in->publishing));
	strbuf_printf(b, "; %" PRIu64 " message%s acknowledged, %" PRIu64 " requeued", in->acked, plural(in->acked),
		      in->requeued);
	if (in->retried > 0)
		strbuf_printf(b, ", %" PRIu64 " to be retried", in->retried);
	if (in->rejected > 0)
		strbuf_printf(b, ", %" PRIu64 " rejected", in->rejected);
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
