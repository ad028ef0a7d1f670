/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/show.h"

static const struct option options[] = {
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* As "amqp-execd --check" prints them. */
static void tell_problems(json_t *body) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	show_problems(json_object_get(body, "warnings"), true, &text);
	show_problems(json_object_get(body, "problems"), false, &text);
	fprintf(stderr, "%s", text.failed ? "" : strbuf_str(&text));
}

int command_reload(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c != 'h')
			return command_hint(command);
		command_print_help(command);
		return 0;
	}
	if (optind < argc)
		return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
	/* It takes as long as it takes: queues of before are drained beside it, but a file may be on a slow disk. */
	r = command_ask(ctl, "POST", "/v1/reload", USEC_INFINITY, &answer);
	if (r != 0)
		return r;
	tell_problems(answer.body);
	r = command_check(&answer);
	if (r != 0)
		return r;
	show_reload(answer.body, &text);
	return command_print(&text);
}
