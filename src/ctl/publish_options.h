/* SPDX-License-Identifier: MIT */
/* What "amqp-execctl publish" is told on its command line. */
#pragma once

#include "ctl/session.h"
#include "message/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the arguments are. */
enum publish_mode {
	PUBLISH_ARGUMENTS,  /* messages themselves */
	PUBLISH_FILES,      /* files, each a message */
	PUBLISH_STDIN,      /* there are none: what is on standard input is one message */
	PUBLISH_LINES,      /* files (none: standard input) with a message a line */
	PUBLISH_JSON_LINES, /* the same, in JSON */
};

struct publish_options {
	struct session_options session;
	const char *queue; /* NULL: not given, as the next two */
	const char *exchange;
	const char *routing_key;
	struct message *model; /* owned: the properties that were given */
	double rate;           /* messages a second; 0: as fast as it goes */
	size_t in_flight;
	uint64_t timeout_usec;
	bool quiet;
	enum publish_mode mode;
	char **arguments; /* borrowed; n of them */
	size_t n;
};

struct command;

/* Reads the command line. 0: go on. Positive: leave with *ret_status; what was wrong was told. To be cleared in any
 * case. */
int publish_options_read(const struct command *command, int argc, char **argv, struct publish_options *ret,
			 int *ret_status);
void publish_options_clear(struct publish_options *o);

static inline void publish_options_clear_cleanup(struct publish_options *o) {
	publish_options_clear(o);
}

/* Adds a header from "NAME=VALUE" or "NAME:TYPE=VALUE". -ENOMEM. -EINVAL: *ret_why (static) says what is wrong. */
int publish_options_add_header(struct table *headers, const char *s, const char **ret_why);

/* Gives the message the properties and the route of the command line, which go before its own; persistent if neither
 * says anything. -ENOMEM. */
int publish_options_apply(const struct publish_options *o, struct message *m);

extern const char publish_help[];
