/* SPDX-License-Identifier: MIT */
#include "delivery/queue_private.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/report.h"

/* --- the channel is gone ---------------------------------------------------------------------------------------- */

/* The deliveries of this epoch that nothing runs for. Returns how many there were. */
static unsigned forget_epoch(struct queue *q, enum delivery_state state, uint64_t epoch) {
	unsigned n = 0;

	LIST_FOREACH(d, &q->deliveries[state], struct delivery, node) {
		if (d->epoch != epoch)
			continue;
		queue_work_move(q, d, DELIVERY_DONE);
		delivery_free(d);
		n++;
	}
	q->counters.lost += n;
	return n;
}

void queue_lost_mark(struct queue *q, struct delivery *d) {
	if (d->lost)
		return;
	d->lost = true;
	q->n_lost++;
	q->counters.lost++;
}

/* The deliveries of this epoch that go on: their handler runs, or their errands are under way. */
static unsigned mark_epoch(struct queue *q, enum delivery_state state, uint64_t epoch) {
	unsigned n = 0;

	LIST_FOREACH(d, &q->deliveries[state], struct delivery, node) {
		if (d->epoch != epoch || d->lost)
			continue;
		queue_lost_mark(q, d);
		n++;
	}
	return n;
}

void queue_lost_on_lost(uint64_t epoch, void *userdata) {
	struct queue *q = userdata;
	unsigned waiting = forget_epoch(q, DELIVERY_WAITING, epoch) + forget_epoch(q, DELIVERY_ATTACHED, epoch);
	unsigned held = forget_epoch(q, DELIVERY_HELD, epoch);
	unsigned running = mark_epoch(q, DELIVERY_RUNNING, epoch);
	unsigned publishing = mark_epoch(q, DELIVERY_PUBLISHING, epoch);

	if (waiting + held + running + publishing > 0)
		log_event(LOG_EVENT_CHANNEL_LOST, LOG_WARNING, LOG_FIELDS(log_string("AMQP_QUEUE", q->config->name)),
			  "queue=%s channel lost with %u waiting, %u held and %u running message%s, %u being published: "
			  "if the queue is still there, the broker delivers them again; running handlers go on",
			  q->config->name, waiting, held, running, PLURAL(running), publishing);
	queue_work_arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
}

/* --- results that outlive their channel ---------------------------------------------------------------------------- */

/* Once for each delivery: the body may be large. */
static bool identify(struct queue *q, struct delivery *d, struct fingerprint *ret) {
	if (!d->has_fingerprint)
		d->has_fingerprint = d->message && results_identify(&q->results, d->message, &d->fingerprint);
	if (d->has_fingerprint)
		*ret = d->fingerprint;
	return d->has_fingerprint;
}

/* Whether it is worth comparing fingerprints. */
static bool resembles(const struct message *a, const struct message *b) {
	const struct text *id = &a->properties.message_id, *other = &b->properties.message_id;

	return a->body_size == b->body_size && id->len == other->len && id->len > 0 && memcmp(id->data, other->data, id->len) == 0;
}

/* Whether the message seems to be in hand again already, faster than we learn that it was not settled: a result would then be left over for a
 * twin of it. */
static bool is_back(struct queue *q, const struct message *m) {
	for (size_t i = 0; i < ARRAY_SIZE(q->deliveries); i++)
		LIST_FOREACH(d, &q->deliveries[i], struct delivery, node)
			if (d->epoch > m->epoch && d->message && resembles(d->message, m))
				return true;
	return false;
}

void queue_lost_on_unsettled(struct message *m, void *userdata) {
	struct queue *q = userdata;
	struct fingerprint f;
	bool kept = m->verdict == VERDICT_ACK && !is_back(q, m) && results_identify(&q->results, m, &f);

	if (kept)
		results_add(&q->results, &f, clock_now_usec());
	q->counters.lost++;
	report_event(LOG_EVENT_MESSAGE_UNSETTLED, LOG_WARNING, q->config->name, m,
		     "its %s did not reach the broker: the channel was gone; the message is delivered again%s",
		     verdict_to_string(m->verdict), kept ? ", and will be acknowledged then without another run" : "");
	message_free(m);
	queue_changed(q);
}

/* What becomes of a delivery whose elder was handled already. */
static void settle_handled(struct queue *q, struct delivery *d, const struct run_result *result, const char *reason) {
	struct record_input in = queue_work_describe(q, d, "ack");

	in.result = result;
	in.reason = reason;
	report_message(&in);
	q->counters.acked++;
	q->counters.reused++;
	queue_work_settle(q, d, VERDICT_ACK);
}

