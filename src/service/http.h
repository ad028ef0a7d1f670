/* SPDX-License-Identifier: MIT */
/* A small HTTP/1.1 server in the event loop, for a few local clients: one callback for each complete request, which is
 * answered at once or later. Nothing here blocks, and everything that a client can make us hold or wait for has a
 * limit. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct strbuf;

struct http_limits {
	unsigned connections; /* in all; a further one is closed at once */
	size_t header_size;   /* bytes of the request line and the headers together; beyond: 431 */
	size_t body_size; /* bytes of a request's body; beyond: 413, or the end of the connection if no length was given
			     before */
	size_t answers_size; /* bytes of large answers that wait to be taken, together; with one of them beyond: 503 instead
				of it, unless it is the only one */
	uint64_t request_usec;  /* for a complete request, from the connection's start or the answer before; then the
				   connection ends */
	uint64_t response_usec; /* for the client to take the whole answer; then the connection ends */
};

/* 64 connections, 16 KiB, 64 KiB, 64 MiB, 10 s, 30 s. */
extern const struct http_limits http_limits_default;

/* Who is at the other end, as it was when it connected. */
struct http_peer {
	bool known; /* false: it came by TCP, and could be anybody; the others are 0 */
	pid_t pid;
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary; n_groups of them, borrowed */
	size_t n_groups;
};

struct http_server;

/* One request, until it is answered. The server owns it. */
struct http_request;

struct http_callbacks {
	/* A complete request. It is answered, in here or later, by exactly one http_respond or http_respond_error,
	 * after which it must not be touched. Until then it stays valid, even if the client is gone: the answer is then
	 * thrown away. */
	void (*request)(struct http_request *request, void *userdata);
};

/* A server without sockets. The limits are copied, callbacks and userdata borrowed. -ENOMEM, or an errno of sd-event.
 */
int http_new(sd_event *event, const struct http_limits *limits, const struct http_callbacks *callbacks, void *userdata,
	     struct http_server **ret);

/* Ends all connections; requests that are not answered yet are gone, too. Not to be called from a callback. NULL-safe,
 * returns NULL. */
struct http_server *http_free(struct http_server *s);
DEFINE_CLEANUP(struct http_server *, http_free);

/* Accepts connections from a listening stream socket, which is the server's from now on, also if this fails. It is made
 * non-blocking. -ENOMEM, or an errno of sd-event or fcntl(2). */
int http_add_socket(struct http_server *s, int fd);

/* Closes all listening sockets; the connections that were accepted live on. */
void http_drop_sockets(struct http_server *s);

/* "GET"; "HEAD" is given as "GET". */
const char *http_request_method(const struct http_request *r);

/* The parts of the path between slashes, each percent-decoded: of "/v1/queues/a%2fb" they are "v1", "queues" and "a/b".
 * NULL beyond the last one. Borrowed. */
const char *http_request_segment(const struct http_request *r, size_t i);

/* The first value of that parameter of the query, percent-decoded, "" if it has none; NULL: not there. Borrowed. */
const char *http_request_parameter(const struct http_request *r, const char *name);

/* The body; followed by a NUL that does not count. Borrowed. */
const char *http_request_body(const struct http_request *r, size_t *ret_len);

const struct http_peer *http_request_peer(const struct http_request *r);

/* Whether an answer as large as the last large one would be 503 now, with this text: nobody need make it then. */
#define HTTP_CROWDED "too many large answers are being sent"
bool http_request_is_crowded(const struct http_request *r);

/* Answers, with what is in the buffer, which is empty afterwards. If that has failed for lack of memory, the connection
 * ends instead. `type`: static. */
void http_respond(struct http_request *r, unsigned status, const char *type, struct strbuf *body);

/* Answers {"error": "..."}. */
void http_respond_error(struct http_request *r, unsigned status, const char *format, ...) PRINTF_LIKE(3, 4);

/* The same, 405, with the methods that there are, as the header Allow has them (static). */
void http_respond_method(struct http_request *r, const char *allow);
