/* SPDX-License-Identifier: MIT */
/* The environment of a handler, from scratch for each message. Pure, but for a random key; one object is used again and
 * again, so that a run costs no allocation for it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "config/config.h"
#include "message/message.h"

/* The longest "NAME=value" with its NUL that execve(2) takes (MAX_ARG_STRLEN on a machine with 4 KiB pages). */
#define ENVIRONMENT_STRING_MAX 131072
/* What the variables from one message may take, as execve(2) counts: strings, NULs and pointers. */
#define ENVIRONMENT_MESSAGE_MAX 524288
/* The same when execve(2) has found it too much (RLIMIT_STACK is small): fits its least limit, 128 KiB, with room. */
#define ENVIRONMENT_MESSAGE_SMALL 32768
/* How many headers of a message become variables. */
#define ENVIRONMENT_HEADERS_MAX 1000

struct environment {
	const char **vector;   /* the result: "NAME=value", NULL-terminated; points into `text`; owned */
	size_t n;              /* strings in it */
	struct strbuf omitted; /* what of the message was left out, and why: one printable line; empty if nothing */
	size_t n_omitted;

	/* How it is made. */
	struct strbuf text;  /* the strings, NULs included */
	size_t *offsets;     /* of each variable in text; owned */
	size_t n_allocated;  /* entries of offsets, and one less than of vector */
	uint32_t *slots;     /* hash of the names: 0 or 1 + index of the variable; owned */
	size_t n_slots;      /* a power of two, at least twice n_allocated */
	uint64_t key[2];     /* of the hash */
	bool has_key;        /* the key is random, and secret */
	size_t n_fixed;      /* variables before the first header's */
	size_t n_headers;    /* variables from headers */
	size_t message_size; /* of the message's variables so far, as execve(2) counts */
	size_t message_max;
};

#define ENVIRONMENT_INIT ((struct environment){0})

void environment_clear(struct environment *env);

static inline void environment_clear_cleanup(struct environment *env) {
	environment_clear(env);
}

/* Builds the environment described at run_start (run.h) for one message (NULL: for a worker, without any) into `env`, which was initialised or used
 * before. handler.metadata says which part of the message is in it. `home` and `user` become HOME and USER. Left out, and told in `omitted`: what contains NUL, makes a string
 * longer than ENVIRONMENT_STRING_MAX, goes beyond message_max in all (headers only: everything else is small and comes
 * first), headers after the first ENVIRONMENT_HEADERS_MAX variables, headers without a name, and headers whose variable
 * an earlier one has. -ENOMEM. */
int environment_build(struct environment *env, const char *home, const char *user, const struct config_queue *queue,
		      const struct message *m, unsigned attempt, size_t message_max);
