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

/* The deliveries of this epoch that go on: their handler runs, or their copy is under way. */
static unsigned mark_epoch(struct queue *q, enum delivery_state state, uint64_t epoch) {
	unsigned n = 0;

	LIST_FOREACH(d, &q->deliveries[state], struct delivery, node) {
		if (d->epoch != epoch || d->lost)
			continue;
		d->lost = true;
		n++;
	}
	q->n_lost += n;
	q->counters.lost += n;
	return n;
}

void queue_lost_on_lost(uint64_t epoch, void *userdata) {
	struct queue *q = userdata;
	unsigned waiting = forget_epoch(q, DELIVERY_WAITING, epoch) + forget_epoch(q, DELIVERY_ATTACHED, epoch);
	unsigned held = forget_epoch(q, DELIVERY_HELD, epoch);
	unsigned running = mark_epoch(q, DELIVERY_RUNNING, epoch);
	unsigned publishing = mark_epoch(q, DELIVERY_PUBLISHING, epoch);

	if (waiting + held + running + publishing > 0)
		log_warning("queue=%s channel lost with %u waiting, %u held and %u running message(s), %u with a copy under way: "
			    "if the queue is still there, the broker delivers them again; running handlers go on",
			    q->config->name, waiting, held, running, publishing);
	queue_work_arm_held(q);
	queue_check_stopped(q);
	queue_changed(q);
}

void queue_lost_on_unsettled(struct message *m, void *userdata) {
	struct queue *q = userdata;
	struct fingerprint f;
	bool kept = m->verdict == VERDICT_ACK && results_identify(&q->results, m, &f);

	if (kept)
		results_add(&q->results, &f, clock_now_usec());
	q->counters.lost++;
	log_warning("queue=%s tag=%" PRIu64 " its %s did not reach the broker: the channel was gone; the message is delivered again%s",
		    q->config->name, m->delivery_tag, verdict_to_string(m->verdict),
		    kept ? ", and will be acknowledged then without another run" : "");
	message_free(m);
	queue_changed(q);
}

/* --- results that outlive their channel ---------------------------------------------------------------------------- */

static bool identify(struct queue *q, const struct delivery *d, struct fingerprint *ret) {
	if (d->has_fingerprint) {
		*ret = d->fingerprint;
		return true;
	}
	return d->message && results_identify(&q->results, d->message, ret);
}

/* What becomes of a delivery whose elder was handled already, or whose elder's copy was confirmed. */
static void settle_handled(struct queue *q, struct delivery *d, const struct run_result *result, const char *reason) {
	struct record_input in = queue_work_describe(q, d, "ack");

	in.result = result;
	in.reason = reason;
	report_message(&in);
	q->counters.acked++;
	q->counters.reused++;
	queue_work_settle(q, d, VERDICT_ACK);
}

/* The copy of the elder has failed. */
static void requeue_heir(struct queue *q, struct delivery *heir) {
	struct record_input in = queue_work_describe(q, heir, "requeue");

	in.result = &heir->result;
	in.delay_usec = queue_work_hold_usec(q, heir);
	in.reason = q->copy_trouble;
	in.tail = &heir->tail;
	report_message(&in);
	queue_work_hold(q, heir, in.delay_usec);
}

static void pass_on(struct queue *q, struct delivery *d, bool handled) {
	bool published = d->state == DELIVERY_PUBLISHING;
	struct delivery *heir = delivery_inherit(d);

	queue_work_move(q, d, DELIVERY_DONE);
	delivery_free(d);
	if (handled)
		settle_handled(q, heir, &heir->result,
			       published ? "its copy was confirmed for an earlier delivery, whose connection or channel was lost"
					 : "handled for an earlier delivery, whose connection or channel was lost");
	else if (published)
		requeue_heir(q, heir);
	else
		queue_work_decide(q, heir);
}

void queue_lost_end(struct queue *q, struct delivery *d, bool handled) {
	struct record_input in = queue_work_describe(q, d, "none");
	struct fingerprint f;

	q->n_lost--;
	if (d->heir) {
		pass_on(q, d, handled);
		return;
	}
	in.event = "unsettled";
	in.result = &d->result;
	in.reason = "the connection or channel was lost meanwhile; the broker delivers the message again if the queue is still there";
	if (handled && identify(q, d, &f)) {
		results_add(&q->results, &f, clock_now_usec());
		in.reason = "the connection or channel was lost meanwhile; if the broker delivers the message again it is acknowledged "
			    "without another run";
	}
	report_message(&in);
	queue_work_move(q, d, DELIVERY_DONE);
	delivery_free(d);
}

/* The lost delivery among those in this state that is of the same message. */
static struct delivery *find_elder(struct queue *q, enum delivery_state state, const struct message *m,
				   const struct fingerprint *wanted) {
	LIST_FOREACH(d, &q->deliveries[state], struct delivery, node) {
		const struct text *id = d->message ? &d->message->properties.message_id : NULL;
		struct fingerprint f;

		/* The cheap comparisons first. */
		if (!d->lost || d->heir || (id && (id->len != m->properties.message_id.len || d->message->body_size != m->body_size)))
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
	if (!results_identify(&q->results, d->message, &f))
		return false;
	elder = find_elder(q, DELIVERY_RUNNING, d->message, &f);
	if (!elder)
		elder = find_elder(q, DELIVERY_PUBLISHING, d->message, &f);
	if (elder) {
		log_info("queue=%s tag=%" PRIu64 " is the message of a delivery that was lost, and waits for what becomes of that",
			 q->config->name, d->message->delivery_tag);
		delivery_attach(d, elder);
		queue_work_move(q, d, DELIVERY_ATTACHED);
		return true;
	}
	if (!results_take(&q->results, &f, clock_now_usec()))
		return false;
	settle_handled(q, d, NULL, "handled before, but that could not be acknowledged then");
	return true;
}
