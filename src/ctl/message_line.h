/* SPDX-License-Identifier: MIT */
/* A message as a line of JSON, as "publish --json-lines" reads it:
 *   {"body": "text", or "body_base64": "...", "exchange": "", "routing_key": "orders",
 *    "properties": {"content_type": "text/plain", "delivery_mode": 2, "timestamp": 1700000000, ...}, "headers": {...}}
 * All but the body may be left out, or null; headers are as message/headers.h has them. Other members, which tell more
 * about a message that was read, are ignored; other properties are a mistake. Pure but for memory (and memory files).
 */
#pragma once

#include "message/message.h"
#include <stddef.h>

/* What a line may take at most: the largest body that a broker takes, in base64. */
#define MESSAGE_LINE_MAX ((size_t)256 * 1024 * 1024)

/* Makes the message of the line; its exchange and routing_key are absent if the line does not say them, and hold no
 * NUL. -ENOMEM, or an errno of memfd_create(2). -EINVAL: *ret_why, the caller's, says what is wrong on one printable
 * line. */
int message_line_parse(const char *line, size_t len, struct message **ret, char **ret_why);

/* Gives the message a complete body. -ENOMEM, or an errno of memfd_create(2), write(2) or fcntl(2). */
int message_line_set_body(struct message *m, const void *data, size_t len);
