/* SPDX-License-Identifier: MIT */
/* The delivery tags of one opening of a channel that are not settled: which were delivered, and for which of them an
 * ack is in the batch that is being made. Answers up to which tag one basic.ack with `multiple`, which acknowledges
 * everything below its tag too, says no more than the batch does. Exact whatever the order; the work per tag does not
 * grow with their number. Pure but for memory. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Owned by its struct tags. */
struct tag {
	uint64_t tag;
	uint32_t older; /* the tag delivered before it that is not settled; TAGS_NONE: it is the oldest */
	uint32_t newer; /* likewise; of an entry that is not in use: the next such one */
	uint32_t first; /* of the chain of this entry's index: the tags that equal it modulo the size */
	uint32_t next;  /* in the chain that holds this tag */
	bool acked;     /* its ack is in the batch */
};

#define TAGS_NONE UINT32_MAX

/* Owned by whoever called tags_init. Has room for as many tags as were unsettled at once, up to twice that. */
struct tags {
	struct tag *entries; /* owned; `size` of them, a power of two, or 0 */
	uint32_t size;
	uint32_t unused; /* the first entry that is not in use */
	uint32_t oldest;
	uint32_t newest;
	uint64_t last; /* the tag delivered last; 0: none was */
};

void tags_init(struct tags *t);
void tags_clear(struct tags *t);

/* A new opening of the channel: no tag was delivered. */
void tags_reset(struct tags *t);

/* The tag was delivered. -EPROTO: it is not above the one before, as tags of a channel are; -ENOMEM. Nothing has
 * changed then. */
int tags_deliver(struct tags *t, uint64_t tag);

/* The ack of the tag is in the batch from now on. It was delivered, and is neither settled nor in the batch. */
void tags_batch(struct tags *t, uint64_t tag);

/* The tag is settled by itself. It was delivered, and is not settled; if it is in the batch, it is not any more. */
void tags_settle(struct tags *t, uint64_t tag);

/* Settles, of the batch, all that is older than every tag that is neither settled nor in the batch. Returns how many
 * that are; *ret_last is the last of them, 0 if there is none. What is left of the batch is above it, and stays in the
 * batch. */
uint32_t tags_take_prefix(struct tags *t, uint64_t *ret_last);
