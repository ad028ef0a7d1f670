/* SPDX-License-Identifier: MIT */
#include "ctl/giveback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* What a classic queue gets back by basic.nack after basic.get it puts back one by one, each time looking for the place
 * from its beginning on: 10,000 took it 5 seconds, 50,000 more than 100. When the channel is closed it puts all of them
 * back at once. */
#define NACK_MAX 1000
/* A quorum queue puts what comes back behind all others, in the order in which it comes, and the broker passes on no
 * more than 32 settlements at a time in their order. */
#define CHUNK 16
#define PATIENCE_USEC (10 * USEC_PER_SEC)
#define PATIENCE_EACH_USEC (2 * USEC_PER_MSEC)
#define LOOK_USEC (5 * USEC_PER_MSEC)

int held_add(struct held *h, uint64_t tag) {
	uint64_t byte = tag / 8;

	if (byte >= h->size) {
		uint64_t size = byte < 512 ? 1024 : byte * 2;
		uint8_t *bits = realloc(h->bits, size);

		if (!bits)
			return -ENOMEM;
		memset(bits + h->size, 0, size - h->size);
		h->bits = bits;
		h->size = size;
	}
	h->bits[byte] |= (uint8_t)(1U << tag % 8);
	h->n++;
	return 0;
}

void held_remove(struct held *h, uint64_t tag) {
	h->bits[tag / 8] &= (uint8_t) ~(1U << tag % 8);
	h->n--;
}

void held_clear(struct held *h) {
	free(h->bits);
	*h = (struct held){0};
}

/* The tag of the n-th one that is held after `tag`, or of the last one; *ret_n: which one that was. 0: there is none.
 */
static uint64_t find(const struct held *h, uint64_t tag, uint64_t n, uint64_t *ret_n) {
	uint64_t found = 0, last = 0;

	for (tag++; tag / 8 < h->size && found < n; tag++) {
		if (h->bits[tag / 8] & 1U << tag % 8) {
			last = tag;
			found++;
		}
	}
	*ret_n = found;
	return last;
}

/* How the broker is asked whether the queue has its messages again. */
struct watch {
	struct session *session;
	struct session_channel *channel; /* NULL: it is not */
	const char *queue;
	uint64_t before; /* messages */
	uint64_t until_usec;
	bool counted;
};

/* Until the queue has so many more messages, or it makes no sense to wait. In a quorum queue what was taken by
 * basic.get counts as consumers. */
static void await_messages(struct watch *w, uint64_t more) {
	struct session_counts counts;

	while (w->channel && session_queue_check(w->channel, w->queue, &counts) == 0 &&
	       counts.messages < w->before + more && (counts.consumers == 0 || w->counted) &&
	       clock_now_usec() < w->until_usec) {
		uint64_t next = clock_add_usec(clock_now_usec(), LOOK_USEC);
		int r = 0;

		while (r == 0)
			r = session_wait(w->session, -1, next);
		if (r != -ETIMEDOUT)
			break;
	}
}

/* From RabbitMQ 4.3 on a quorum queue does not count what comes back by basic.nack. */
static int nack_in_order(struct watch *w, struct session_channel *c, const struct held *h) {
	uint64_t tag = 0, n, given = 0;
	int r = 0;

	while (r == 0 && (tag = find(h, tag, CHUNK, &n)) != 0) {
		r = session_nack(c, tag, true, true);
		given += n;
		if (r == 0)
			await_messages(w, given);
	}
	return r;
}

int giveback(struct session *s, struct session_channel *c, const char *queue, const struct held *h) {
	struct watch w = {.session = s, .queue = queue, .counted = h->counted};
	struct session_counts before = {0};
	int r = 0, closed;

	session_ignore_signals(s);
	w.until_usec = clock_add_usec(clock_now_usec(), PATIENCE_USEC + h->n * PATIENCE_EACH_USEC);
	if (h->n > 0 && session_channel_is_open(c)) {
		if (session_channel_open(s, &w.channel) == 0)
			(void)session_queue_check(w.channel, queue, &before);
		w.before = before.messages;
		if (h->counted)
			r = nack_in_order(&w, c, h);
		else if (h->n <= NACK_MAX)
			r = session_nack(c, 0, true, true); /* 0: all of them */
	}
	closed = session_channel_close(c);
	if (r == 0 && closed == 0)
		await_messages(&w, h->n);
	if (w.channel)
		(void)session_channel_close(w.channel);
	return r < 0 ? r : closed;
}
