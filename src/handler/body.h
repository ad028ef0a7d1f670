/* SPDX-License-Identifier: MIT */
/* A message's body as bytes in memory, wherever it is. */
#pragma once

#include <stddef.h>
#include "message/message.h"

/* Borrows from the message, which outlives it. All zero: nothing. */
struct body_view {
	const char *data; /* len bytes */
	size_t len;
	void *mapping; /* owned; NULL: the body is on the heap */
};

/* Makes the body readable; memory files are mapped. The body must be complete. -errno of mmap(2). */
int body_view_open(const struct message *m, struct body_view *ret);
void body_view_close(struct body_view *v);

static inline void body_view_close_cleanup(struct body_view *v) {
	body_view_close(v);
}
