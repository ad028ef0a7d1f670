/* SPDX-License-Identifier: MIT */
/* The last argument of a handler whose input is "argument" or "argument-json". */
#pragma once

#include "base/strbuf.h"
#include "config/config.h"
#include "message/message.h"

/* Larger bodies are not even tried to be compressed: it would keep the main loop busy, and hardly any would fit. */
#define PAYLOAD_COMPRESS_MAX 16777216

/* Appends the base64 of the body, or of the object {"properties":{...},"delivery_info":{...},"body":".."}, compressed before that
 * where handler.compress says so. -E2BIG: it would be longer than `max` characters, which is found out without doing much more
 * work than for so many. -ENOMEM, -errno of mmap(2). In each case b's content is not to be trusted. */
int payload_append(const struct config_handler *h, const struct message *m, size_t max, struct strbuf *b);
