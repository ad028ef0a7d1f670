/* SPDX-License-Identifier: MIT */
/* Where messages and what handlers write are published to: whether it is there, and the user may. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "broker/inquiry.h"
#include "ctl/examine.h"
#include "ctl/examine_words.h"
#include "delivery/retry.h"
#include "message/message.h"
#include "message/template.h"

/* So many delays of a series are looked at. */
#define DELAYS_MAX 10
#define DEAD_LETTER_EXCHANGE "x-dead-letter-exchange"
#define DELIVERY_LIMIT "x-delivery-limit"
#define CONSTANT_MAX 255

static struct findings *found(const struct examine_asked *a) {
	return &a->examine->findings;
}

static const char *name_of(const char *exchange) {
	return *exchange ? exchange : "\"\" (the default exchange)";
}

/* Whether a queue of this configuration will be declared under this name. */
static bool will_be_there(const struct examine_asked *a, const char *queue) {
	const struct config *config = a->examine->config;

	for (size_t i = 0; i < config->n_queues; i++)
		if (config->queues[i].broker == a->queue->broker && config->queues[i].declare.present &&
		    strcmp(config->queues[i].name, queue) == 0)
			return true;
	return false;
}

/* The default exchange has a queue for each key, or none. */
static void examine_target_queue(const struct examine_asked *a, const char *what, const char *queue) {
	struct inquiry_answer answer;
	int r = inquiry_queue(a->inquiry, queue, &answer);

	if (r < 0)
		examine_unanswered(a, what, "the queue that is published to", r, answer.reason);
	else if (answer.code == CODE_NOT_FOUND && !will_be_there(a, queue))
		findings_add(found(a), FINDING_ERROR, &a->place, what,
			     "make the queue at the broker, or correct routing_key",
			     "nothing can be published to queue %s: %s", queue, answer.reason);
}

static const char *refusal_hint(const struct inquiry_answer *may) {
	if (may->code != CODE_ACCESS_REFUSED)
		return HINT_LOG;
	/* RabbitMQ has no code of its own for this. */
	if (strstr(may->reason, "internal exchange"))
		return "name another exchange: only other exchanges can publish to this one";
	return "give the user write permission for the exchange (amq.default is the default one): " SET_PERMISSIONS;
}

static void examine_permission(const struct examine_asked *a, const char *what, const char *exchange, const char *key) {
	struct inquiry *publishing = a->publishing(a->userdata);
	struct inquiry_answer may;
	int r;

	if (!publishing)
		return;
	r = inquiry_may_publish(publishing, exchange, key, &may);
	if (r < 0 && inquiry_blocked(publishing))
		findings_add(found(a), FINDING_WARNING, &a->place, what,
			     "see to the broker's memory or disk: \"rabbitmq-diagnostics alarms\"",
			     "whether it may be published to exchange %s cannot be asked now: %s", name_of(exchange),
			     may.reason);
	else if (r < 0)
		examine_unanswered(a, what, "whether it may be published", r, may.reason);
	else if (may.code)
		findings_add(found(a), FINDING_ERROR, &a->place, what, refusal_hint(&may),
			     "nothing can be published to exchange %s: %s", name_of(exchange), may.reason);
	else
		findings_add(found(a), FINDING_OK, &a->place, what, NULL, "the user may publish to exchange %s",
			     name_of(exchange));
}

/* key: NULL: not known beforehand. */
static void examine_target(const struct examine_asked *a, const char *what, const char *exchange, const char *key) {
	struct inquiry_answer answer;
	int r;

	if (*exchange) {
		r = inquiry_exchange(a->inquiry, exchange, &answer);
		if (r < 0) {
			examine_unanswered(a, what, "whether the exchange exists", r, answer.reason);
			return;
		}
		if (answer.code) {
			findings_add(found(a), FINDING_ERROR, &a->place, what, HINT_EXCHANGE,
				     "nothing can be published to exchange %s: %s", exchange, answer.reason);
			return;
		}
	} else if (key) {
		examine_target_queue(a, what, key);
	}
	examine_permission(a, what, exchange, key ? key : "");
}

/* --- forward ----------------------------------------------------------------------------------------------------- */

/* The text of a template that is the same for each message; false: it is not. */
static bool constant(const char *text, struct strbuf *b) {
	CLEANUP(template_clear) struct template t = {0};
	const struct message none = {0};

	return template_parse(text, &t, NULL) == 0 && template_is_constant(&t) &&
	       template_expand(&t, &(struct template_input){.queue = "", .message = &none}, CONSTANT_MAX, b) == 0;
}

