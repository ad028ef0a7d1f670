/* SPDX-License-Identifier: MIT */
#include "ctl/examine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/inquiry.h"
#include "ctl/examine_words.h"
#include "ctl/text.h"

static struct findings *found(const struct examine_asked *a) {
	return &a->examine->findings;
}

void examine_unanswered(const struct examine_asked *a, const char *what, const char *subject, int r,
			const char *reason) {
	/* That the connection is lost is told once, of the broker. */
	if (r != -ENOTCONN)
		findings_add(found(a), r == -ENOTSUP ? FINDING_WARNING : FINDING_ERROR, &a->place, what,
			     r == -ENOTSUP ? NULL : HINT_LOG, "%s: could not be asked: %s", subject,
			     *reason ? reason : strerror(-r));
}

/* Where a declaration is refused: for want of permission, or because something is there that is not like it. */
static void tell_declaration(const struct examine_asked *a, const char *what, const char *subject,
			     const struct inquiry_answer *answer) {
	const char *hint = HINT_LOG;

	if (answer->code == CODE_ACCESS_REFUSED)
		hint = HINT_CONFIGURE;
	else if (answer->code == CODE_PRECONDITION_FAILED && strstr(answer->reason, "inequivalent"))
		hint = "configure what is there, or delete that (with its messages), or leave the declaration out";
	findings_add(found(a), FINDING_ERROR, &a->place, what, hint, "%s cannot be declared as configured: %s", subject,
		     answer->reason);
}

/* --- the queue --------------------------------------------------------------------------------------------------- */

static void examine_existing(const struct examine_asked *a, const struct inquiry_answer *answer) {
	struct inquiry_answer same;
	int r;

	findings_add(found(a), FINDING_OK, &a->place, "queue", NULL,
		     "exists: %" PRIu64 " message%s waiting, %" PRIu64 " consumer%s", answer->messages,
		     text_plural(answer->messages), answer->consumers, text_plural(answer->consumers));
	if (a->queue->exclusive && answer->consumers > 0)
		findings_add(found(a), FINDING_WARNING, &a->place, "queue",
			     "if they are not the daemon's own, stop them, or leave \"exclusive\" out",
			     "it is to be consumed exclusively, and has %" PRIu64 " consumer%s", answer->consumers,
			     text_plural(answer->consumers));
	if (!a->queue->declare.present)
		return;
	r = inquiry_same_queue(a->inquiry, a->queue, &same);
	if (r < 0)
		examine_unanswered(a, "queue", "whether it is declared as configured", r, same.reason);
	else if (same.code)
		tell_declaration(a, "queue", "it", &same);
	else
		findings_add(found(a), FINDING_OK, &a->place, "queue", NULL, "is declared as configured");
}

static void examine_missing(const struct examine_asked *a, const struct inquiry_answer *answer) {
	struct inquiry_answer may;
	int r;

	if (!a->queue->declare.present) {
		findings_add(found(a), FINDING_ERROR, &a->place, "queue",
			     "make it at the broker, or have it declared (declare = {})", "%s", answer->reason);
		return;
	}
	r = inquiry_may_declare_queue(a->inquiry, a->queue, &may);
	if (r == -ENOTSUP)
		findings_add(found(a), FINDING_WARNING, &a->place, "queue", NULL,
			     "does not exist, and will be declared; whether that is allowed is not known: %s",
			     may.reason);
	else if (r < 0)
		examine_unanswered(a, "queue", "whether it may be declared", r, may.reason);
	else if (may.code)
		tell_declaration(a, "queue", "it does not exist, and", &may);
	else
		findings_add(found(a), FINDING_OK, &a->place, "queue", NULL,
			     "does not exist, and will be declared, which the user may");
}

