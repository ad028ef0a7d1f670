/* SPDX-License-Identifier: MIT */
/* What becomes of messages: defaults that depend on other keys, contradictions, and what has no effect. */
#include <string.h>

#include "base/strbuf.h"
#include "config/check.h"
#include "config/statuses.h"

/* What the names of delay queues add to that of their queue, with room for what is to come; a name has 255 bytes. */
#define DELAY_SUFFIX_MAX 32
#define NAME_MAX_BYTES 255
#define ARGUMENT_DEAD_LETTER "x-dead-letter-exchange"
#define ARGUMENT_OVERFLOW "x-overflow"
#define DISCARDED "rejected messages are discarded, unless the queue has a dead-letter exchange at the broker"

static void fill_defaults(const struct reader *r, const config_setting_t *s, struct config_queue *q) {
	struct config_outcomes *o = &q->outcomes;
	enum outcome failure = o->otherwise == OUTCOME_ACK ? OUTCOME_REQUEUE : o->otherwise;
	const char *type = check_declared_type(&q->declare);

	if (!check_given(r, s, "outcomes", "on_timeout"))
		o->on_timeout = failure;
	if (!check_given(r, s, "outcomes", "on_signal"))
		o->on_signal = failure;
	if (!check_given(r, s, "outcomes", "on_large_output"))
		o->on_large_output = failure;
	/* Classic queues hand on what has expired without a confirm: only for those who have chosen that type. */
	if (!check_given(r, s, "retry", "queue_type"))
		q->retry.queue_type = q->declare.present && type && strcmp(type, "classic") == 0 ? CONFIG_QUEUE_CLASSIC
											  : CONFIG_QUEUE_QUORUM;
}

/* A status has one outcome. */
static void check_statuses(struct reader *r, const config_setting_t *s, const struct config_outcomes *o) {
	const struct {
		const char *name;
		const struct config_statuses *statuses;
	} sets[] = {{"ack", &o->ack}, {"requeue", &o->requeue}, {"retry", &o->retry}, {"reject", &o->reject}};

	for (size_t j = 1; j < ARRAY_SIZE(sets); j++) {
		for (size_t i = 0; i < j; i++) {
			CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
			struct config_statuses common;
			bool by_default;

			if (!statuses_common(sets[i].statuses, sets[j].statuses, &common))
				continue;
			statuses_format(&common, &b);
			by_default = !check_given(r, s, "outcomes", sets[i].name);
			check_problem(r, check_given(r, s, "outcomes", sets[j].name), "outcomes", sets[j].name,
				      "a status has one outcome, and %s is in outcomes.%s already%s", strbuf_str(&b),
				      sets[i].name, by_default ? ", by default" : "");
		}
	}
}

/* Whether the file itself makes it an outcome. What a worker may answer is known to those who wrote it, and the default of
 * reply.unroutable is meant to discard. */
static bool is_asked_for(const struct config_queue *q, enum outcome outcome) {
	return outcome_is_possible(&q->outcomes, outcome) ||
	       ((q->reply.present || q->forward.present) && q->outcomes.on_large_output == outcome);
}

/* Whether the broker is told here where to put messages that are rejected. */
static bool has_dead_letter(const struct config_queue *q) {
	return q->dead_letter.present || table_find(&q->declare.arguments, ARGUMENT_DEAD_LETTER);
}

/* Nobody means that a handler can never succeed. */
static void check_ack(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const config_setting_t *ack = check_given(r, s, "outcomes", "ack");

	if (ack && !setting_is_wrong(ack) && q->handler.mode != CONFIG_MODE_WORKER && !outcome_is_possible(&q->outcomes, OUTCOME_ACK))
		check_warning(r, ack, "outcomes", "ack", "no exit status leads to \"ack\": every message fails");
}