static void examine_forward(const struct examine_asked *a) {
	CLEANUP(strbuf_free) struct strbuf exchange = STRBUF_INIT, key = STRBUF_INIT;
	const bool key_known = constant(a->queue->forward.routing_key, &key);

	if (constant(a->queue->forward.exchange, &exchange))
		examine_target(a, "forward", strbuf_str(&exchange), key_known ? strbuf_str(&key) : NULL);
	else
		findings_add(found(a), FINDING_OK, &a->place, "forward", NULL, "each message chooses the exchange: %s",
			     a->queue->forward.exchange);
}

/* --- retry ------------------------------------------------------------------------------------------------------- */

/* False: the next delays need not be looked at. */
static bool examine_delay(const struct examine_asked *a, uint64_t delay_usec, size_t *n_existing, bool *asked) {
	char name[RETRY_NAME_MAX];
	const struct inquiry_delay d = {name, delay_usec, a->queue->retry.queue_type, a->queue->name};
	struct inquiry_answer answer;
	int r;

	retry_queue_name(a->queue->name, d.type, delay_usec, name);
	r = inquiry_queue(a->inquiry, name, &answer);
	if (r == 0 && answer.code == 0) {
		++*n_existing;
		r = inquiry_same_delay(a->inquiry, &d, &answer);
	} else if (r == 0 && answer.code == CODE_NOT_FOUND) {
		if (*asked)
			return true;
		*asked = true;
		r = inquiry_may_declare_delay(a->inquiry, &d, &answer);
	}
	if (r < 0)
		examine_unanswered(a, "retry", name, r, answer.reason);
	else if (answer.code)
		findings_add(found(a), FINDING_ERROR, &a->place, "retry",
			     answer.code == CODE_ACCESS_REFUSED
				     ? "give the user configure and read permission for NAME.retry.*, and write "
				       "permission for "
				       "amq.default: " SET_PERMISSIONS
				     : "delete that queue when it is empty: the daemon makes it again",
			     "the delay queue %s cannot be declared: %s", name, answer.reason);
	return r == 0 && answer.code == 0;
}

static void examine_retry(const struct examine_asked *a) {
	const struct config_retry *policy = &a->queue->retry;
	uint64_t delay, last = 0;
	size_t n_existing = 0, n = 0;
	bool asked = false;

	for (unsigned attempt = 1; n < DELAYS_MAX && retry_next(policy, attempt, 0, &delay) && delay != last;
	     attempt++) {
		if (!examine_delay(a, delay, &n_existing, &asked))
			return;
		last = delay;
		n++;
	}
	findings_add(
		found(a), FINDING_OK, &a->place, "retry", NULL,
		"%zu of the first %zu delay queues exist; the others are made when they are needed, which the user may",
		n_existing, n);
	examine_permission(a, "retry", "", a->queue->name);
}

/* --- what the broker does by itself ------------------------------------------------------------------------------ */

/* Only what the configuration declares is known: policies cannot be seen. */
static void examine_rejected(const struct examine_asked *a) {
	const struct config_queue *q = a->queue;
	const struct field *exchange = table_find(&q->declare.arguments, DEAD_LETTER_EXCHANGE);

	if (q->declare.present && exchange && exchange->kind == FIELD_STRING)
		examine_target(a, "dead letters", exchange->text.data, NULL);
	else if (!q->dead_letter.present && (config_queue_can(q, OUTCOME_REJECT) ||
					     (config_queue_can(q, OUTCOME_RETRY) && q->retry.max_attempts > 0)))
		findings_add(
			found(a), FINDING_WARNING, &a->place, "dead letters",
			"configure dead_letter, or see to it that the queue has a dead-letter exchange: "
			"\"rabbitmqctl list_queues name arguments policy\"",
			"rejected messages are gone, unless the queue has a dead-letter exchange at the broker, which "
			"cannot be asked for");
}

static void examine_delivery_limit(const struct examine_asked *a) {
	const struct config_queue *q = a->queue;
	const struct field *f = table_find(&q->declare.arguments, DELIVERY_LIMIT);
	int64_t limit;

	if (q->declare.present && f && field_get_i64(f, &limit) == 0 && config_queue_can(q, OUTCOME_REQUEUE))
		findings_add(found(a), FINDING_WARNING, &a->place, "dead letters",
			     "use \"retry\", whose copies are counted anew, or a higher limit",
			     DELIVERY_LIMIT " is %" PRId64
					    ": a message that is requeued more often is dropped or dead-lettered "
					    "by the broker",
			     limit);
}

void examine_publishing(const struct examine_asked *a) {
	const struct config_queue *q = a->queue;

	if (config_queue_can(q, OUTCOME_RETRY))
		examine_retry(a);
	if (q->dead_letter.present)
		examine_target(a, "dead_letter", q->dead_letter.exchange, q->dead_letter.routing_key);
	if (q->reply.present)
		examine_permission(a, "reply", "", "");
	if (q->forward.present)
		examine_forward(a);
	examine_rejected(a);
	examine_delivery_limit(a);
}
