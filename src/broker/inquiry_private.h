/* SPDX-License-Identifier: MIT */
/* Inside of inquiry.h, shared by its two parts: inquiry.c has the connection and waits for answers, inquiry_ask.c makes
 * the requests. Private to this room. */
#pragma once

#include "broker/connection.h"
#include "broker/inquiry.h"

#define INQUIRY_CHANNEL 1

struct connection *inquiry_connection(struct inquiry *i);

/* Empties the answer, and sees to it that connection and channel are open. by_refusal: the request is made so that it
 * is refused. Results as those of a question. */
int inquiry_begin(struct inquiry *i, bool by_refusal, struct inquiry_answer *a);

/* Waits for the method, or that the channel or the connection is closed. */
int inquiry_await(struct inquiry *i, amqp_method_number_t expected, struct inquiry_answer *a);

/* The same after a request, with what sending it has returned. */
int inquiry_finish(struct inquiry *i, int sent, amqp_method_number_t expected, struct inquiry_answer *a);

/* The same after a request that the broker must refuse: with 406 and these words in its text, if all else is well; the
 * method would say that it has not. */
int inquiry_finish_refused(struct inquiry *i, int sent, amqp_method_number_t unexpected, const char *trap,
			   struct inquiry_answer *a);
