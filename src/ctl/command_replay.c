/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/filter.h"
#include "ctl/look.h"
#include "ctl/replay.h"
#include "ctl/session.h"
#include "ctl/text.h"

/* Of a dry run. */
#define ROWS_MAX 20
#define COUNT_MAX 1000000000

enum { OPTION_TO_QUEUE = 256, OPTION_EXCHANGE, OPTION_ROUTING_KEY, OPTION_COUNT, OPTION_DRY_RUN, OPTION_YES };

static const struct option options[] = {
	{"to-queue", required_argument, NULL, OPTION_TO_QUEUE},
	{"exchange", required_argument, NULL, OPTION_EXCHANGE},
	{"routing-key", required_argument, NULL, OPTION_ROUTING_KEY},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"yes", no_argument, NULL, OPTION_YES},
	FILTER_OPTIONS,
	SESSION_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct wish {
	struct replay_options replay;
	struct filter filter;
	struct session_options where;
	bool dry_run;
	bool yes;
};

static void wish_clear_cleanup(struct wish *w) {
	filter_clear(&w->filter);
	session_options_clear(&w->where);
}

static int parse_option(const struct command *command, int c, void *userdata) {
	struct wish *w = userdata;
	const char *why = NULL;
	int r;

	if (session_take_option(&w->where, c, optarg))
		return 0;
	r = filter_take_option(&w->filter, c, optarg, &why);
	if (r < 0)
		return command_usage(command, "\"%s\" %s", optarg, why);
	switch (c) {
	case OPTION_TO_QUEUE:
		w->replay.to_queue = optarg;
		break;
	case OPTION_EXCHANGE:
		w->replay.exchange = optarg;
		break;
	case OPTION_ROUTING_KEY:
		w->replay.routing_key = optarg;
		break;
	case OPTION_COUNT:
		if (!command_parse_count(optarg, COUNT_MAX, &w->replay.count))
			return command_usage(command, "--count: \"%s\" is no number from 1 to %d", optarg, COUNT_MAX);
		break;
	case OPTION_DRY_RUN:
		w->dry_run = true;
		break;
	case OPTION_YES:
		w->yes = true;
		break;
	default:
		break;
	}
	return 0;
}

static int check(const struct command *command, const struct wish *w) {
	const struct replay_options *o = &w->replay;

	if (o->to_queue && (o->exchange || o->routing_key))
		return command_usage(command, "either --to-queue, or --exchange and --routing-key");
	if (o->routing_key && !o->exchange)
		return command_usage(command, "--routing-key goes with --exchange");
	if (o->exchange && !*o->exchange && !o->routing_key)
		return command_usage(command, "the default exchange needs a --routing-key");
	if (o->to_queue && !*o->to_queue)
		return command_usage(command, "no queue has an empty name");
	if (o->to_queue && strcmp(o->to_queue, o->queue) == 0)
		return command_usage(command, "that is where they are");
	if (w->dry_run && w->yes)
		return command_usage(command, "either --dry-run or --yes");
	if (!w->dry_run && !w->yes && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return command_usage(command, "nobody can be asked here: --yes, or --dry-run");
	return 0;
}

/* 0: go on. Positive: leave with *ret_status. */
static int parse(const struct command *command, int argc, char **argv, struct wish *w, int *ret_status) {
	if (command_parse_about_queue(command, argc, argv, options, parse_option, w, &w->replay.queue, ret_status) > 0)
		return 1;
	*ret_status = check(command, w);
	return *ret_status != 0;
}

/* Rows of a dry run. */
struct rows {
	struct columns *table; /* owned */
	uint64_t n;
	uint64_t now_sec;
};

static void rows_clear_cleanup(struct rows *r) {
	columns_free(r->table);
}

static int add_row(uint64_t n, const struct message *m, const struct letter *l, void *userdata) {
	struct rows *rows = userdata;

	return rows->n++ < ROWS_MAX ? look_row(rows->table, n, m, l, rows->now_sec, 0) : 0;
}

static int print(const struct ctl *ctl, const struct rows *rows, const struct replay_result *result, bool dry_run) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (rows && rows->n > 0)
		look_append(rows->table, look_terminal_width(), ctl->colour, &text);
	if (rows && rows->n > ROWS_MAX)
		strbuf_printf(&text, "... and %" PRIu64 " more\n", rows->n - ROWS_MAX);
	replay_tell(result, dry_run, &text);
	if (result->counted && (dry_run || result->taken > result->done))
		command_complain("note: in a quorum queue each look at a message that stays counts as a delivery");
	return command_print(&text);
}

