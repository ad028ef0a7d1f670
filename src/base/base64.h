/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648, section 4): the standard alphabet, padded. */
#pragma once

#include <stddef.h>
#include "base/strbuf.h"

/* How many characters len bytes become. */
static inline size_t base64_size(size_t len) {
	return (len + 2) / 3 * 4;
}

/* Appends base64_size(len) characters. A long input may be given in pieces of multiples of three bytes. */
void base64_append(struct strbuf *b, const void *data, size_t len);

/* Appends the bytes that len characters stand for: the standard alphabet, padded, nothing else in between. -EINVAL: they are not
 * that, or not as base64_append writes them (bits that say nothing are 0); b has what came before the mistake. -ENOMEM. */
int base64_decode(struct strbuf *b, const char *text, size_t len);
