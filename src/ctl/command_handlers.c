/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/show.h"

enum { OPTION_JSON = 256, OPTION_BROKER };

static const struct option handlers_options[] = {
	{"json", no_argument, NULL, OPTION_JSON},
	{"broker", required_argument, NULL, OPTION_BROKER},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const struct option kill_options[] = {
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void append_query(const char *name, const char *value, char *separator, struct strbuf *path) {
	if (!value)
		return;
	strbuf_printf(path, "%c%s=", *separator, name);
	client_append_encoded(path, value);
	*separator = '&';
}

/* Asks, and checks the answer. */
static int ask(struct ctl *ctl, const char *method, const struct strbuf *path, struct client_answer *ret) {
	int r;

	if (path->failed) {
		command_complain("out of memory");
		return EXIT_FAILURE;
	}
	r = command_ask(ctl, method, strbuf_str(path), COMMAND_TIMEOUT_USEC, ret);
	return r == 0 ? command_check(ret) : r;
}

static int tell_handlers(struct ctl *ctl, const char *queue, const char *broker, bool as_json) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT, text = STRBUF_INIT;
	struct show_options how = {.now = time(NULL), .colour = ctl->colour, .width = command_width()};
	char separator = '?';
	int r;

	strbuf_append_str(&path, "/v1/handlers");
	append_query("queue", queue, &separator, &path);
	append_query("broker", broker, &separator, &path);
	r = ask(ctl, "GET", &path, &answer);
	if (r != 0)
		return r;
	if (as_json)
		command_append_json(answer.body, &text);
	else
		show_handlers(answer.body, &how, &text);
	return command_print(&text);
}

int command_handlers(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	const char *queue = NULL, *broker = NULL;
	bool as_json = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", handlers_options, NULL)) != -1) {
		switch (c) {
		case OPTION_JSON:
			as_json = true;
			break;
		case OPTION_BROKER:
			broker = optarg;
			break;
		case 'h':
			command_print_help(command);
			return 0;
		default:
			return command_hint(command);
		}
	}
	if (optind < argc)
		queue = argv[optind++];
	if (optind < argc)
		return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
	if (queue && !*queue)
		return command_usage(command, "no queue has an empty name");
	return tell_handlers(ctl, queue, broker, as_json);
}

static bool is_number(const char *s) {
	return *s && strspn(s, "0123456789") == strlen(s);
}

int command_kill(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT, text = STRBUF_INIT;
	const char *pid, *tag;
	char separator = '?';
	int c, r;

	while ((c = getopt_long(argc, argv, "h", kill_options, NULL)) != -1) {
		if (c != 'h')
			return command_hint(command);
		command_print_help(command);
		return 0;
	}
	if (optind == argc)
		return command_usage(command, "which process? \"amqp-execctl handlers\" tells them");
	pid = argv[optind];
	tag = optind + 1 < argc ? argv[optind + 1] : NULL;
	if (optind + 2 < argc)
		return command_usage(command, "unexpected argument \"%s\"", argv[optind + 2]);
	if (!is_number(pid))
		return command_usage(command, "\"%s\" is no process id", pid);
	if (tag && !is_number(tag))
		return command_usage(command, "\"%s\" is no delivery tag", tag);
	strbuf_printf(&path, "/v1/handlers/%s/kill", pid);
	append_query("delivery_tag", tag, &separator, &path);
	r = ask(ctl, "POST", &path, &answer);
	if (r != 0)
		return r;
	show_killed(answer.body, &text);
	return command_print(&text);
}
