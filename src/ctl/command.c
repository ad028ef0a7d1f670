/* SPDX-License-Identifier: MIT */
#include "ctl/command.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/filter.h"
#include "ctl/interrupt.h"
#include "ctl/publish_options.h"
#include "ctl/screen.h"
#include "ctl/session.h"
#include "ctl/show.h"
#include "ctl/text.h"

const struct command commands[] = {
	{"status", "[--json] [--watch [SECONDS]]", "tell how the daemon and its queues are",
	 "      --json             print what the daemon answers, in JSON\n"
	 "      --watch [SECONDS]  again and again, every 2 seconds if nothing else is said, on a screen of its\n"
	 "                         own, until Ctrl-C or q; with --json a line each time\n",
	 command_status},
	{"handlers", "[--json] [--broker NAME] [QUEUE]", "tell which handlers run, with which messages",
	 "      --json             print what the daemon answers, in JSON\n"
	 "      --broker NAME      those of this broker's queues\n",
	 command_handlers},
	{"kill", "PID [TAG]", "stop a handler, as if its time were over",
	 "PID and TAG are the first two columns of \"amqp-execctl handlers\". With TAG, the delivery tag of a\n"
	 "message, the process is left alone if it has another message by now, as workers may have.\n"
	 "outcomes.on_timeout says what becomes of the message.\n\n",
	 command_kill},
	{"reload", "", "have the daemon read its configuration again, and wait until it has",
	 "Prints what has changed. If the configuration is refused, the old one stays in force, every\n"
	 "problem is printed to standard error, and the exit status is 78.\n\n",
	 command_reload},
	{"pause", "[--broker NAME] QUEUE... | --all", "let queues take nothing new; handlers that run go on",
	 "      --all              all queues\n"
	 "      --broker NAME      the queues of that name at this broker\n",
	 command_order},
	{"resume", "[--broker NAME] QUEUE... | --all", "let paused queues go on",
	 "      --all              all queues\n"
	 "      --broker NAME      the queues of that name at this broker\n",
	 command_order},
	{"drain", "[--timeout DURATION] [--broker NAME] [QUEUE... | --all]",
	 "pause queues, and wait until nothing of them runs",
	 "      --all              all queues (the default)\n"
	 "      --broker NAME      the queues of that name at this broker\n"
	 "      --timeout DURATION wait no longer (\"30s\", \"5min\"), and exit with status 75;\n"
	 "                         the queues stay paused\n",
	 command_drain},
	{"check",
	 "[--config FILE] [--user NAME] [--json] [--quiet]\n"
	 "           [--broker NAME] [QUEUE...]",
	 "ask brokers and system whether a configuration will work, without a change",
	 "  -c, --config FILE      the configuration, instead of " SYSCONFDIR "/amqp-execd/amqp-execd.conf\n"
	 "      --user NAME        the user that the daemon runs as; as root the default is the owner of\n"
	 "                         the control socket's folder, or else amqp-execd\n"
	 "      --json             print the findings in JSON\n"
	 "  -q, --quiet            print only what is wrong or doubtful\n"
	 "      --broker NAME      only this broker and its queues\n"
	 "\n"
	 "No daemon need run. Nothing is declared, published or consumed. Exit status: 0 nothing is\n"
	 "wrong, 1 something is, 69 a broker cannot be reached, 77 one refuses the login (or only root\n"
	 "could judge for that user), 78 the configuration is refused.\n\n",
	 command_examine},
	{"publish",
	 SESSION_USAGE
	 "\n"
	 "           [--queue NAME | --exchange NAME --routing-key KEY] [OPTION...]\n"
	 "           [MESSAGE... | --file FILE... | --stdin | --lines [FILE...] | --json-lines [FILE...]]",
	 "publish messages to a broker, and tell exactly which it does not have", publish_help, command_publish},
	{"peek",
	 SESSION_USAGE "\n"
		       "           [--count N] [--json] [--body | --body-size SIZE] [FILTER...] QUEUE",
	 "look at messages of a queue, and leave them there",
	 "The messages are taken and given back together, in their order; they count as redelivered then.\n\n"
	 "      --count N          as many at most (the default: 20)\n"
	 "      --json             print a line of JSON for each, with its body\n"
	 "      --body             show bodies\n"
	 "      --body-size SIZE   of each body so much (\"200\", \"4K\")\n" FILTER_HELP "Where:\n" SESSION_HELP,
	 command_peek},
	{"replay",
	 SESSION_USAGE "\n"
		       "           [--to-queue QUEUE | --exchange NAME [--routing-key KEY]]\n"
		       "           [--count N] [--dry-run | --yes] [FILTER...] QUEUE",
	 "move dead letters back to where they came from",
	 "Each is published anew, without the headers that tell of its failures, and acknowledged in QUEUE\n"
	 "when the broker has confirmed that. On a terminal it shows first what it would do, and asks.\n\n"
	 "      --to-queue QUEUE   not to where each came from, but to this queue\n"
	 "      --exchange NAME    likewise to this exchange\n"
	 "      --routing-key KEY  with this key (the default: the one it was published with first)\n"
	 "      --count N          as many at most\n"
	 "      --dry-run          only show what would be done\n"
	 "      --yes              do not ask\n" FILTER_HELP "Where:\n" SESSION_HELP,
	 command_replay},
};

