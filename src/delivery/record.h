/* SPDX-License-Identifier: MIT */
/* The line that the log gets for a message: its text and its journal fields. Pure: formats, does not log. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "base/log.h"
#include "base/strbuf.h"
#include "delivery/tail.h"
#include "handler/run.h"
#include "message/message.h"

/* What is said of a message. All borrowed. */
struct record_input {
	/* MESSAGE_UNSETTLED makes "unsettled" the first word of the line, any other "settled". */
	enum log_event event;
	const char *queue;
	const struct message *message;
	unsigned attempt;		 /* 0: unknown */
	const struct run_result *result; /* NULL: no handler ran */
	const char *decision;		 /* "ack", "requeue", "retry", "reject", "return", "none" */
	uint64_t delay_usec;		 /* before the decision takes effect; 0: at once */
	const char *reason;		 /* why, where the result alone does not say it; NULL */
	const char *copy;		 /* where a copy of it went, or was to go; NULL: none */
	const char *reply;		 /* likewise its reply */
	const char *forward;		 /* likewise what its handler wrote */
	const struct tail *tail;	 /* what the handler wrote to stderr; NULL: of no interest */
};

/* How much of the last line of stderr is in the line. */
#define RECORD_STDERR_MAX 256

#define RECORD_FIELDS_MAX 16

/* The result: a line and its fields, good until record_clear. */
struct record {
	struct strbuf text;
	struct strbuf reason; /* backing for a field */
	struct log_field fields[RECORD_FIELDS_MAX];
	size_t n_fields;
	char numbers[8][24]; /* backing for fields that are numbers */
	size_t n_numbers;
};

/* Makes `settled queue=mail tag=7 message_id=a1 attempt=1 exit=0 duration=0.012s decision=ack` and fields AMQP_QUEUE=,
 * AMQP_DELIVERY_TAG=, AMQP_MESSAGE_ID=, AMQP_ATTEMPT=, AMQP_OUTCOME=, AMQP_REASON=, AMQP_COPY=, AMQP_REPLY=, AMQP_FORWARD=,
 * HANDLER_EXIT_STATUS=, HANDLER_SIGNAL= or HANDLER_ANSWER=, HANDLER_DURATION_USEC=, HANDLER_STDERR=. Values are escaped in
 * the text and raw in the fields; what the message does not have is left out. The fields borrow from the input. -ENOMEM. */
int record_format(const struct record_input *in, struct record *ret);

/* "settled", "unsettled" */
const char *record_word(const struct record_input *in);

/* The event that a decision is, where nothing more is to be said of it. */
enum log_event record_event(const char *decision);

/* Prepares the fields alone, for a line of a handler's output: AMQP_QUEUE=, AMQP_DELIVERY_TAG=, AMQP_MESSAGE_ID=; the queue alone if
 * there is no message. */
void record_identify(const struct record_input *in, struct record *ret);

void record_clear(struct record *r);
static inline void record_clear_cleanup(struct record *r) {
	record_clear(r);
}