static void check_reject(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const config_setting_t *dead_letter = setting_member(s, "dead_letter");
	const config_setting_t *outcomes = check_given(r, s, "outcomes", NULL);
	bool limited = q->retry.max_attempts > 0;

	if (is_asked_for(q, OUTCOME_REJECT) && !has_dead_letter(q))
		check_warning(r, outcomes, "outcomes", NULL,
			      "\"reject\" is possible, and there is no dead_letter: " DISCARDED);
	else if (is_asked_for(q, OUTCOME_RETRY) && limited && !has_dead_letter(q))
		check_warning(
			r, outcomes, "outcomes", NULL,
			"after retry.max_attempts (%u) a message is rejected, and there is no dead_letter: " DISCARDED,
			q->retry.max_attempts);
	/* Such bodies were not kept, so there is nothing to make a copy of. */
	if (q->outcomes.on_too_large == CONFIG_TOO_LARGE_REJECT && !table_find(&q->declare.arguments, ARGUMENT_DEAD_LETTER))
		check_warning(r, check_given(r, s, "outcomes", "on_too_large"), "outcomes", "on_too_large",
			      "dead_letter never gets bodies above limits.max_message_size: " DISCARDED);
	/* What all queues have in common need not mean something to each of them. */
	if (!config_queue_can(q, OUTCOME_REJECT) && !(config_queue_can(q, OUTCOME_RETRY) && limited) &&
	    q->outcomes.on_too_large != CONFIG_TOO_LARGE_REJECT && dead_letter && !setting_is_wrong(dead_letter))
		check_warning(r, dead_letter, "dead_letter", NULL,
			      "has no effect: no outcome here leads to \"reject\"");
}

static void check_dead_letter(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const struct config_dead_letter *d = &q->dead_letter;
	const config_setting_t *exchange = check_given(r, s, "dead_letter", "exchange");
	const config_setting_t *key = check_given(r, s, "dead_letter", "routing_key");

	if (!d->present || setting_is_wrong(check_given(r, s, "dead_letter", NULL)) || setting_is_wrong(exchange) ||
	    setting_is_wrong(key) || !d->exchange || *d->exchange)
		return;
	if (!key || (d->routing_key && !*d->routing_key))
		check_problem(r, key ? key : check_given(r, s, "dead_letter", NULL), "dead_letter", "routing_key",
			      "%sexpected the name of a queue, as exchange is \"\"%s",
			      key ? "" : "missing: ", exchange ? "" : " by default");
	else if (d->routing_key && q->name && strcmp(d->routing_key, q->name) == 0)
		check_problem(r, key, "dead_letter", "routing_key",
			      "rejected messages would come back to this very queue for ever");
}

/* Whether the queue refuses messages when it is full: those that a classic delay queue hands on are gone then. */
static bool refuses(const struct config_declare *d) {
	const struct field *f = table_find(&d->arguments, ARGUMENT_OVERFLOW);

	return f && f->kind == FIELD_STRING && strncmp(f->text.data, "reject-publish", strlen("reject-publish")) == 0;
}

static void check_retry(struct reader *r, const config_setting_t *s, struct config_queue *q) {
	const config_setting_t *first;
	const char *name;

	check_delays(r, s, "retry", q->retry.delay_usec, &q->retry.max_delay_usec);
	if (config_queue_can(q, OUTCOME_RETRY)) {
		if (q->name && strlen(q->name) > NAME_MAX_BYTES - DELAY_SUFFIX_MAX)
			check_problem(
				r, setting_member(s, "name"), "name", NULL,
				"expected at most %d bytes where \"retry\" is an outcome, found %zu: the names of "
				"the delay queues are made of this one",
				NAME_MAX_BYTES - DELAY_SUFFIX_MAX, strlen(q->name));
		if (q->retry.queue_type == CONFIG_QUEUE_CLASSIC && refuses(&q->declare))
			check_warning(r, check_given(r, s, "declare", "arguments"), "declare", "arguments",
				      ARGUMENT_OVERFLOW ": a message that comes back from a classic delay queue while "
							"this queue is full is lost; retry.queue_type = \"quorum\" "
							"keeps it");
		return;
	}
	first = check_first_set(setting_member(s, "retry"), SECTION_RETRY, &q->retry, &name);
	if (first)
		check_warning(r, first, "retry", name, "has no effect: no outcome here is \"retry\"");
}

static void check_breaker(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const config_setting_t *first;
	const char *name;

	if (q->breaker.failures > 0)
		return;
	first = check_first_set(setting_member(s, "breaker"), SECTION_BREAKER, &q->breaker, &name);
	if (first)
		check_warning(r, first, "breaker", name, "has no effect: breaker.failures is 0");
}

void check_outcomes(struct reader *r, const config_setting_t *s, struct config_queue *q) {
	fill_defaults(r, s, q);
	check_statuses(r, s, &q->outcomes);
	check_ack(r, s, q);
	check_dead_letter(r, s, q);
	check_reject(r, s, q);
	check_retry(r, s, q);
	check_breaker(r, s, q);
}
