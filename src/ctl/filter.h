/* SPDX-License-Identifier: MIT */
/* Which messages of a queue are meant: the options that peek and replay share. Pure but for memory. */
#pragma once

#include "ctl/letter.h"
#include "message/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct filter_wish;

/* Every kind of wish that was given has to be met; of several ids, reasons or origins one. */
struct filter {
	struct filter_wish *wishes; /* owned, n of them */
	size_t n;
	uint64_t older_usec; /* died longer ago than that; 0: whenever */
	uint64_t newer_usec; /* died since; USEC_INFINITY: whenever */
};

#define FILTER_INIT ((struct filter){.newer_usec = UINT64_MAX})

/* For getopt_long(3), as SESSION_OPTIONS. */
enum {
	FILTER_OPTION_HEADER = 1100,
	FILTER_OPTION_REASON,
	FILTER_OPTION_ORIGIN,
	FILTER_OPTION_ID,
	FILTER_OPTION_OLDER,
	FILTER_OPTION_NEWER,
};
#define FILTER_OPTIONS                                                                                                 \
	{"header", required_argument, NULL, FILTER_OPTION_HEADER},                                                     \
		{"reason", required_argument, NULL, FILTER_OPTION_REASON},                                             \
		{"origin", required_argument, NULL, FILTER_OPTION_ORIGIN},                                             \
		{"message-id", required_argument, NULL, FILTER_OPTION_ID},                                             \
		{"older-than", required_argument, NULL, FILTER_OPTION_OLDER}, {                                        \
		"newer-than", required_argument, NULL, FILTER_OPTION_NEWER                                             \
	}
#define FILTER_HELP                                                                                                    \
	"Which messages, if not all:\n"                                                                                \
	"      --header NAME=VALUE\n"                                                                                  \
	"                         with this header\n"                                                                  \
	"      --reason TEXT      whose reason, without the handler's words, has these (\"exit status 65\")\n"         \
	"      --origin QUEUE     that died in this queue\n"                                                           \
	"      --message-id ID    with this id; may be given several times\n"                                          \
	"      --older-than DURATION\n"                                                                                \
	"                         that died longer ago than this (\"2h\")\n"                                           \
	"      --newer-than DURATION\n"                                                                                \
	"                         that died since\n"

/* 1: it was one of these options, and is taken (the argument is borrowed); 0: it is none. Negative: it is wrong, and
 * *ret_why (static) says what; -EINVAL, or -ENOMEM. */
int filter_take_option(struct filter *f, int option, char *argument, const char **ret_why);
void filter_clear(struct filter *f);

static inline void filter_clear_cleanup(struct filter *f) {
	filter_clear(f);
}

/* Nothing is wished. */
bool filter_is_empty(const struct filter *f);

/* `now_sec` since 1970. -ENOMEM; else whether the message is meant. What has no time is neither older nor newer than
 * anything. */
int filter_match(const struct filter *f, const struct message *m, const struct letter *l, uint64_t now_sec);

/* Whether `text` has `words` in it as whole words, in letters of either case: "exit status 6" is not in "exit status
 * 65". */
bool filter_has_words(const char *text, size_t len, const char *words);