/* A queue that does not exist is asked for, too: permissions come first. */
static void examine_permission(const struct examine_asked *a) {
	struct inquiry_answer may;
	int r = inquiry_may_consume(a->inquiry, a->queue->name, &may);

	if (r < 0)
		examine_unanswered(a, "consume", "whether it may be consumed", r, may.reason);
	else if (may.code == CODE_ACCESS_REFUSED)
		findings_add(found(a), FINDING_ERROR, &a->place, "consume", HINT_READ, "it may not be consumed: %s",
			     may.reason);
	else if (may.code && may.code != CODE_NOT_FOUND)
		findings_add(found(a), FINDING_ERROR, &a->place, "consume", HINT_LOG, "it cannot be consumed: %s",
			     may.reason);
	else
		findings_add(found(a), FINDING_OK, &a->place, "consume", NULL, "the user may consume it");
}

/* --- bindings ---------------------------------------------------------------------------------------------------- */

static void examine_bound_exchange(const struct examine_asked *a, const struct config_binding *b) {
	struct inquiry_answer answer;
	char subject[SUBJECT_MAX];
	int r = inquiry_exchange(a->inquiry, b->exchange, &answer);
	const bool missing = r == 0 && answer.code == CODE_NOT_FOUND;

	(void)snprintf(subject, sizeof(subject), "exchange %s", b->exchange);
	if (r == 0 && missing && b->exchange_type)
		r = inquiry_may_declare_exchange(a->inquiry, b, &answer);
	else if (r == 0 && answer.code == 0 && b->exchange_type)
		r = inquiry_same_exchange(a->inquiry, b, &answer);
	if (r < 0)
		examine_unanswered(a, "binding", subject, r, answer.reason);
	else if (answer.code && b->exchange_type)
		tell_declaration(a, "binding", subject, &answer);
	else if (answer.code)
		findings_add(found(a), FINDING_ERROR, &a->place, "binding", HINT_EXCHANGE, "exchange %s: %s",
			     b->exchange, answer.reason);
	else
		findings_add(found(a), FINDING_OK, &a->place, "binding", NULL, "exchange %s %s", b->exchange,
			     missing ? "does not exist, and will be declared, which the user may" : "exists");
}

static void examine_binding(const struct examine_asked *a, const struct config_binding *b) {
	struct inquiry_answer may;

	examine_bound_exchange(a, b);
	for (char **key = b->routing_keys; *key; key++) {
		int r = inquiry_may_bind(a->inquiry, a->queue->name, b, *key, &may);

		if (r < 0) {
			examine_unanswered(a, "binding", "whether it may be bound", r, may.reason);
			return;
		}
		/* What does not exist was told. */
		if (may.code && may.code != CODE_NOT_FOUND) {
			findings_add(
				found(a), FINDING_ERROR, &a->place, "binding",
				"give the user write permission for the queue and read permission for the exchange: "
				"\"rabbitmqctl set_permissions\", for topics \"set_topic_permissions\"",
				"it may not be bound to exchange %s with the key \"%s\": %s", b->exchange, *key,
				may.reason);
			return;
		}
	}
}

void examine_queue(const struct examine_asked *a) {
	struct inquiry_answer answer;
	int r = inquiry_queue(a->inquiry, a->queue->name, &answer);

	if (r < 0) {
		examine_unanswered(a, "queue", "whether it exists", r, answer.reason);
		return;
	}
	if (answer.code == 0)
		examine_existing(a, &answer);
	else if (answer.code == CODE_NOT_FOUND)
		examine_missing(a, &answer);
	else
		findings_add(
			found(a), FINDING_ERROR, &a->place, "queue",
			answer.code == CODE_RESOURCE_LOCKED
				? "it belongs to another connection alone, and goes with that: choose another queue"
				: "see how the queue is: \"rabbitmqctl list_queues name state\"",
			"%s", answer.reason);
	if (answer.code != CODE_RESOURCE_LOCKED)
		examine_permission(a);
	for (size_t i = 0; i < a->queue->n_bindings; i++)
		examine_binding(a, &a->queue->bindings[i]);
}
