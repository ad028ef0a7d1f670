/* SPDX-License-Identifier: MIT */
#include "broker/settler.h"

#include <assert.h>

#include "broker/request.h"

static void empty_batch(struct settler *s) {
	s->first = NULL;
	s->last = &s->first;
}

void settler_init(struct settler *s, struct connection *connection, struct outbox *outbox, uint16_t channel) {
	*s = (struct settler){.connection = connection, .outbox = outbox, .channel = channel};
	tags_init(&s->tags);
	empty_batch(s);
}

void settler_clear(struct settler *s) {
	assert(settler_is_flushed(s));
	tags_clear(&s->tags);
}

void settler_begin(struct settler *s) {
	assert(settler_is_flushed(s));
	tags_reset(&s->tags);
}

int settler_deliver(struct settler *s, uint64_t tag) {
	return tags_deliver(&s->tags, tag);
}

/* What was sent is done with. */
static void dispose(struct settler *s, struct message *m, int r) {
	if (r < 0)
		outbox_post_message(s->outbox, m, ITEM_UNSETTLED);
	else
		message_free(m);
}

int settler_flush(struct settler *s) {
	struct mailbox_item *item = s->first;
	uint64_t last;
	uint32_t n = tags_take_prefix(&s->tags, &last);
	int prefix = n > 0 ? request_ack(s->connection, s->channel, last, n > 1) : 0;
	int result = prefix;

	empty_batch(s);
	while (item) {
		struct mailbox_item *next = item->next;
		struct message *m = CONTAINER_OF(item, struct message, item);
		int r = prefix;

		if (m->delivery_tag > last) {
			tags_settle(&s->tags, m->delivery_tag);
			r = request_ack(s->connection, s->channel, m->delivery_tag, false);
		}
		dispose(s, m, r);
		result = result < 0 ? result : r;
		item = next;
	}
	return result;
}

int settler_settle(struct settler *s, struct message *m) {
	int r;

	if (m->verdict == VERDICT_ACK) {
		tags_batch(&s->tags, m->delivery_tag);
		m->item.next = NULL;
		*s->last = &m->item;
		s->last = &m->item.next;
		return 0;
	}
	(void)settler_flush(s); /* if it fails, so does what follows */
	tags_settle(&s->tags, m->delivery_tag);
	r = request_settle(s->connection, s->channel, m->delivery_tag, m->verdict);
	dispose(s, m, r);
	return r;
}
