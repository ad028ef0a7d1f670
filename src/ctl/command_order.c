/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "config/units.h"
#include "ctl/command.h"
#include "ctl/show.h"

enum { OPTION_ALL = 256, OPTION_BROKER, OPTION_TIMEOUT };

static const struct option options[] = {
	{"all", no_argument, NULL, OPTION_ALL},
	{"broker", required_argument, NULL, OPTION_BROKER},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* What an option without a meaning for this command is. */
static int select_option(const struct command *command, int c, bool with_timeout, struct selection *s, bool *all) {
	switch (c) {
	case OPTION_ALL:
		*all = true;
		return 0;
	case OPTION_BROKER:
		s->broker = optarg;
		return 0;
	case OPTION_TIMEOUT:
		if (!with_timeout)
			return command_usage(command, "\"%s\" has no --timeout", command->name);
		if (units_parse_duration(optarg, &s->timeout_usec) < 0)
			return command_usage(command, "\"%s\" is no duration; \"30s\" and \"5min\" are", optarg);
		return 0;
	default:
		return command_hint(command);
	}
}

int command_select(const struct command *command, int argc, char **argv, bool all_by_default, bool with_timeout,
		   struct selection *ret, int *ret_status) {
	struct selection s = {.timeout_usec = USEC_INFINITY};
	bool all = false;
	int c;

	*ret_status = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			command_print_help(command);
			return 1;
		}
		*ret_status = select_option(command, c, with_timeout, &s, &all);
		if (*ret_status != 0)
			return 1;
	}
	s.names = argv + optind;
	s.n = argc - optind;
	for (int i = 0; i < s.n; i++)
		if (!*s.names[i])
			*ret_status = command_usage(command, "no queue has an empty name");
	if (all && s.n > 0)
		*ret_status = command_usage(command, "either --all or names of queues");
	else if (!all && s.n == 0 && !all_by_default)
		*ret_status = command_usage(command, "which queue? --all is all of them");
	if (*ret_status != 0)
		return 1;
	*ret = s;
	return 0;
}

/* One queue, or all of them (NULL). */
static int give_order(struct ctl *ctl, const char *order, const char *queue, const char *broker, struct strbuf *text) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;
	int r;

	strbuf_append_str(&path, "/v1/");
	if (queue) {
		strbuf_append_str(&path, "queues/");
		client_append_encoded(&path, queue);
		strbuf_append_char(&path, '/');
	}
	strbuf_append_str(&path, order);
	if (broker) {
		strbuf_append_str(&path, "?broker=");
		client_append_encoded(&path, broker);
	}
	if (path.failed) {
		command_complain("out of memory");
		return EXIT_FAILURE;
	}
	r = command_ask(ctl, "POST", strbuf_str(&path), COMMAND_TIMEOUT_USEC, &answer);
	if (r == 0)
		r = command_check(&answer);
	if (r == 0 && text)
		show_queues(answer.body, text);
	return r;
}

int command_order_queues(struct ctl *ctl, const char *order, const struct selection *s, struct strbuf *text) {
	int status = 0;

	if (s->n == 0)
		return give_order(ctl, order, NULL, s->broker, text);
	for (int i = 0; i < s->n; i++) {
		int r = give_order(ctl, order, s->names[i], s->broker, text);

		/* The others are asked all the same, unless nobody is there to answer. */
		if (status == 0)
			status = r;
		if (r == EX_UNAVAILABLE || r == EX_NOPERM)
			break;
	}
	return status;
}

int command_order(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	struct selection s;
	int status, printed;

	if (command_select(command, argc, argv, false, false, &s, &status) > 0)
		return status;
	status = command_order_queues(ctl, command->name, &s, &text);
	printed = command_print(&text);
	return status ? status : printed;
}
