/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/show.h"
#include "ctl/text.h"

#define DRAIN_POLL_USEC (500 * USEC_PER_MSEC)

static bool is_selected(const struct selection *s, json_t *queue) {
	const char *name = show_text(queue, "name"), *broker = show_text(queue, "broker");

	if (s->broker && (!broker || strcmp(broker, s->broker) != 0))
		return false;
	for (int i = 0; i < s->n; i++)
		if (name && strcmp(s->names[i], name) == 0)
			return true;
	return s->n == 0;
}

/* What is still to be awaited: handlers, and messages whose copies, replies or output are not confirmed. */
struct left {
	unsigned long long running;
	unsigned long long publishing;
	json_t *status; /* owned; the answer that says so */
};

static void left_clear_cleanup(struct left *l) {
	json_decref(l->status);
}

static int look(struct ctl *ctl, const struct selection *s, struct left *left) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	json_t *queues, *queue;
	size_t i;
	int r = command_ask(ctl, "GET", "/v1/status", COMMAND_TIMEOUT_USEC, &answer);

	if (r == 0)
		r = command_check(&answer);
	if (r != 0)
		return r;
	left->running = left->publishing = 0;
	json_decref(left->status);
	left->status = json_incref(answer.body);
	queues = json_object_get(answer.body, "queues");
	json_array_foreach(queues, i, queue) {
		if (is_selected(s, queue)) {
			left->running += show_number(queue, "running");
			left->publishing += show_number(queue, "publishing");
		}
	}
	return 0;
}

/* --- what has come of it ----------------------------------------------------------------------------------------- */

static void append_held(unsigned long long held, struct strbuf *b) {
	if (held > 0)
		strbuf_printf(b, "; %llu failed message%s held until %s requeued", held, held == 1 ? " is" : "s are",
			      held == 1 ? "it is" : "they are");
}

/* "mail: drained", "mail: 2 handlers running, 1 publication to be confirmed" */
static void append_queue(json_t *queue, struct strbuf *b) {
	unsigned long long running = show_number(queue, "running"), publishing = show_number(queue, "publishing");

	text_append(b, show_text_or(queue, "name", "?"));
	if (running + publishing == 0)
		strbuf_append_str(b, ": drained");
	else
		strbuf_printf(b, ": %llu handler%s running", running, text_plural(running));
	if (publishing > 0)
		strbuf_printf(b, ", %llu publication%s to be confirmed", publishing, text_plural(publishing));
	append_held(show_number(queue, "held"), b);
	strbuf_append_char(b, '\n');
}

/* A line for each queue, and one for all of them. What is left of an earlier configuration has no line of its own. */
static void append_outcome(const struct selection *s, const struct left *left, struct strbuf *b) {
	json_t *queues = json_object_get(left->status, "queues"), *queue;
	unsigned long long held = 0;
	unsigned n = 0, drained = 0;
	size_t i;

	json_array_foreach(queues, i, queue) {
		if (!is_selected(s, queue) || show_flag(queue, "leaving"))
			continue;
		append_queue(queue, b);
		n++;
		drained += show_number(queue, "running") + show_number(queue, "publishing") == 0;
		held += show_number(queue, "held");
	}
	if (n == 1)
		return;
	strbuf_printf(b, "%u of %u queue%s drained", drained, n, text_plural(n));
	append_held(held, b);
	strbuf_append_char(b, '\n');
}

/* --- waiting for it ---------------------------------------------------------------------------------------------- */

/* One line that is overwritten, for somebody who looks on. */
static void tell_progress(const struct left *left, bool terminal) {
	if (!terminal)
		return;
	fprintf(stderr, "\r\033[K%llu handler%s running", left->running, text_plural(left->running));
	if (left->publishing > 0)
		fprintf(stderr, ", %llu publication%s to be confirmed", left->publishing,
			text_plural(left->publishing));
}

static int await(struct ctl *ctl, const struct selection *s, struct left *left) {
	bool terminal = isatty(STDERR_FILENO);
	uint64_t until = clock_add_usec(clock_now_usec(), s->timeout_usec);
	int r;

	for (;;) {
		r = look(ctl, s, left);
		if (r != 0 || left->running + left->publishing == 0)
			break;
		tell_progress(left, terminal);
		if (clock_now_usec() >= until) {
			r = EX_TEMPFAIL;
			break;
		}
		usleep(DRAIN_POLL_USEC);
	}
	if (terminal)
		fprintf(stderr, "\r\033[K");
	return r;
}

int command_drain(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	CLEANUP(left_clear) struct left left = {0};
	struct selection s;
	int status, printed, r;

	if (command_select(command, argc, argv, true, true, &s, &status) > 0)
		return status;
	status = command_order_queues(ctl, "drain", &s, NULL);
	/* Of several queues those that exist are drained. */
	if (status != 0 && (s.n < 2 || status != EXIT_FAILURE))
		return status;
	r = await(ctl, &s, &left);
	if (r != 0 && r != EX_TEMPFAIL)
		return r;
	append_outcome(&s, &left, &text);
	printed = command_print(&text);
	if (r == EX_TEMPFAIL) {
		command_complain("the time is over: %llu handler%s still running, %llu publication%s to be confirmed; "
				 "the queues stay paused",
				 left.running, text_plural(left.running), left.publishing,
				 text_plural(left.publishing));
		return r;
	}
	return status ? status : printed;
}
