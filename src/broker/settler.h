/* SPDX-License-Identifier: MIT */
/* Settles the messages of one channel, in the broker's thread. Acks are put together: what comes in one turn of the
 * thread and, with what was settled before, leaves no older message of the channel open is one basic.ack with
 * `multiple`. Everything else is sent by itself, and in order: a reject or a nack not before the acks that came before
 * it. A negative result means that the connection is to be dropped; what could not be sent is given back as
 * ITEM_UNSETTLED. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "broker/connection.h"
#include "broker/outbox.h"
#include "broker/tags.h"

/* Owned by its channel. Must not be moved. */
struct settler {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;         /* borrowed */
	uint16_t channel;              /* its number on the connection */
	struct tags tags;              /* of the channel's opening that settler_begin told of */
	struct mailbox_item *first; /* owned: the batch, messages to be acknowledged, in the order in which they came */
	struct mailbox_item **last;
};

void settler_init(struct settler *s, struct connection *connection, struct outbox *outbox, uint16_t channel);
void settler_clear(struct settler *s);

/* The channel is opened again: its tags begin again. The batch is empty. */
void settler_begin(struct settler *s);

/* A message with this tag was delivered. -EPROTO: such a tag cannot come now; -ENOMEM. */
int settler_deliver(struct settler *s, uint64_t tag);

/* Takes the message, which was delivered and not settled on this opening. An ack waits for settler_flush, and for
 * nothing else: that is called before the turn ends, and before the channel sends anything else. */
int settler_settle(struct settler *s, struct message *m);
int settler_flush(struct settler *s);

static inline bool settler_is_flushed(const struct settler *s) {
	return !s->first;
}
