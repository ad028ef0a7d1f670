/* SPDX-License-Identifier: MIT */
/* argv of a run: the handler's command with the values of its message in it. Pure, but for memory files that are read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/strbuf.h"
#include "config/config.h"
#include "message/message.h"
#include "message/template.h"

/* The longest argument that execve(2) takes (MAX_ARG_STRLEN on a machine with 4 KiB pages), without its NUL. */
#define ARGUMENT_MAX 131071
/* A message's values cannot be passed on: its own fault. */
#define ARGUMENTS_REFUSED 1

/* A handler's command, parsed once. */
struct command {
	size_t n;		    /* arguments, argv[0] included */
	struct template *templates; /* n of them, the first one empty; owned */
	const char **fixed;	    /* n, NULL-terminated: what is the same each time, "" where it is not; owned, its texts borrowed */
	bool constant;		    /* all of them are the same each time */
};

/* `argv` is handler.command, and outlives the result. -EINVAL: one is no template, which the configuration does not allow; -ENOMEM. */
int command_parse(char *const *argv, struct command *ret);
void command_clear(struct command *c);

/* The arguments of one run; used again and again. */
struct argument_list {
	const char *const *vector; /* the result, NULL-terminated; points into the command or into what follows */
	size_t message_size;	   /* what the message brings, as execve(2) counts */
	char refusal[192];	   /* ARGUMENTS_REFUSED: which one cannot be passed, and why; one printable line */

	/* How it is made. */
	const char **own;  /* n_allocated pointers; owned */
	size_t *offsets;   /* as many, of the varying ones in text; owned */
	size_t n_allocated;
	struct strbuf text; /* the varying ones, NULs included */
};

#define ARGUMENT_LIST_INIT ((struct argument_list){0})

void arguments_clear(struct argument_list *a);

/* Builds argv for one message into `a`, which was initialised or used before; constant arguments cost nothing. `max`: of
 * message_size. 0, or ARGUMENTS_REFUSED. -ENOMEM, -errno of mmap(2). */
int arguments_build(struct argument_list *a, const struct command *c, const struct config_queue *queue, const struct message *m,
		    unsigned attempt, size_t max);

/* The system has found what arguments_build made too long. Says so in `refusal`. Returns ARGUMENTS_REFUSED. */
int arguments_refuse_size(struct argument_list *a);
