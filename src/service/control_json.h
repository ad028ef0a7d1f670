/* SPDX-License-Identifier: MIT */
/* What the control socket answers, as JSON. Pure: a lack of memory makes the buffer fail. */
#pragma once

#include "service/control.h"
#include "service/snapshot.h"

struct strbuf;

/* The answer to GET /v1/status. */
void control_json_status(const struct snapshot *s, struct strbuf *b);

/* The answer to an order: those queues of the snapshot that have the name and the broker (NULL: any), without those
 * that leave. */
void control_json_queues(const struct snapshot *s, const char *queue, const char *broker, struct strbuf *b);

/* The answer to a reload that went through, or was refused. */
void control_json_reload(const struct control_reload_result *result, struct strbuf *b);

/* Whether the queue is meant by that name and broker (NULL: any) of an order. */
bool control_json_meant(const struct snapshot_queue *q, const char *queue, const char *broker);
