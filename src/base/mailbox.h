/* SPDX-License-Identifier: MIT */
/* A bounded queue from one or more threads to one reader, with an eventfd that becomes readable when the queue
 * stops being empty. A successful post transfers ownership of the item. */
#pragma once

#include <stddef.h>
#include "base/macro.h"

/* The first member, or any member, of what is posted. */
struct mailbox_item {
	struct mailbox_item *next; /* set by the mailbox; after mailbox_take: the item posted next, NULL at the end */
	int kind;		   /* the caller's: tells the reader what the item is part of */
};

struct mailbox;

/* A mailbox for at most `limit` items. -ENOMEM, -EMFILE or another errno of eventfd(2). */
int mailbox_new(size_t limit, struct mailbox **ret);

/* Frees an emptied mailbox; items that are still in it are not freed (the caller takes them out first). NULL-safe. */
struct mailbox *mailbox_free(struct mailbox *m);
DEFINE_CLEANUP(struct mailbox *, mailbox_free);

/* Appends the item. 0: the mailbox owns it now. -ENOBUFS: full, the item still is the caller's. Never blocks beyond
 * the mutex. */
int mailbox_post(struct mailbox *m, struct mailbox_item *item) WARN_UNUSED;

/* The same whether there is room or not: for what comes so seldom that its number is bounded without a limit here. */
void mailbox_post_anyway(struct mailbox *m, struct mailbox_item *item);

/* The limit from now on; what is in the mailbox beyond it stays. Any thread may call this. */
void mailbox_set_limit(struct mailbox *m, size_t limit);

/* Takes everything, oldest first, and makes the descriptor unreadable until the next post. NULL if empty. */
struct mailbox_item *mailbox_take(struct mailbox *m);

/* The descriptor to poll for reading. Borrowed: the mailbox closes it. */
int mailbox_fd(const struct mailbox *m);
