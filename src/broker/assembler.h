/* SPDX-License-Identifier: MIT */
/* Frames of one channel to messages: basic.deliver, a header, then body frames. Bodies are stored as they arrive; those over the
 * limit, and those that cannot be stored, are dropped as they arrive, and their messages marked. Knows nothing of connections. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "broker/amqp_library.h"
#include "message/message.h"

enum assembler_state {
	ASSEMBLER_IDLE,	  /* between messages */
	ASSEMBLER_HEADER, /* after basic.deliver */
	ASSEMBLER_BODY,	  /* after a header that announced a body: `remaining` bytes are to come */
};

struct assembler {
	enum assembler_state state;
	struct message *message; /* owned; NULL when idle */
	uint64_t remaining;
	uint64_t max_message_size;
};

static inline void assembler_init(struct assembler *a, uint64_t max_message_size) {
	*a = (struct assembler){.max_message_size = max_message_size};
}

/* Drops the message in progress, if any. */
void assembler_reset(struct assembler *a);

/* Takes the next frame of the channel: basic.deliver, a header or a body. 0: *ret is the message that it completed, owned by
 * the caller (consumer and epoch are the caller's to fill in), or NULL while more is to come. -EPROTO: the frame does
 * not belong here; -ENOMEM: not even for the message without its body. After a failure *ret_reason (static) says more, and the
 * connection is of no further use. */
int assembler_feed(struct assembler *a, const amqp_frame_t *frame, uint64_t now_usec, struct message **ret,
		   const char **ret_reason);
