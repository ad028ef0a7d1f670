/* SPDX-License-Identifier: MIT */
/* A daemon's control socket: HTTP requests, one after the other on one connection. */
#pragma once

#include "base/macro.h"
#include <jansson.h>
#include <stdint.h>

struct client;

/* What the daemon has answered. */
struct client_answer {
	unsigned status; /* of HTTP */
	json_t *body;    /* owned; NULL: no JSON */
};

#define CLIENT_ANSWER_INIT ((struct client_answer){0})

void client_answer_clear(struct client_answer *a);

static inline void client_answer_clear_cleanup(struct client_answer *a) {
	client_answer_clear(a);
}

/* For the socket of that path (borrowed); does not connect yet. -ENOMEM. -ENAMETOOLONG. */
int client_new(const char *path, struct client **ret);
struct client *client_free(struct client *c);
DEFINE_CLEANUP(struct client *, client_free);

/* Asks, and waits for the answer; `timeout_usec` is for all of it, USEC_INFINITY: as long as it takes. 0, whatever the
 * answer's status is. -ENOMEM. Errors with why in words in *ret_why (to be freed; NULL: no memory): -ENOENT: there is
 * no such socket; -ECONNREFUSED: nobody listens; -EACCES: not permitted, and who is; -EIO: anything else, a timeout for
 * example. And without: -EINTR: see client_set_wake. */
int client_ask(struct client *c, const char *method, const char *path, uint64_t timeout_usec, struct client_answer *ret,
	       char **ret_why);

/* Has a question given up, within a second, when this descriptor (borrowed; -1: none) is readable. */
void client_set_wake(struct client *c, int fd);

/* Appends a segment of a path, or a value of a query, percent-encoded. */
struct strbuf;
void client_append_encoded(struct strbuf *b, const char *s);
