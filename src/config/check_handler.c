/* SPDX-License-Identifier: MIT */
/* What a handler gets, and what becomes of what it writes: contradictions, and what has no effect. */
#include <string.h>

#include "config/check.h"

/* Warns of a key of the queue's own handler, if it is given and says something else than its default. What is given for
 * all queues need not mean something to each of them. */
static void no_effect(struct reader *r, const config_setting_t *s, const struct config_handler *h, const char *name,
		      const char *why) {
	const config_setting_t *at = check_set(check_own(s, "handler", NULL), SECTION_HANDLER, name, h);

	if (at && !setting_is_wrong(at))
		check_warning(r, at, "handler", name, "has no effect: %s", why);
}

static void check_mode(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	static const char form[] = "workers get each message in a form of its own";
	static const char answers[] = "a worker's standard output is its answers, which cannot be published";
	const struct config_handler *h = &q->handler;

	if (h->mode == CONFIG_MODE_EXEC) {
		no_effect(r, s, h, "max_messages", "handler.mode is not \"worker\"");
		if (h->input != CONFIG_INPUT_ARGUMENT && h->input != CONFIG_INPUT_ARGUMENT_JSON)
			no_effect(r, s, h, "compress",
				  "only what input = \"argument\" or \"argument-json\" adds is compressed");
		return;
	}
	no_effect(r, s, h, "input", form);
	no_effect(r, s, h, "compress", form);
	no_effect(r, s, h, "metadata", form);
	if (q->reply.present)
		check_problem(r, check_given(r, s, "reply", NULL), "reply", NULL, answers);
	if (q->forward.present)
		check_problem(r, check_given(r, s, "forward", NULL), "forward", NULL, answers);
}

static void check_output(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	static const char nothing[] = "nothing is published here, by reply or by forward, of what the handler writes";
	const config_setting_t *large = check_own(s, "outcomes", "on_large_output");
	enum outcome usual = q->outcomes.otherwise == OUTCOME_ACK ? OUTCOME_REQUEUE : q->outcomes.otherwise;

	if (!q->reply.present && !q->forward.present) {
		no_effect(r, s, &q->handler, "max_output", nothing);
		if (large && !setting_is_wrong(large) && q->outcomes.on_large_output != usual)
			check_warning(r, large, "outcomes", "on_large_output", "has no effect: %s", nothing);
	} else if (q->handler.output == CONFIG_OUTPUT_INHERIT && q->handler.mode == CONFIG_MODE_EXEC) {
		check_problem(r, check_given(r, s, "handler", "output"), "handler", "output",
			      "\"inherit\" leaves nothing of standard output for %s to publish",
			      q->reply.present ? "reply" : "forward");
	}
}

static void check_forward(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const struct config_forward *f = &q->forward;
	const config_setting_t *forward = check_given(r, s, "forward", NULL);
	const config_setting_t *exchange = check_given(r, s, "forward", "exchange");
	const config_setting_t *key = check_given(r, s, "forward", "routing_key");

	if (!f->present || q->handler.mode == CONFIG_MODE_WORKER || setting_is_wrong(forward) ||
	    setting_is_wrong(exchange) || setting_is_wrong(key) || !f->exchange || *f->exchange || !f->routing_key)
		return;
	if (!*f->routing_key)
		check_problem(r, key ? key : forward, "forward", "routing_key",
			      "%sexpected the name of a queue, as exchange is \"\"%s",
			      key ? "" : "missing: ", exchange ? "" : " by default");
	else if (q->name && strcmp(f->routing_key, q->name) == 0)
		check_problem(r, key, "forward", "routing_key",
			      "what the handler writes would come to this very queue for ever");
}

/* environment goes before path, which then would mean nothing. */
static void check_path(struct reader *r, const config_setting_t *s) {
	const config_setting_t *own = check_own(s, "handler", "environment");
	const config_setting_t *path = setting_member(own, "PATH");

	if (!path)
		path = setting_member(check_own(r->defaults, "handler", "environment"), "PATH");
	if (path && check_given(r, s, "handler", "path"))
		check_problem(r, path, "handler.environment", "PATH", "is what \"path\" sets: give one of them");
}

void check_handler(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const config_setting_t *handler = check_given(r, s, "handler", NULL);

	if (!handler || setting_is_wrong(handler))
		return;
	check_privileges(r, s, &q->handler);
	check_command(r, s, &q->handler);
	check_mode(r, s, q);
	check_output(r, s, q);
	check_forward(r, s, q);
	check_path(r, s);
}
