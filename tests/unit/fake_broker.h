/* SPDX-License-Identifier: MIT */
/* A broker for unit tests: just enough AMQP 0-9-1 to log in, to declare, to consume and to settle, to publish and to
 * confirm, and to misbehave on request. It serves one connection after the other, on a thread of its own. What the test sends
 * itself (fake_ack and so on) goes to the connection that is being served. */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_CHANNELS 16
#define FAKE_CHANNEL_OPEN (20 << 16 | 10)
#define FAKE_CHANNEL_CLOSE (20 << 16 | 40)
#define FAKE_EXCHANGE_DECLARE (40 << 16 | 10)
#define FAKE_QUEUE_DECLARE (50 << 16 | 10)
#define FAKE_QUEUE_BIND (50 << 16 | 20)
#define FAKE_BASIC_QOS (60 << 16 | 10)
#define FAKE_BASIC_CONSUME (60 << 16 | 20)
#define FAKE_BASIC_CANCEL (60 << 16 | 30)
#define FAKE_BASIC_GET (60 << 16 | 70)
#define FAKE_NAMES 64
#define FAKE_UNSETTLED 1024

/* What is being published on a channel. */
struct fake_content {
	char routing_key[256];
	uint64_t left;	/* of the body */
	uint64_t sum;	/* of the body so far: see fake_sum */
	unsigned offset;
	uint64_t tag;
};

/* What was delivered on a channel. */
struct fake_deliveries {
	uint64_t tag;			    /* the last one */
	uint64_t unsettled[FAKE_UNSETTLED]; /* tags, in order */
	unsigned n;
};

