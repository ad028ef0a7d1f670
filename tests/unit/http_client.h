/* SPDX-License-Identifier: MIT */
/* A client that says over a Unix socket what it is told, while the server's event loop runs in the same thread. */
#pragma once

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"

/* A test that waits for something gives up then. */
#define CLIENT_PATIENCE_USEC (20 * USEC_PER_SEC)

static inline struct sockaddr_un client_address(const char *path) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	ck_assert_uint_lt(strlen(path), sizeof(a.sun_path));
	strcpy(a.sun_path, path);
	return a;
}

/* A listening socket of that path. */
static inline int client_listener(const char *path, int backlog) {
	struct sockaddr_un a = client_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static inline int client_connect(const char *path) {
	struct sockaddr_un a = client_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* One turn of the loop, or 20 ms without any event. */
static inline void client_turn(sd_event *event) {
	ck_assert_int_ge(sd_event_run(event, 20 * USEC_PER_MSEC), 0);
}

/* As much as the other side takes, while the loop runs. False: it has closed. */
static inline bool client_send_bytes(sd_event *event, int fd, const char *data, size_t len) {
	uint64_t until = clock_now_usec() + CLIENT_PATIENCE_USEC;

	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		ck_assert_uint_lt(clock_now_usec(), until);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		client_turn(event);
	}
	return true;
}

static inline bool client_send(sd_event *event, int fd, const char *text) {
	return client_send_bytes(event, fd, text, strlen(text));
}

/* Appends what comes. True: the other side has closed. */
static inline bool client_receive(int fd, struct strbuf *b) {
	char piece[4096];

	for (;;) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n > 0)
			strbuf_append(b, piece, (size_t)n);
		else
			return n == 0 || errno != EAGAIN;
	}
}

/* Everything until the other side closes. */
static inline void client_receive_all(sd_event *event, int fd, struct strbuf *b) {
	uint64_t until = clock_now_usec() + CLIENT_PATIENCE_USEC;

	while (!client_receive(fd, b)) {
		ck_assert_uint_lt(clock_now_usec(), until);
		client_turn(event);
	}
}

/* The status of the first answer in the buffer, or 0, and its body, once both are there as a whole; taken out of the
 * buffer. */
static inline unsigned client_take_answer(struct strbuf *b, struct strbuf *ret_head, struct strbuf *ret_body) {
	const char *text = strbuf_str(b), *end = strstr(text, "\r\n\r\n"), *length;
	size_t head, body;
	unsigned status;

	if (!end || sscanf(text, "HTTP/1.1 %u ", &status) != 1)
		return 0;
	head = (size_t)(end - text) + 4;
	length = strcasestr(text, "\r\nContent-Length: ");
	ck_assert(length && length < end);
	body = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
	if (b->len < head + body)
		return 0;
	strbuf_reset(ret_head);
	strbuf_append(ret_head, text, head);
	strbuf_reset(ret_body);
	strbuf_append(ret_body, text + head, body);
	memmove(b->data, b->data + head + body, b->len - head - body + 1);
	b->len -= head + body;
	return status;
}

/* The next answer that comes, as above. */
static inline unsigned client_answer(sd_event *event, int fd, struct strbuf *rest, struct strbuf *ret_head,
				     struct strbuf *ret_body) {
	uint64_t until = clock_now_usec() + CLIENT_PATIENCE_USEC;
	unsigned status;

	for (;;) {
		bool closed = client_receive(fd, rest);

		status = client_take_answer(rest, ret_head, ret_body);
		if (status)
			return status;
		ck_assert_msg(!closed, "closed without an answer: \"%s\"", strbuf_str(rest));
		ck_assert_uint_lt(clock_now_usec(), until);
		client_turn(event);
	}
}

/* Sends this and returns the status of what comes; the body in *ret_body. */
static inline unsigned client_ask(sd_event *event, int fd, const char *text, struct strbuf *ret_body) {
	CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT, head = STRBUF_INIT;

	ck_assert(client_send(event, fd, text));
	return client_answer(event, fd, &rest, &head, ret_body);
}
