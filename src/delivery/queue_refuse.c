/* SPDX-License-Identifier: MIT */
/* Messages that no handler can get: they are too large, their arguments cannot be passed, or their bodies could not be stored. */
#include "delivery/queue_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "delivery/report.h"

void queue_refuse(struct queue *q, struct delivery *d, const char *reason) {
	struct record_input in = queue_work_describe(q, d, "requeue");

	d->refused = true;
	/* What could not be stored is not the message's fault: another time it may be. */
	if (d->message->body_state != BODY_UNSTORABLE && q->config->outcomes.on_too_large == CONFIG_TOO_LARGE_REJECT) {
		delivery_note(d, "%s", reason);
		d->outcome = OUTCOME_REJECT;
		queue_work_decide(q, d);
		return;
	}
	in.reason = reason;
	in.delay_usec = queue_work_hold_usec(q, d);
	queue_report_failure(q, &in);
	queue_work_hold(q, d, in.delay_usec);
}

void queue_refuse_body(struct queue *q, struct delivery *d) {
	const struct message *m = d->message;
	char reason[160];

	if (m->body_state == BODY_TOO_LARGE)
		snprintf(reason, sizeof(reason), "its body of %" PRIu64 " bytes is larger than limits.max_message_size",
			 m->body_size);
	else
		snprintf(reason, sizeof(reason), "its body of %" PRIu64 " bytes could not be stored: %s", m->body_size,
			 strerror(m->body_error));
	queue_refuse(q, d, reason);
}
