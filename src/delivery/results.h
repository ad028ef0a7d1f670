/* SPDX-License-Identifier: MIT */
/* What has become of messages that could not be settled any more when their handler had succeeded: so that the same message, when the
 * broker delivers it again, is settled from that and not handled twice. Kept in memory, bounded in number and in age.
 *
 * The same message: same queue (each has its own results), same message id, same body. A message without an id, or with a body of
 * more than RESULTS_BODY_MAX bytes, is never the same as another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/list.h"
#include "config/config.h"
#include "message/message.h"

#define RESULTS_BODY_MAX (UINT64_C(16) * 1024 * 1024)

/* Stands for a message id and a body. Two different messages have the same one by chance once in 2^128, and nobody who does not know
 * the process's key can bring that about. */
struct fingerprint {
	uint64_t words[2];
};

/* Owned by its queue. */
struct results {
	const struct config_results *config; /* borrowed */
	uint64_t keys[2][2];
	struct list kept; /* the oldest first; owned */
	unsigned n_kept;
};

/* Nothing is kept yet. -errno of getrandom(2). */
int results_init(struct results *r, const struct config_results *config);
void results_clear(struct results *r);

/* False: results are not kept, or the message has no identity. -ENOMEM counts as that, too. Takes about a millisecond per MiB. */
bool results_identify(const struct results *r, const struct message *m, struct fingerprint *ret);

/* Keeps that the message was handled; the oldest goes if there are too many. Without memory it is not kept. */
void results_add(struct results *r, const struct fingerprint *f, uint64_t now_usec);

/* True if it is kept that the message was handled; then that is forgotten, because a twin of it that somebody published is another
 * message. */
bool results_take(struct results *r, const struct fingerprint *f, uint64_t now_usec);
