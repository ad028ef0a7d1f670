/* SPDX-License-Identifier: MIT */
/* A broker for unit tests: just enough AMQP 0-9-1 to log in, to declare, to consume and to settle, and to misbehave on
 * request. It serves one connection after the other, on a thread of its own. */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_broker {
	int listen_fd;
	uint16_t port;
	pthread_t thread;
	/* What it does; set before it is started. */
	bool refuse_login;           /* answers the login with 403 */
	bool mute;                   /* accepts, and never says a word */
	unsigned deliveries;         /* messages sent after each basic.consume */
	bool garbage_after_delivery; /* a body frame out of place, once */
	bool missing_queue_once;     /* the first queue.declare is answered with channel.close 404 */
	bool cancel_after_delivery;  /* basic.cancel by the broker, once */
	bool block_after_consume;    /* connection.blocked, then connection.unblocked */
	bool mute_on_cancel;         /* basic.cancel is not answered */
	/* What it saw. */
	atomic_uint connections;
	atomic_uint delivered; /* what `deliveries` asked for */
	atomic_uint acks;
	atomic_uint rejects;
	atomic_uint nacks;
	atomic_uint cancels;
	atomic_uint closes;   /* connection.close: the orderly end */
	atomic_int client_fd; /* of the connection being served, or -1 */
	atomic_bool ended;
};

struct fake_buffer {
	uint8_t data[1024];
	size_t len;
};