/* What was published for the elder has failed. */
static void requeue_heir(struct queue *q, struct delivery *heir) {
	struct record_input in = queue_work_describe(q, heir, "requeue");

	in.event = LOG_EVENT_PUBLICATION_FAILED;
	in.result = delivery_result(heir);
	in.delay_usec = queue_work_hold_usec(q, heir);
	in.reason = q->copy_trouble;
	in.tail = &heir->tail;
	queue_report_failure(q, &in);
	queue_work_hold(q, heir, in.delay_usec);
}

static void pass_on(struct queue *q, struct delivery *d, enum lost_end end) {
	bool published = d->state == DELIVERY_PUBLISHING;
	struct delivery *heir = delivery_inherit(d);

	queue_work_move(q, d, DELIVERY_DONE);
	delivery_free(d);
	switch (end) {
	case LOST_HANDLED:
		settle_handled(q, heir, delivery_result(heir),
			       published ? "what was published was confirmed for an earlier delivery, whose connection or channel was lost"
					 : "handled for an earlier delivery, whose connection or channel was lost");
		break;
	case LOST_FAILED:
		requeue_heir(q, heir);
		break;
	case LOST_OPEN:
		queue_work_decide(q, heir);
		break;
	case LOST_UNTRIED:
		queue_work_put_back(q, heir);
		break;
	}
}

/* Where its copy goes. */
static const char *target_of(const struct delivery *d) {
	return d->n_errands > 0 && d->errands[0].target ? d->errands[0].target : "?";
}

void queue_lost_end(struct queue *q, struct delivery *d, enum lost_end end) {
	struct record_input in = queue_work_describe(q, d, "none");
	struct fingerprint f;

	q->n_lost--;
	if (d->heir) {
		pass_on(q, d, end);
		return;
	}
	in.event = LOG_EVENT_MESSAGE_UNSETTLED;
	in.result = end == LOST_UNTRIED ? NULL : delivery_result(d);
	in.reason = "the connection or channel was lost meanwhile; the broker delivers the message again if the queue is still there";
	if (end == LOST_HANDLED && identify(q, d, &f)) {
		results_add(&q->results, &f, clock_now_usec());
		in.reason = "the connection or channel was lost meanwhile; if the broker delivers the message again it is acknowledged "
			    "without another run";
	}
	if (d->message && (end == LOST_FAILED || end == LOST_OPEN))
		queue_report_failure(q, &in);
	else if (d->message)
		report_message(&in);
	else
		log_event(LOG_EVENT_MESSAGE_UNSETTLED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_QUEUE", q->config->name)),
			  "queue=%s the thread of the publishing connection is stuck, and keeps a message whose copy goes to %s; "
			  "the broker delivers the message again",
			  q->config->name, target_of(d));
	queue_work_move(q, d, DELIVERY_DONE);
	delivery_free(d);
}

void queue_lost_decide(struct queue *q, struct delivery *d) {
	struct fingerprint f;

	if (d->result.end == RUN_UNTRIED) {
		queue_lost_end(q, d, LOST_UNTRIED);
		return;
	}
	if (d->outcome == OUTCOME_ACK && !queue_reply_wanted(q, d)) {
		queue_lost_end(q, d, LOST_HANDLED);
		return;
	}
	/* A message that cannot be recognized is run again anyway: what is published now would come twice. An heir publishes by
	 * itself. */
	if (d->outcome == OUTCOME_ACK && !d->heir && identify(q, d, &f) && queue_reply_publish(q, d))
		return;
	queue_lost_end(q, d, LOST_OPEN);
}

/* The lost delivery among those in this state that is of the same message. */
static struct delivery *find_elder(struct queue *q, enum delivery_state state, const struct message *m,
				   const struct fingerprint *wanted) {
	LIST_FOREACH(d, &q->deliveries[state], struct delivery, node) {
		struct fingerprint f;

		/* The cheap comparisons first. */
		if (!d->lost || d->heir || (d->message && !resembles(d->message, m)))
			continue;
		if (identify(q, d, &f) && memcmp(&f, wanted, sizeof(f)) == 0)
			return d;
	}
	return NULL;
}

bool queue_lost_claim(struct queue *q, struct delivery *d) {
	struct delivery *elder;
	struct fingerprint f;

	if (!d->message->redelivered || (q->results.n_kept == 0 && q->n_lost == 0))
		return false;
	if (!identify(q, d, &f))
		return false;
	elder = find_elder(q, DELIVERY_RUNNING, d->message, &f);
	if (!elder)
		elder = find_elder(q, DELIVERY_PUBLISHING, d->message, &f);
	if (elder) {
		report_event(LOG_EVENT_MESSAGE_RECOGNIZED, LOG_INFO, q->config->name, d->message,
			     "is the message of a delivery that was lost, and waits for what becomes of that");
		delivery_attach(d, elder);
		queue_work_move(q, d, DELIVERY_ATTACHED);
		return true;
	}
	if (!results_take(&q->results, &f, clock_now_usec()))
		return false;
	settle_handled(q, d, NULL, "handled before, but that could not be acknowledged then");
	return true;
}
