/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "config/units.h"
#include "ctl/command.h"
#include "ctl/filter.h"
#include "ctl/giveback.h"
#include "ctl/letter.h"
#include "ctl/look.h"
#include "ctl/session.h"
#include "ctl/text.h"

#define COUNT_DEFAULT 20
#define COUNT_MAX 1000000
/* Of a quorum queue: the broker's own from RabbitMQ 4.0 on. Which one a queue has AMQP does not tell. */
#define DELIVERY_LIMIT 20
#define DELIVERY_LIMIT_CLOSE 15

enum { OPTION_COUNT = 256, OPTION_JSON, OPTION_BODY, OPTION_BODY_SIZE };

static const struct option options[] = {
	{"count", required_argument, NULL, OPTION_COUNT},
	{"json", no_argument, NULL, OPTION_JSON},
	{"body", no_argument, NULL, OPTION_BODY},
	{"body-size", required_argument, NULL, OPTION_BODY_SIZE},
	FILTER_OPTIONS,
	SESSION_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct peek {
	const char *queue; /* borrowed */
	uint64_t count;
	bool json;
	bool body_given;
	uint64_t body_max;
	struct filter filter;
	struct session_options where;

	struct session_channel *channel; /* borrowed from the session */
	FILE *lines;                     /* owned: JSON until it is printed; messages must not wait for a reader */
	struct columns *table;           /* owned */
	uint64_t there;                  /* messages when it began */
	uint64_t taken;
	uint64_t shown;
	uint64_t most_deliveries;
	struct held held;
};

static void peek_clear_cleanup(struct peek *p) {
	if (p->lines)
		(void)fclose(p->lines);
	columns_free(p->table);
	held_clear(&p->held);
	filter_clear(&p->filter);
	session_options_clear(&p->where);
}

static int parse_option(const struct command *command, int c, void *userdata) {
	struct peek *p = userdata;
	const char *why = NULL;
	int r;

	if (session_take_option(&p->where, c, optarg))
		return 0;
	r = filter_take_option(&p->filter, c, optarg, &why);
	if (r < 0)
		return command_usage(command, "\"%s\" %s", optarg, why);
	switch (c) {
	case OPTION_COUNT:
		if (!command_parse_count(optarg, COUNT_MAX, &p->count))
			return command_usage(command, "--count: \"%s\" is no number from 1 to %d", optarg, COUNT_MAX);
		break;
	case OPTION_JSON:
		p->json = true;
		break;
	case OPTION_BODY:
		p->body_max = LOOK_WHOLE_BODY;
		p->body_given = true;
		break;
	case OPTION_BODY_SIZE:
		if (units_parse_size(optarg, &p->body_max) < 0)
			return command_usage(command, "--body-size: \"%s\" is no size (\"200\", \"4K\")", optarg);
		p->body_given = true;
		break;
	default:
		break;
	}
	return 0;
}

/* 0: go on. Positive: leave with *ret_status. */
static int parse(const struct command *command, int argc, char **argv, struct peek *p, int *ret_status) {
	if (command_parse_about_queue(command, argc, argv, options, parse_option, p, &p->queue, ret_status) > 0)
		return 1;
	if (p->json && !p->body_given)
		p->body_max = LOOK_WHOLE_BODY;
	return 0;
}

static int show(struct peek *p, const struct message *m, const struct letter *l, uint64_t now_sec) {
	CLEANUP(strbuf_free) struct strbuf line = STRBUF_INIT;
	int r;

	p->shown++;
	if (!p->json)
		return look_row(p->table, p->taken, m, l, now_sec, p->body_max);
	r = look_json(m, l, p->body_max, &line);
	if (r == 0 && fwrite(line.data, 1, line.len, p->lines) != line.len)
		r = -errno;
	return r;
}

/* One message: 1: there may be another. The failures of the session; others are told, and end it with -ECANCELED. */
static int look_at_next(struct peek *p, uint64_t now_sec) {
	CLEANUP(message_free) struct message *m = NULL;
	struct letter l;
	uint64_t left;
	int r = session_get(p->channel, p->queue, &m, &left);

	if (r <= 0)
		return r;
	p->taken++;
	if (held_add(&p->held, m->delivery_tag) < 0) {
		command_complain("out of memory");
		return -ECANCELED;
	}
	letter_read(m, &l);
	p->held.counted |= l.counted;
	if (l.count > p->most_deliveries)
		p->most_deliveries = l.count;
	r = filter_match(&p->filter, m, &l, now_sec);
	if (r > 0)
		r = show(p, m, &l, now_sec);
	if (r < 0) {
		command_complain("%s", strerror(-r));
		return -ECANCELED;
	}
	return 1;
}

static int take(struct peek *p) {
	uint64_t now_sec = clock_realtime_usec() / USEC_PER_SEC;
	struct session_counts counts;
	int r = session_queue_check(p->channel, p->queue, &counts);

	if (r < 0)
		return r;
	p->there = counts.messages;
	/* Not more than there were: what comes meanwhile must not keep it going. */
	for (r = 1; r > 0 && p->shown < p->count && p->taken < p->there;)
		r = look_at_next(p, now_sec);
	return r < 0 ? r : 0;
}

static int print_lines(struct peek *p) {
	char buf[16384];
	size_t n;

	rewind(p->lines);
	while ((n = fread(buf, 1, sizeof(buf), p->lines)) > 0)
		if (fwrite(buf, 1, n, stdout) != n)
			break;
	if (ferror(p->lines) || ferror(stdout) || fflush(stdout) != 0) {
		command_complain("cannot write: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	return 0;
}

static int print_table(const struct ctl *ctl, const struct peek *p) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (p->shown > 0)
		look_append(p->table, look_terminal_width(), ctl->colour, &text);
	if (filter_is_empty(&p->filter))
		strbuf_printf(&text, "%" PRIu64 " of %" PRIu64 " message%s\n", p->shown, p->there,
			      text_plural(p->there));
	else
		strbuf_printf(&text,
			      "%" PRIu64 " message%s chosen, of %" PRIu64 " looked at, of %" PRIu64 " in the queue\n",
			      p->shown, text_plural(p->shown), p->taken, p->there);
	return command_print(&text);
}

static void warn(const struct peek *p) {
	if (p->held.counted && p->most_deliveries >= DELIVERY_LIMIT_CLOSE)
		command_complain("attention: this quorum queue has delivered a message %" PRIu64
				 " times before; each look counts, "
				 "and at its delivery limit (%d unless set, from RabbitMQ 4.0 on) the broker takes it "
				 "out of the "
				 "queue",
				 p->most_deliveries, DELIVERY_LIMIT);
	else if (p->held.counted)
		command_complain("note: in a quorum queue each look at a message counts as a delivery");
}

static int peek(struct ctl *ctl, struct session *s, struct peek *p) {
	int status = 0, printed, r = session_channel_open(s, &p->channel);

	if (r == 0)
		r = take(p);
	if (r == -ECANCELED) {
		status = EXIT_FAILURE;
	} else if (r < 0) {
		command_complain("%s", session_reason(s));
		status = session_exit_status(s);
	}
	if (p->channel)
		(void)giveback(s, p->channel, p->queue, &p->held);
	p->channel = NULL;
	/* From here on nothing is lost if nobody reads, which is nothing to complain about. */
	(void)signal(SIGPIPE, SIG_DFL);
	/* What was seen before it failed is worth showing. */
	if (r < 0 && p->shown == 0)
		return status;
	printed = p->json ? print_lines(p) : print_table(ctl, p);
	warn(p);
	return status ? status : printed;
}

int command_peek(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(peek_clear) struct peek p = {.count = COUNT_DEFAULT, .filter = FILTER_INIT};
	CLEANUP(session_free) struct session *s = NULL;
	int status;

	if (parse(command, argc, argv, &p, &status) > 0)
		return status;
	if (p.json)
		p.lines = tmpfile();
	if (p.json ? !p.lines : look_new(&p.table) < 0) {
		command_complain("%s", p.json ? strerror(errno) : "out of memory");
		return EXIT_FAILURE;
	}
	status = command_catch_interrupts();
	if (status == 0)
		status = session_open(&p.where, command->name, &s);
	return status ? status : peek(ctl, s, &p);
}
