/* SPDX-License-Identifier: MIT */
/* The commands of amqp-execctl, and what they share: each asks the daemon something, tells what it says, and returns an
 * exit status. */
#pragma once

#include "base/clock.h"
#include "ctl/client.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For questions that the daemon answers at once. */
#define COMMAND_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct strbuf;

struct ctl {
	const char *socket;    /* borrowed */
	struct client *client; /* owned */
	bool colour;           /* stdout is a terminal whose user wants colours */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line, without a full stop */
	const char *help;      /* more lines, on its arguments */
	/* argv[0] is the program's name. Returns the exit status; what went wrong was told. */
	int (*run)(struct ctl *ctl, const struct command *command, int argc, char **argv);
};

extern const struct command commands[];
extern const size_t n_commands;

int command_status(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_handlers(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_kill(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_reload(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_order(struct ctl *ctl, const struct command *command, int argc, char **argv); /* pause, resume */
int command_examine(struct ctl *ctl, const struct command *command, int argc, char **argv); /* check */
int command_drain(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_peek(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_replay(struct ctl *ctl, const struct command *command, int argc, char **argv);
int command_publish(struct ctl *ctl, const struct command *command, int argc, char **argv);

/* "amqp-execctl: TEXT" to stderr. */
void command_complain(const char *format, ...) PRINTF_LIKE(1, 2);

/* A wrong use of the command: says so, and where help is. Returns EX_USAGE. */
int command_usage(const struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* The second half of that, for errors that getopt(3) has told. */
int command_hint(const struct command *command);

/* interrupt_catch. Returns the exit status, after a complaint if it is not 0. */
int command_catch_interrupts(void);

/* A whole number from 1 to max. */
bool command_parse_count(const char *text, uint64_t max, uint64_t *ret);

struct option;

/* Reads the command line of a command that is about one queue: `take` gets each option (its value in optarg) but those for help, and returns 0
 * or, after a complaint, the exit status. 0: go on. Positive: leave with *ret_status. */
int command_parse_about_queue(const struct command *command, int argc, char **argv, const struct option *options,
			      int (*take)(const struct command *command, int c, void *userdata), void *userdata,
			      const char **ret_queue, int *ret_status);

/* Prints the help of one command to stdout. */
void command_print_help(const struct command *command);

/* Asks. 0: there is an answer. Else the exit status, after a complaint: the daemon cannot be reached. */
int command_ask(struct ctl *ctl, const char *method, const char *path, uint64_t timeout_usec,
		struct client_answer *ret);

/* What an answer that is an error means: complains, and returns the exit status. 0: it is none. */
int command_check(const struct client_answer *answer);

/* The same, with the complaint appended to a text. */
int command_explain(const struct client_answer *answer, struct strbuf *text);

/* Of the terminal that stdout is, in columns; 0: it is none, or nobody knows. */
size_t command_width(void);

/* Appends the JSON, a member a line, and a newline. A lack of memory makes the buffer fail. */
void command_append_json(json_t *body, struct strbuf *b);
/* The same in one line. */
void command_append_json_line(json_t *body, struct strbuf *b);

/* Writes the text to stdout. Returns the exit status: 0, or 1 after a complaint, also if the text is not whole for lack
 * of memory. */
int command_print(const struct strbuf *text);

/* Asks for the status each time that so much time has passed, and shows it, until somebody wants to go. Returns the
 * exit status. */
int command_watch(struct ctl *ctl, uint64_t interval_usec, bool as_json);

/* Which queues an order is for, from the command line. */
struct selection {
	char **names; /* borrowed; n of them; 0: all */
	int n;
	const char *broker; /* borrowed; NULL: not given */
	uint64_t timeout_usec;
};

/* Gives the order to all of them. Returns the exit status, the first one that is not 0. `text`: gets what is to be
 * printed; NULL: nothing. */
int command_order_queues(struct ctl *ctl, const char *order, const struct selection *s, struct strbuf *text);

/* Reads options and names of queues. 0: go on. Positive: leave with *ret_status. */
int command_select(const struct command *command, int argc, char **argv, bool all_by_default, bool with_timeout,
		   struct selection *ret, int *ret_status);
