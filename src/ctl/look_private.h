/* SPDX-License-Identifier: MIT */
/* What the two forms of a message share. */
#pragma once

#include "ctl/look.h"

/* The body, wherever it is. */
struct look_body {
	const char *data;
	size_t len;
	void *map; /* owned; NULL: the message's memory */
};

/* 0: *ret is the body; one that is not complete is empty. -errno of mmap(2). */
int look_body_open(const struct message *m, struct look_body *ret);
void look_body_clear(struct look_body *b);

static inline void look_body_clear_cleanup(struct look_body *b) {
	look_body_clear(b);
}
