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
};

static int look(struct ctl *ctl, const struct selection *s, struct left *ret) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	json_t *queues, *queue;
	struct left left = {0};
	size_t i;
	int r = command_ask(ctl, "GET", "/v1/status", COMMAND_TIMEOUT_USEC, &answer);

	if (r == 0)
		r = command_check(&answer);
	if (r != 0)
		return r;
	queues = json_object_get(answer.body, "queues");
	json_array_foreach(queues, i, queue) {
		if (is_selected(s, queue)) {
			left.running += show_number(queue, "running");
			left.publishing += show_number(queue, "publishing");
		}
	}
	*ret = left;
	return 0;
}

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
	struct selection s;
	struct left left = {0};
	int status, r;

	if (command_select(command, argc, argv, true, true, &s, &status) > 0)
		return status;
	status = command_order_queues(ctl, "drain", &s, NULL);
	/* Of several queues those that exist are drained. */
	if (status != 0 && (s.n < 2 || status != EXIT_FAILURE))
		return status;
	r = await(ctl, &s, &left);
	if (r == EX_TEMPFAIL)
		command_complain("the time is over: %llu handler%s still running, %llu publication%s to be confirmed; "
				 "the queues stay paused",
				 left.running, text_plural(left.running), left.publishing,
				 text_plural(left.publishing));
	if (r != 0)
		return r;
	strbuf_append_str(&text, "drained\n");
	r = command_print(&text);
	return status ? status : r;
}