const size_t n_commands = ARRAY_SIZE(commands);

static void complain(const char *format, va_list args) PRINTF_LIKE(1, 0);

static void complain(const char *format, va_list args) {
	CLEANUP(strbuf_free) struct strbuf raw = STRBUF_INIT, line = STRBUF_INIT;

	strbuf_vprintf(&raw, format, args);
	text_append_line(&line, strbuf_str(&raw));
	fprintf(stderr, "amqp-execctl: %s\n", raw.failed || line.failed ? "out of memory" : strbuf_str(&line));
}

void command_complain(const char *format, ...) {
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
}

int command_hint(const struct command *command) {
	fprintf(stderr, "Try \"amqp-execctl %s --help\".\n", command->name);
	return EX_USAGE;
}

int command_usage(const struct command *command, const char *format, ...) {
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return command_hint(command);
}

int command_catch_interrupts(void) {
	int r = interrupt_catch();

	if (r == 0)
		return 0;
	command_complain("%s", strerror(-r));
	return EXIT_FAILURE;
}

bool command_parse_count(const char *text, uint64_t max, uint64_t *ret) {
	char *end;
	unsigned long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end || errno || n < 1 || n > max)
		return false;
	*ret = n;
	return true;
}

int command_parse_about_queue(const struct command *command, int argc, char **argv, const struct option *options,
			      int (*take)(const struct command *command, int c, void *userdata), void *userdata,
			      const char **ret_queue, int *ret_status) {
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			command_print_help(command);
		if (c == 'h' || c == '?') {
			*ret_status = c == 'h' ? 0 : command_hint(command);
			return 1;
		}
		*ret_status = take(command, c, userdata);
		if (*ret_status != 0)
			return 1;
	}
	if (argc - optind != 1 || !*argv[optind]) {
		*ret_status = command_usage(command, "which queue? (one)");
		return 1;
	}
	*ret_queue = argv[optind];
	return 0;
}

void command_print_help(const struct command *command) {
	printf("Usage: amqp-execctl %s%s%s\n%c%s.\n\n%s  -h, --help             print this and exit\n", command->name,
	       *command->arguments ? " " : "", command->arguments, toupper((unsigned char)*command->summary),
	       command->summary + 1, command->help);
}

int command_ask(struct ctl *ctl, const char *method, const char *path, uint64_t timeout_usec,
		struct client_answer *ret) {
	CLEANUP(free) char *why = NULL;
	int r = client_ask(ctl->client, method, path, timeout_usec, ret, &why);

	if (r == 0)
		return 0;
	command_complain("%s", why ? why : "out of memory");
	if (r == -ENOMEM)
		return EXIT_FAILURE;
	return r == -EACCES ? EX_NOPERM : EX_UNAVAILABLE;
}

int command_check(const struct client_answer *answer) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	int r = command_explain(answer, &text);

	if (r != 0)
		command_complain("%s", text.failed ? "out of memory" : strbuf_str(&text));
	return r;
}

int command_explain(const struct client_answer *answer, struct strbuf *text) {
	const char *error = show_text(answer->body, "error");

	if (answer->status == 200 && answer->body)
		return 0;
	if (error)
		text_append(text, error);
	else
		strbuf_printf(text, "the daemon's answer makes no sense (HTTP status %u)", answer->status);
	if (answer->status == 403)
		return EX_NOPERM;
	return answer->status == 422 ? EX_CONFIG : EXIT_FAILURE;
}

int command_print(const struct strbuf *text) {
	if (!text->failed && fwrite(strbuf_str(text), 1, text->len, stdout) == text->len && fflush(stdout) == 0)
		return 0;
	command_complain("cannot write: %s", text->failed ? "out of memory" : strerror(errno));
	return EXIT_FAILURE;
}

static int append_piece(const char *data, size_t len, void *userdata) {
	strbuf_append(userdata, data, len);
	return 0;
}

static void append_json(json_t *body, size_t flags, struct strbuf *b) {
	if (json_dump_callback(body, append_piece, b, flags) < 0)
		b->failed = true;
	strbuf_append_char(b, '\n');
}

/* A member a line: what the completion of bash reads without a parser. */
void command_append_json(json_t *body, struct strbuf *b) {
	append_json(body, JSON_INDENT(2), b);
}

void command_append_json_line(json_t *body, struct strbuf *b) {
	append_json(body, JSON_COMPACT, b);
}

size_t command_width(void) {
	size_t width = 0, height;

	if (isatty(STDOUT_FILENO))
		screen_size(&width, &height);
	return width;
}