struct fake_broker {
	int listen_fd;
	uint16_t port;
	pthread_t thread;
	/* What it does; set before it is started. */
	atomic_bool refuse_login;    /* answers the login with 403 */
	bool mute;                   /* accepts, and never says a word */
	const char *product;         /* that it says it is; NULL: nothing */
	unsigned channel_max;        /* 0: 2047 */
	unsigned deliveries;         /* messages sent after each basic.consume */
	unsigned messages;           /* that basic.get finds, one after the other; after them the queue is empty */
	bool count_requeued;         /* `depth` grows by what is requeued by basic.nack */
	uint64_t tags_before;        /* what the first tag of a channel comes after */
	bool garbage_after_delivery; /* a body frame out of place, once */
	bool repeat_tag;             /* the second message has the tag of the first, once */
	bool missing_queue_once;     /* the first queue.declare is answered with channel.close 404 */
	bool cancel_after_delivery;  /* basic.cancel by the broker, once */
	bool block_after_consume;    /* connection.blocked, then connection.unblocked */
	bool mute_on_cancel;         /* basic.cancel is not answered */
	const char *refused_queue;   /* queue.declare of this one is answered with channel.close 406 */
	const char *_Atomic missing_queue; /* likewise, with 404 */
	atomic_uint depth;           /* what queue.declare-ok says of messages */
	atomic_uint consumers;       /* likewise */
	bool mute_on_confirm_select; /* confirm.select is not answered, once */
	atomic_bool hold_declares;   /* queue.declare is not answered */
	atomic_uint hold_method;     /* the next such method (class << 16 | method) is not answered; 0: none */
	bool deliver_on_close;       /* a message that was sent already when the channel.close came */
	atomic_bool hold_confirms;   /* nothing that is published is confirmed, but by the test */
	atomic_bool deaf;            /* does not read */
	atomic_bool slow;            /* takes its time to read */
	/* What it saw. */
	atomic_uint connections;
	atomic_uint delivered; /* what `deliveries` asked for */
	atomic_uint acks;
	atomic_uint rejects;
	atomic_uint discards; /* basic.reject without requeue */
	atomic_uint nacks;
	atomic_uint settled;      /* messages: one basic.ack may be about many */
	atomic_uint unknown_tags; /* settlements of what was not delivered, or was settled; the channel is closed with 406 */
	/* "ack 1, reject 2, cancel, ack ..5, 2: ack 1": what it was told, in order, that of channels other than 1 with their number. As
	 * far as there is room, and to be read after what is counted here. */
	char told[1024];
	atomic_uint cancels;
	atomic_uint closes;   /* connection.close: the orderly end */
	atomic_int client_fd; /* of the connection being served, or -1 */
	atomic_bool ended;
	atomic_bool is_publisher; /* the client's name says so */
	atomic_uint optional;     /* basic.publish that is not mandatory */
	atomic_uint opens;        /* channel.open */
	atomic_uint opened;       /* the last channel that was opened */
	atomic_uint channel_closes; /* channel.close; held back or not */
	atomic_uint late;         /* the method that was held back, by hold_method, and has not been answered yet; 0: none */
	unsigned late_channel;
	atomic_ullong largest;    /* body frame */
	atomic_ullong body_bytes; /* that arrived */
	atomic_uint declares;     /* answered or not */
	atomic_uint published;    /* complete messages; the first FAKE_NAMES of them: */
	char names[FAKE_NAMES][256];
	uint64_t sums[FAKE_NAMES];
	unsigned channels[FAKE_NAMES];
	char declared[FAKE_NAMES][256];
	struct fake_content content[FAKE_CHANNELS]; /* the fake's own */
	struct fake_deliveries deliveries_of[FAKE_CHANNELS]; /* likewise */
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

/* Header and body of a message of 5 bytes. */
static inline void fake_hello(int fd, unsigned channel) {
	struct fake_buffer b = {.len = 0};

	fake_put_number(&b, 60, 2);
	fake_put_number(&b, 0, 2);
	fake_put_number(&b, 5, 8);
	fake_put_number(&b, 0, 2);
	(void)fake_send(fd, 2, channel, &b);
	b.len = 0;
	fake_put(&b, "hello", 5);
	(void)fake_send(fd, 3, channel, &b);
}

static inline uint64_t fake_next_tag(struct fake_broker *f, unsigned channel) {
	struct fake_deliveries *d = &f->deliveries_of[channel];

	if (f->repeat_tag && d->n == 1)
		f->repeat_tag = false;
	else
		d->tag++;
	if (d->n < FAKE_UNSETTLED)
		d->unsettled[d->n++] = d->tag;
	return d->tag;
}

static inline void fake_deliver(struct fake_broker *f, int fd, unsigned channel) {
	struct fake_buffer b = fake_method(60, 60);

	fake_put_short(&b, "fake-tag");
	fake_put_number(&b, fake_next_tag(f, channel), 8);
	fake_put_number(&b, 0, 1);
	fake_put_short(&b, "");
	fake_put_short(&b, "work");
	(void)fake_send(fd, 1, channel, &b);
	fake_hello(fd, channel);
}

static inline bool fake_get(struct fake_broker *f, int fd, unsigned channel) {
	struct fake_buffer b = fake_method(60, f->messages ? 71 : 72);

	if (f->messages == 0) {
		fake_put_short(&b, "");
		return fake_send(fd, 1, channel, &b);
	}
	fake_put_number(&b, fake_next_tag(f, channel), 8);
	fake_put_number(&b, 0, 1);
	fake_put_short(&b, "");
	fake_put_short(&b, "work");
	fake_put_number(&b, --f->messages, 4);
	if (!fake_send(fd, 1, channel, &b))
		return false;
	fake_hello(fd, channel);
	return true;
}

static inline void fake_after_consume(struct fake_broker *f, int fd, unsigned channel) {
	struct fake_buffer b;

	for (unsigned i = 0; i < f->deliveries; i++) {
		fake_deliver(f, fd, channel);
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

static inline void fake_confirm(int fd, unsigned channel, unsigned method, uint64_t tag, bool multiple) {
	struct fake_buffer b = fake_method(60, method);

	fake_put_number(&b, tag, 8);
	fake_put_number(&b, multiple, 1);
	(void)fake_send(fd, 1, channel, &b);
}

static inline void fake_ack(struct fake_broker *f, unsigned channel, uint64_t tag, bool multiple) {
	fake_confirm(atomic_load(&f->client_fd), channel, 80, tag, multiple);
}

static inline void fake_nack(struct fake_broker *f, unsigned channel, uint64_t tag, bool multiple) {
	fake_confirm(atomic_load(&f->client_fd), channel, 120, tag, multiple);
}

/* basic.return with its content; message_id may be NULL. */
static inline void fake_return(struct fake_broker *f, unsigned channel, const char *exchange, const char *routing_key,
			       const char *message_id, unsigned body_size) {
	int fd = atomic_load(&f->client_fd);
	struct fake_buffer b = fake_method(60, 50);

	fake_put_number(&b, 312, 2);
	fake_put_short(&b, "NO_ROUTE");
	fake_put_short(&b, exchange);
	fake_put_short(&b, routing_key);
	(void)fake_send(fd, 1, channel, &b);
	b.len = 0;
	fake_put_number(&b, 60, 2);
	fake_put_number(&b, 0, 2);
	fake_put_number(&b, body_size, 8);
	fake_put_number(&b, message_id ? 1 << 7 : 0, 2);
	if (message_id)
		fake_put_short(&b, message_id);
	(void)fake_send(fd, 2, channel, &b);
	while (body_size > 0) {
		b.len = body_size < 512 ? body_size : 512;
		memset(b.data, 'r', b.len);
		(void)fake_send(fd, 3, channel, &b);
		body_size -= (unsigned)b.len;
	}
}

static inline void fake_send_close(int fd, unsigned channel, unsigned code, const char *text) {
	struct fake_buffer b = fake_method(20, 40);

	fake_put_number(&b, code, 2);
	fake_put_short(&b, text);
	fake_put_number(&b, 0, 4);
	(void)fake_send(fd, 1, channel, &b);
}

static inline void fake_close_channel(struct fake_broker *f, unsigned channel, unsigned code, const char *text) {
	fake_send_close(atomic_load(&f->client_fd), channel, code, text);
}

/* connection.close */
static inline void fake_close_connection(struct fake_broker *f, unsigned code, const char *text) {
	struct fake_buffer b = fake_method(10, 50);

	fake_put_number(&b, code, 2);
	fake_put_short(&b, text);
	fake_put_number(&b, 0, 4);
	(void)fake_send(atomic_load(&f->client_fd), 1, 0, &b);
}

static inline void fake_block(struct fake_broker *f, bool blocked) {
	struct fake_buffer b = fake_method(10, blocked ? 60 : 61);

	if (blocked)
		fake_put_short(&b, "low on memory");
	(void)fake_send(atomic_load(&f->client_fd), 1, 0, &b);
}

static inline void fake_flow(struct fake_broker *f, unsigned channel, bool active) {
	struct fake_buffer b = fake_method(20, 20);

	fake_put_number(&b, active, 1);
	(void)fake_send(atomic_load(&f->client_fd), 1, channel, &b);
}

/* A sum that tells where in a body each byte is. */
static inline uint64_t fake_sum(uint64_t sum, const uint8_t *data, size_t len) {
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + data[i];
	return sum;
}

/* A short string of a method. */
static inline const uint8_t *fake_get_short(const uint8_t *p, char *ret) {
	memcpy(ret, p + 1, *p);
	ret[*p] = '\0';
	return p + 1 + *p;
}

static inline void fake_declare(struct fake_broker *f, int fd, unsigned channel, const uint8_t *arguments) {
	unsigned n = atomic_load(&f->declares);
	char *name = f->declared[n % FAKE_NAMES];
	struct fake_buffer b = fake_method(50, 11);

	(void)fake_get_short(arguments + 2, name);
	if (f->refused_queue && strcmp(name, f->refused_queue) == 0) {
		fake_send_close(fd, channel, 406, "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl'");
	} else if (atomic_load(&f->missing_queue) && strcmp(name, atomic_load(&f->missing_queue)) == 0) {
		fake_send_close(fd, channel, 404, "NOT_FOUND - no queue");
	} else if (!atomic_load(&f->hold_declares)) {
		fake_put_short(&b, name);
		fake_put_number(&b, atomic_load(&f->depth), 4);
		fake_put_number(&b, atomic_load(&f->consumers), 4);
		(void)fake_send(fd, 1, channel, &b);
	}
	atomic_fetch_add(&f->declares, 1);
}

/* The last byte of a message has come. */
static inline void fake_published(struct fake_broker *f, int fd, unsigned channel) {
	struct fake_content *c = &f->content[channel];
	unsigned n = atomic_load(&f->published);

	if (n < FAKE_NAMES) {
		memcpy(f->names[n], c->routing_key, sizeof(f->names[n]));
		f->sums[n] = c->sum;
		f->channels[n] = channel;
	}
	c->tag++;
	if (!atomic_load(&f->hold_confirms))
		fake_confirm(fd, channel, 80, c->tag, false);
	atomic_fetch_add(&f->published, 1);
}

/* basic.publish, header and body. */
static inline void fake_receive(struct fake_broker *f, int fd, unsigned type, unsigned channel, const uint8_t *p,
				uint32_t len) {
	struct fake_content *c = &f->content[channel];

	if (type == 1) {
		char exchange[256];

		p = fake_get_short(p + 6, exchange);
		p = fake_get_short(p, c->routing_key);
		atomic_fetch_add(&f->optional, !(*p & 1));
	} else if (type == 2) {
		c->left = 0;
		for (unsigned i = 4; i < 12; i++)
			c->left = c->left << 8 | p[i];
		c->sum = 0;
		if (c->left == 0)
			fake_published(f, fd, channel);
	} else {
		c->sum = fake_sum(c->sum, p, len);
		c->left -= len;
		atomic_fetch_add(&f->body_bytes, len);
		if (len > atomic_load(&f->largest))
			atomic_store(&f->largest, len);
		if (c->left == 0)
			fake_published(f, fd, channel);
	}
}

static pthread_mutex_t fake_note_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void fake_note(struct fake_broker *f, unsigned channel, const char *what) {
	char number[16] = "";
	size_t len;

	if (channel != 1)
		(void)snprintf(number, sizeof(number), "%u: ", channel);
	pthread_mutex_lock(&fake_note_lock);
	len = strlen(f->told);
	(void)snprintf(f->told + len, sizeof(f->told) - len, "%s%s%s", len ? ", " : "", number, what);
	pthread_mutex_unlock(&fake_note_lock);
}

/* What it was told so far, for tests that have waited for none of its counters. Good until the next call. */
static inline const char *fake_told(struct fake_broker *f) {
	static char copy[sizeof(f->told)];

	pthread_mutex_lock(&fake_note_lock);
	memcpy(copy, f->told, sizeof(copy));
	pthread_mutex_unlock(&fake_note_lock);
	return copy;
}

/* As RabbitMQ does it: also with `multiple` the tag itself must be one that is not settled. */
static inline void fake_settle(struct fake_broker *f, int fd, unsigned channel, const char *name, const uint8_t *arguments,
			       bool multiple, atomic_uint *count) {
	struct fake_deliveries *d = &f->deliveries_of[channel];
	unsigned first, n = 0;
	uint64_t tag = 0;
	char what[64];

	for (unsigned i = 0; i < 8; i++)
		tag = tag << 8 | arguments[i];
	(void)snprintf(what, sizeof(what), "%s %s%" PRIu64, name, multiple ? ".." : "", tag);
	fake_note(f, channel, what);
	/* 0: all of them. */
	if (multiple && tag == 0 && d->n > 0)
		tag = d->unsettled[d->n - 1];
	while (n < d->n && d->unsettled[n] < tag)
		n++;
	if (n < d->n && d->unsettled[n] == tag) {
		first = multiple ? 0 : n;
		memmove(d->unsettled + first, d->unsettled + n + 1, (d->n - n - 1) * sizeof(*d->unsettled));
		d->n -= n + 1 - first;
		atomic_fetch_add(&f->settled, n + 1 - first);
		if (f->count_requeued && count == &f->nacks)
			atomic_fetch_add(&f->depth, n + 1 - first);
	} else {
		atomic_fetch_add(&f->unknown_tags, 1);
		fake_send_close(fd, channel, 406, "PRECONDITION_FAILED - unknown delivery tag");
	}
	atomic_fetch_add(count, 1);
}

/* The answer to what hold_method has held back, from the test or with the next channel.close. */
static inline bool fake_answer_late(struct fake_broker *f, int fd) {
	uint32_t id = atomic_exchange(&f->late, 0);
	struct fake_buffer b = fake_method(id >> 16, (id & 0xffff) + 1);

	if (id == 0)
		return true;
	if (id == FAKE_CHANNEL_OPEN)
		fake_put_long(&b, "");
	if (id == FAKE_QUEUE_DECLARE) {
		fake_put_short(&b, "work");
		fake_put_number(&b, 0, 8);
	}
	if (id == FAKE_BASIC_CONSUME || id == FAKE_BASIC_CANCEL)
		fake_put_short(&b, "fake-tag");
	return fake_send(fd, 1, f->late_channel, &b);
}

/* Answers one method; false ends the connection. */
static inline bool fake_answer(struct fake_broker *f, int fd, unsigned channel, const uint8_t *payload, uint32_t id) {
	struct fake_buffer b;

	if (id == FAKE_CHANNEL_CLOSE) {
		fake_note(f, channel, "close");
		atomic_fetch_add(&f->channel_closes, 1);
	}
	if (id == atomic_load(&f->hold_method)) {
		f->late_channel = channel;
		atomic_store(&f->hold_method, 0);
		atomic_store(&f->late, id);
		return true;
	}
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
		fake_put_number(&b, f->channel_max ? f->channel_max : 2047, 2);
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
	case FAKE_CHANNEL_OPEN:
		if (channel < FAKE_CHANNELS) {
			f->content[channel].tag = 0;
			f->deliveries_of[channel] = (struct fake_deliveries){.tag = f->tags_before};
		}
		atomic_store(&f->opened, channel);
		atomic_fetch_add(&f->opens, 1);
		b = fake_method(20, 11);
		fake_put_long(&b, "");
		return fake_send(fd, 1, channel, &b);
	case FAKE_QUEUE_DECLARE:
		if (f->missing_queue_once) {
			f->missing_queue_once = false;
			b = fake_method(20, 40);
			fake_put_number(&b, 404, 2);
			fake_put_short(&b, "NOT_FOUND - no queue 'work' in vhost '/'");
			fake_put_number(&b, 0, 4);
			return fake_send(fd, 1, channel, &b);
		}
		fake_declare(f, fd, channel, payload + 4);
		return true;
	case 85 << 16 | 10: /* confirm.select */
		if (f->mute_on_confirm_select) {
			f->mute_on_confirm_select = false;
			return true;
		}
		b = fake_method(85, 11);
		return fake_send(fd, 1, channel, &b);
	case FAKE_EXCHANGE_DECLARE:
		b = fake_method(40, 11);
		return fake_send(fd, 1, channel, &b);
	case FAKE_QUEUE_BIND:
		b = fake_method(50, 21);
		return fake_send(fd, 1, channel, &b);
	case FAKE_CHANNEL_CLOSE:
		if (f->deliver_on_close)
			fake_deliver(f, fd, channel);
		if (!fake_answer_late(f, fd))
			return false;
		b = fake_method(20, 41);
		return fake_send(fd, 1, channel, &b);
	case 60 << 16 | 40:
		fake_receive(f, fd, 1, channel, payload, 0);
		return true;
	case FAKE_BASIC_QOS:
		b = fake_method(60, 11);
		return fake_send(fd, 1, channel, &b);
	case FAKE_BASIC_CONSUME:
		b = fake_method(60, 21);
		fake_put_short(&b, "fake-tag");
		if (!fake_send(fd, 1, channel, &b))
			return false;
		fake_after_consume(f, fd, channel);
		return true;
	case FAKE_BASIC_GET:
		return fake_get(f, fd, channel);
	case FAKE_BASIC_CANCEL:
		fake_note(f, channel, "cancel");
		if (f->mute_on_cancel) {
			atomic_fetch_add(&f->cancels, 1);
			return true;
		}
		/* One that was sent already when the cancel came: it belongs to the consumer still. */
		fake_deliver(f, fd, channel);
		atomic_fetch_add(&f->cancels, 1);
		b = fake_method(60, 31);
		fake_put_short(&b, "fake-tag");
		return fake_send(fd, 1, channel, &b);
	case 60 << 16 | 80:
		fake_settle(f, fd, channel, "ack", payload + 4, payload[12] & 1, &f->acks);
		return true;
	case 60 << 16 | 90:
		if (payload[12] & 1)
			fake_settle(f, fd, channel, "reject", payload + 4, false, &f->rejects);
		else
			fake_settle(f, fd, channel, "discard", payload + 4, false, &f->discards);
		return true;
	case 60 << 16 | 120:
		fake_settle(f, fd, channel, "nack", payload + 4, payload[12] & 1, &f->nacks);
		return true;
	default:
		return true;
	}
}

static inline void fake_serve(struct fake_broker *f, int fd) {
	struct fake_buffer b = fake_method(10, 10);
	uint8_t head[8];

	if (!fake_read(fd, head, 8))
		return;
	if (f->mute) {
		(void)fake_read(fd, head, 8);
		return;
	}
	fake_put_number(&b, 9, 2);
	fake_put_number(&b, f->product ? 8 + 1 + 4 + strlen(f->product) : 0, 4);
	if (f->product) {
		fake_put_short(&b, "product");
		fake_put(&b, "S", 1);
		fake_put_long(&b, f->product);
	}
	fake_put_long(&b, "PLAIN AMQPLAIN");
	fake_put_long(&b, "en_US");
	(void)fake_send(fd, 1, 0, &b);
	while (fake_read(fd, head, 7)) {
		uint32_t len = (uint32_t)head[3] << 24 | (uint32_t)head[4] << 16 | (uint32_t)head[5] << 8 | head[6];
		unsigned channel = (unsigned)head[1] << 8 | head[2];
		static uint8_t payload[131072];
		uint32_t id;

		while (atomic_load(&f->deaf))
			usleep(1000);
		if (atomic_load(&f->slow))
			usleep(100);
		if (len + 1 > sizeof(payload) || !fake_read(fd, payload, len + 1))
			return;
		if (head[0] != 1) {
			if (head[0] != 8)
				fake_receive(f, fd, head[0], channel, payload, len);
			continue;
		}
		id = (uint32_t)payload[0] << 24 | (uint32_t)payload[1] << 16 | (uint32_t)payload[2] << 8 | payload[3];
		if (id == (10 << 16 | 11) && memmem(payload, len, " (publisher)", 12))
			atomic_store(&f->is_publisher, true);
		/* On the others nothing but what needs no memory. */
		if (channel >= FAKE_CHANNELS && id >> 16 != 20 && id != FAKE_QUEUE_DECLARE)
			return;
		if (!fake_answer(f, fd, channel, payload, id))
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