/* Looks, and tells. */
static int rehearse(const struct ctl *ctl, struct session *s, const struct wish *w, struct replay_result *ret) {
	CLEANUP(rows_clear) struct rows rows = {.now_sec = w->replay.now_sec};
	struct replay_options o = w->replay;
	int status, printed;

	*ret = (struct replay_result){0};
	if (look_new(&rows.table) < 0) {
		command_complain("out of memory");
		return EXIT_FAILURE;
	}
	o.dry_run = true;
	o.chosen = add_row;
	o.userdata = &rows;
	status = replay_run(s, &o, ret);
	if (status != 0 && ret->taken == 0)
		return status;
	printed = print(ctl, &rows, ret, true);
	return status ? status : printed;
}

/* 0: yes. Else the exit status. */
static int ask(struct session *s, const struct replay_result *rehearsal) {
	char line[64];
	int r;

	printf("Replay %s? [y/N] ", rehearsal->done == 1 ? "it" : "them");
	(void)fflush(stdout);
	do
		r = session_wait(s, STDIN_FILENO, USEC_INFINITY);
	while (r == 0);
	if (r < 0) {
		putchar('\n');
		command_complain("%s", session_reason(s));
		return r == -EINTR ? EXIT_FAILURE : session_exit_status(s);
	}
	if (fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	command_complain("nothing was replayed");
	return EXIT_FAILURE;
}

static int replay(const struct ctl *ctl, struct session *s, struct wish *w) {
	CLEANUP(replay_result_clear) struct replay_result result = {0}, rehearsal = {0};
	int status = 0, printed;

	if (!w->yes) {
		status = rehearse(ctl, s, w, &rehearsal);
		if (w->dry_run || rehearsal.done == 0 || rehearsal.interrupted || !session_is_up(s))
			return status;
		status = ask(s, &rehearsal);
		if (status != 0)
			return status;
		/* What was shown, and nothing that has come since. */
		w->replay.there = rehearsal.there;
		w->replay.count = rehearsal.done;
	}
	status = replay_run(s, &w->replay, &result);
	if (status != 0 && result.taken == 0)
		return status;
	printed = print(ctl, NULL, &result, false);
	return status ? status : printed;
}

/* As which user the broker knows us; "": one cannot say. */
static const char *user_of(const struct config_broker *broker) {
	const char *name = broker->addresses[0].username;

	if (broker->auth != CONFIG_AUTH_PLAIN || !name)
		return "";
	for (size_t i = 1; i < broker->n_addresses; i++)
		if (!broker->addresses[i].username || strcmp(broker->addresses[i].username, name) != 0)
			return "";
	return name;
}

int command_replay(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(wish_clear)
	struct wish w = {.replay = {.count = UINT64_MAX, .there = UINT64_MAX}, .filter = FILTER_INIT};
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP(session_free) struct session *s = NULL;
	const struct config_broker *broker;
	int status;

	if (parse(command, argc, argv, &w, &status) > 0)
		return status;
	status = session_find_broker(&w.where, &config, &broker);
	if (status != 0)
		return status;
	status = command_catch_interrupts();
	if (status == 0)
		status = session_open_to(config, broker, command->name, &s);
	if (status != 0)
		return status;
	w.replay.filter = &w.filter;
	w.replay.user = user_of(broker);
	w.replay.timeout_usec = broker->confirm_timeout_usec;
	w.replay.now_sec = clock_realtime_usec() / USEC_PER_SEC;
	return replay(ctl, s, &w);
}