static inline void fake_put(struct fake_buffer *b, const void *data, size_t len) {
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void fake_put_number(struct fake_buffer *b, uint64_t value, unsigned n) {
	while (n-- > 0)
		b->data[b->len++] = (uint8_t)(value >> 8 * n);
}

static inline void fake_put_short(struct fake_buffer *b, const char *s) {
	fake_put_number(b, strlen(s), 1);
	fake_put(b, s, strlen(s));
}

static inline void fake_put_long(struct fake_buffer *b, const char *s) {
	fake_put_number(b, strlen(s), 4);
	fake_put(b, s, strlen(s));
}

/* False once the peer is gone. */
static inline bool fake_send(int fd, unsigned type, unsigned channel, const struct fake_buffer *payload) {
	struct fake_buffer b = {.len = 0};

	fake_put_number(&b, type, 1);
	fake_put_number(&b, channel, 2);
	fake_put_number(&b, payload->len, 4);
	fake_put(&b, payload->data, payload->len);
	fake_put_number(&b, 0xce, 1);
	return send(fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len;
}

static inline struct fake_buffer fake_method(unsigned class_id, unsigned method_id) {
	struct fake_buffer b = {.len = 0};

	fake_put_number(&b, class_id, 2);
	fake_put_number(&b, method_id, 2);
	return b;
}

static inline bool fake_read(int fd, void *data, size_t len) {
	return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static inline void fake_deliver(int fd, unsigned channel, uint64_t tag) {
	struct fake_buffer b = fake_method(60, 60);

	fake_put_short(&b, "fake-tag");
	fake_put_number(&b, tag, 8);
	fake_put_number(&b, 0, 1);
	fake_put_short(&b, "");
	fake_put_short(&b, "work");
	(void)fake_send(fd, 1, channel, &b);
	b.len = 0;
	fake_put_number(&b, 60, 2);
	fake_put_number(&b, 0, 2);
	fake_put_number(&b, 5, 8);
	fake_put_number(&b, 0, 2);
	(void)fake_send(fd, 2, channel, &b);
	b.len = 0;
	fake_put(&b, "hello", 5);
	(void)fake_send(fd, 3, channel, &b);
}

static inline void fake_after_consume(struct fake_broker *f, int fd, unsigned channel, uint64_t *tag) {
	struct fake_buffer b;

	for (unsigned i = 0; i < f->deliveries; i++) {
		fake_deliver(fd, channel, ++*tag);
		atomic_fetch_add(&f->delivered, 1);
	}
	if (f->block_after_consume) {
		b = fake_method(10, 60);
		fake_put_short(&b, "low on \x1b memory");
		(void)fake_send(fd, 1, 0, &b);
		b = fake_method(10, 61);
		(void)fake_send(fd, 1, 0, &b);
	}
	if (f->cancel_after_delivery) {
		f->cancel_after_delivery = false;
		b = fake_method(60, 30);
		fake_put_short(&b, "fake-tag");
		fake_put_number(&b, 1, 1);
		(void)fake_send(fd, 1, channel, &b);
	}
	if (f->garbage_after_delivery) {
		f->garbage_after_delivery = false;
		b.len = 0;
		fake_put(&b, "stray", 5);
		(void)fake_send(fd, 3, channel, &b);
	}
}

/* Answers one method; false ends the connection. */
static inline bool fake_answer(struct fake_broker *f, int fd, unsigned channel, uint32_t id, uint64_t *tag) {
	struct fake_buffer b;

	switch (id) {
	case 10 << 16 | 11: /* start-ok */
		if (f->refuse_login) {
			b = fake_method(10, 50);
			fake_put_number(&b, 403, 2);
			fake_put_short(&b, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.");
			fake_put_number(&b, 0, 4);
			return fake_send(fd, 1, 0, &b);
		}
		b = fake_method(10, 30);
		fake_put_number(&b, 2047, 2);
		fake_put_number(&b, 131072, 4);
		fake_put_number(&b, 60, 2);
		return fake_send(fd, 1, 0, &b);
	case 10 << 16 | 40: /* open */
		b = fake_method(10, 41);
		fake_put_short(&b, "");
		return fake_send(fd, 1, 0, &b);
	case 10 << 16 | 50: /* connection.close */
		atomic_fetch_add(&f->closes, 1);
		b = fake_method(10, 51);
		return fake_send(fd, 1, 0, &b);
	case 20 << 16 | 10: /* channel.open */
		b = fake_method(20, 11);
		fake_put_long(&b, "");
		return fake_send(fd, 1, channel, &b);
	case 50 << 16 | 10: /* queue.declare */
		if (f->missing_queue_once) {
			f->missing_queue_once = false;
			b = fake_method(20, 40);
			fake_put_number(&b, 404, 2);
			fake_put_short(&b, "NOT_FOUND - no queue 'work' in vhost '/'");
			fake_put_number(&b, 0, 4);
			return fake_send(fd, 1, channel, &b);
		}
		b = fake_method(50, 11);
		fake_put_short(&b, "work");
		fake_put_number(&b, 0, 8);
		return fake_send(fd, 1, channel, &b);
	case 60 << 16 | 10: /* qos */
		b = fake_method(60, 11);
		return fake_send(fd, 1, channel, &b);
	case 60 << 16 | 20: /* consume */
		b = fake_method(60, 21);
		fake_put_short(&b, "fake-tag");
		if (!fake_send(fd, 1, channel, &b))
			return false;
		fake_after_consume(f, fd, channel, tag);
		return true;
	case 60 << 16 | 30: /* cancel */
		if (f->mute_on_cancel) {
			atomic_fetch_add(&f->cancels, 1);
			return true;
		}
		/* One that was sent already when the cancel came: it belongs to the consumer still. */
		fake_deliver(fd, channel, ++*tag);
		atomic_fetch_add(&f->cancels, 1);
		b = fake_method(60, 31);
		fake_put_short(&b, "fake-tag");
		return fake_send(fd, 1, channel, &b);
	case 60 << 16 | 80:
		atomic_fetch_add(&f->acks, 1);
		return true;
	case 60 << 16 | 90:
		atomic_fetch_add(&f->rejects, 1);
		return true;
	case 60 << 16 | 120:
		atomic_fetch_add(&f->nacks, 1);
		return true;
	default:
		return true;
	}
}

static inline void fake_serve(struct fake_broker *f, int fd) {
	struct fake_buffer b = fake_method(10, 10);
	uint64_t tag = 0;
	uint8_t head[8];

	if (!fake_read(fd, head, 8))
		return;
	if (f->mute) {
		(void)fake_read(fd, head, 8);
		return;
	}
	fake_put_number(&b, 9, 2);
	fake_put_number(&b, 0, 4);
	fake_put_long(&b, "PLAIN AMQPLAIN");
	fake_put_long(&b, "en_US");
	(void)fake_send(fd, 1, 0, &b);
	while (fake_read(fd, head, 7)) {
		uint32_t len = (uint32_t)head[3] << 24 | (uint32_t)head[4] << 16 | (uint32_t)head[5] << 8 | head[6];
		uint8_t payload[8192];
		uint32_t id;

		if (len + 1 > sizeof(payload) || !fake_read(fd, payload, len + 1))
			return;
		if (head[0] != 1)
			continue;
		id = (uint32_t)payload[0] << 24 | (uint32_t)payload[1] << 16 | (uint32_t)payload[2] << 8 | payload[3];
		if (!fake_answer(f, fd, (unsigned)head[1] << 8 | head[2], id, &tag))
			return;
	}
}

static inline void *fake_main(void *arg) {
	struct fake_broker *f = arg;
	int fd;

	while ((fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (atomic_load(&f->ended)) {
			close(fd);
			break;
		}
		atomic_store(&f->client_fd, fd);
		atomic_fetch_add(&f->connections, 1);
		fake_serve(f, fd);
		atomic_store(&f->client_fd, -1);
		close(fd);
	}
	return NULL;
}

static inline void fake_start(struct fake_broker *f) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	atomic_init(&f->client_fd, -1);
	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(f->listen_fd, 0);
	ck_assert_int_eq(bind(f->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(f->listen_fd, 8), 0);
	ck_assert_int_eq(getsockname(f->listen_fd, (struct sockaddr *)&a, &len), 0);
	f->port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

/* The client has gone before. */
static inline void fake_stop(struct fake_broker *f) {
	atomic_store(&f->ended, true);
	(void)shutdown(f->listen_fd, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(f->thread, NULL), 0);
	close(f->listen_fd);
}
