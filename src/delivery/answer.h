/* SPDX-License-Identifier: MIT */
/* Makes what is published because of a message, not instead of it: the reply, what its handler wrote for others, and the word that it
 * is rejected. Pure but for memory.
 *
 * An answer has the correlation id of its message, a timestamp, and "amqp-execd" as app_id. Headers of the message are not passed on. */
#pragma once

#include <stdint.h>
#include "delivery/copy.h"
#include "message/message.h"

/* Makes m, which has only a body, the reply to the request: persistent if that is. -ENOMEM. */
int answer_reply(struct message *m, const struct message *request, const char *content_type, uint64_t now_sec);

/* Makes m, which has only a body, a message that passes on what became of `origin`: persistent, with its message id. -ENOMEM. */
int answer_forward(struct message *m, const struct message *origin, const char *content_type, uint64_t now_sec);

/* The reply to a request that is rejected: type "error", a body in JSON,
 *   {"error":"exit status 65","exit_status":65,"signal":null,"attempts":1,"stderr":"the last lines\n"}
 * and HEADER_REASON and HEADER_EXIT_STATUS or HEADER_SIGNAL, as a dead letter has them. stderr that is not UTF-8 is escaped line by line,
 * as in the log. -ENOMEM, an errno of memfd_create(2). */
int answer_error(const struct message *request, const struct copy_reason *why, struct message **ret);
