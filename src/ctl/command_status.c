/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <time.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/show.h"

enum { OPTION_JSON = 256 };

static const struct option options[] = {
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int append_piece(const char *data, size_t len, void *userdata) {
	strbuf_append(userdata, data, len);
	return 0;
}

/* A member a line: what the completion of bash reads without a parser. */
static void append_json(json_t *body, struct strbuf *b) {
	if (json_dump_callback(body, append_piece, b, JSON_INDENT(2)) < 0)
		b->failed = true;
	strbuf_append_char(b, '\n');
}

int command_status(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	bool as_json = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == OPTION_JSON) {
			as_json = true;
		} else if (c == 'h') {
			command_print_help(command);
			return 0;
		} else {
			return command_hint(command);
		}
	}
	if (optind < argc)
		return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
	r = command_ask(ctl, "GET", "/v1/status", COMMAND_TIMEOUT_USEC, &answer);
	if (r == 0)
		r = command_check(&answer);
	if (r != 0)
		return r;
	if (as_json)
		append_json(answer.body, &text);
	else
		show_status(answer.body, time(NULL), ctl->colour, &text);
	return command_print(&text);
}
