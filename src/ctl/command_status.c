/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/show.h"

#define INTERVAL_DEFAULT_USEC (2 * USEC_PER_SEC)
/* In seconds. */
#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 86400

enum { OPTION_JSON = 256, OPTION_WATCH };

static const struct option options[] = {
	{"json", no_argument, NULL, OPTION_JSON},
	{"watch", optional_argument, NULL, OPTION_WATCH},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct wishes {
	bool as_json;
	bool watch;
	const char *interval; /* borrowed; NULL: not given */
	uint64_t interval_usec;
};

static int parse_interval(const struct command *command, struct wishes *w) {
	char *end;
	double seconds;

	w->interval_usec = INTERVAL_DEFAULT_USEC;
	if (!w->interval)
		return 0;
	seconds = strtod(w->interval, &end);
	if (end == w->interval || *end || !(seconds >= INTERVAL_MIN && seconds <= INTERVAL_MAX))
		return command_usage(command, "\"%s\" is no number of seconds from 0.1 to 86400", w->interval);
	w->interval_usec = (uint64_t)(seconds * USEC_PER_SEC);
	return 0;
}

/* 0: go on. Positive: leave with *ret_status. */
static int parse_arguments(const struct command *command, int argc, char **argv, struct wishes *w, int *ret_status) {
	int c;

	*ret_status = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == OPTION_JSON) {
			w->as_json = true;
		} else if (c == OPTION_WATCH) {
			w->watch = true;
			w->interval = optarg;
		} else if (c == 'h') {
			command_print_help(command);
			return 1;
		} else {
			*ret_status = command_hint(command);
			return 1;
		}
	}
	/* "--watch 5", as "--watch=5". */
	if (w->watch && !w->interval && optind < argc)
		w->interval = argv[optind++];
	if (optind < argc)
		*ret_status = command_usage(command, "unexpected argument \"%s\"", argv[optind]);
	else
		*ret_status = parse_interval(command, w);
	return *ret_status != 0;
}

int command_status(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	struct show_options how = {.now = time(NULL), .colour = ctl->colour, .width = command_width()};
	struct wishes w = {0};
	int status, r;

	if (parse_arguments(command, argc, argv, &w, &status) > 0)
		return status;
	if (w.watch)
		return command_watch(ctl, w.interval_usec, w.as_json);
	r = command_ask(ctl, "GET", "/v1/status", COMMAND_TIMEOUT_USEC, &answer);
	if (r == 0)
		r = command_check(&answer);
	if (r != 0)
		return r;
	if (w.as_json)
		command_append_json(answer.body, &text);
	else
		show_status(answer.body, &how, &text);
	return command_print(&text);
}
