/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "check_main.h"
#include "delivery/record.h"

static struct message *make_message(const char *id) {
	struct message *m;

	ck_assert_int_eq(message_new(&m), 0);
	m->delivery_tag = 17;
	if (id)
		ck_assert_int_eq(text_set(&m->properties.message_id, id, strlen(id)), 0);
	return m;
}

static void ck_line(const struct record_input *in, const char *expected) {
	struct record r;

	ck_assert_int_eq(record_format(in, &r), 0);
	ck_assert_str_eq(strbuf_str(&r.text), expected);
	record_clear(&r);
}

static void ck_field(const struct record *r, const char *name, const char *value) {
	for (size_t i = 0; i < r->n_fields; i++) {
		if (strcmp(r->fields[i].name, name) != 0)
			continue;
		ck_assert_msg(value && r->fields[i].size == strlen(value) &&
				      memcmp(r->fields[i].value, value, r->fields[i].size) == 0,
			      "%s=%.*s", name, (int)r->fields[i].size, (const char *)r->fields[i].value);
		return;
	}
	ck_assert_msg(!value, "no field %s", name);
}

START_TEST(what_a_worker_answers) {
	struct message *m = make_message("order-1");
	struct run_result result = {.end = RUN_ANSWERED,
				    .answer = {.outcome = OUTCOME_REJECT, .reason = "no \"such\"\x1b customer", .reason_len = 19},
				    .duration_usec = 1000};
	struct record_input in = {.queue = "mail", .message = m, .attempt = 1, .result = &result, .decision = "reject"};
	struct record r;

	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=1 answer=reject duration=0.001s decision=reject "
		     "reason=\"no \\\"such\\\"\\x1b customer\"");
	in.reason = "a note";
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=1 answer=reject duration=0.001s decision=reject "
		     "reason=\"no \\\"such\\\"\\x1b customer; a note\"");
	ck_assert_int_eq(record_format(&in, &r), 0);
	ck_field(&r, "HANDLER_ANSWER", "reject");
	ck_field(&r, "AMQP_REASON", "no \"such\"\x1b customer; a note");
	ck_field(&r, "HANDLER_EXIT_STATUS", NULL);
	ck_field(&r, "HANDLER_SIGNAL", NULL);
	record_clear(&r);
	result = (struct run_result){.end = RUN_EXITED, .status = 3, .unanswered = true, .problem = "it ended", .duration_usec = 1000};
	in.reason = NULL;
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=1 exit=3 duration=0.001s decision=reject reason=\"it ended\"");
	in.reason = "a note";
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=1 exit=3 duration=0.001s decision=reject "
		     "reason=\"it ended; a note\"");
	message_free(m);
}
END_TEST

START_TEST(a_line_without_a_message_has_its_queue) {
	struct record r = {0};

	record_identify(&(struct record_input){.queue = "mail"}, &r);
	ck_field(&r, "AMQP_QUEUE", "mail");
	ck_assert_uint_eq(r.n_fields, 1);
}
END_TEST

START_TEST(a_line_for_each_way_to_end) {
	struct message *m = make_message("order-1");
	struct run_result result = {.end = RUN_EXITED, .status = 0, .duration_usec = 12345};
	struct record_input in = {.queue = "mail", .message = m, .attempt = 1, .result = &result, .decision = "ack"};
	struct tail tail = {0};

	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=1 exit=0 duration=0.012s decision=ack");
	result.status = 75;
	in.decision = "requeue";
	in.delay_usec = 1500000;
	in.attempt = 0;
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=unknown exit=75 duration=0.012s decision=requeue delay=1.500s");
	tail_add(&tail, "first words", 11);
	tail_add(&tail, "FATAL: \"disk\" full\x1b[2J", 22);
	in.tail = &tail;
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=unknown exit=75 duration=0.012s decision=requeue delay=1.500s "
		     "stderr=\"FATAL: \\\"disk\\\" full\\x1b[2J\"");
	in.tail = NULL;
	in.decision = "retry";
	in.copy = "mail.retry.1500";
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=unknown exit=75 duration=0.012s decision=retry delay=1.500s "
		     "copy=mail.retry.1500");
	in.copy = NULL;
	in.decision = "requeue";
	in.attempt = 3;
	in.delay_usec = 0;
	result = (struct run_result){.end = RUN_SIGNALED, .status = SIGSEGV, .signaled = true, .dumped = true, .duration_usec = 61000000};
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=3 signal=SEGV core=yes duration=61.000s decision=requeue");
	result = (struct run_result){.end = RUN_TIMEOUT, .status = SIGKILL, .signaled = true};
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=3 timeout=yes signal=KILL duration=0.000s decision=requeue");
	result = (struct run_result){.end = RUN_STOPPED, .status = 0};
	ck_line(&in, "settled queue=mail tag=17 message_id=order-1 attempt=3 stopped=yes exit=0 duration=0.000s decision=requeue");
	tail_clear(&tail);
	message_free(m);
}
END_TEST

START_TEST(an_untried_message_says_why) {
	struct message *m = make_message(NULL);
	struct record_input in = {.queue = "a queue", .message = m, .attempt = 1, .decision = "return", .reason = "the queue is paused"};

	ck_line(&in, "settled queue=\"a queue\" tag=17 attempt=1 decision=return reason=\"the queue is paused\"");
	in.event = LOG_EVENT_MESSAGE_UNSETTLED;
	in.decision = "none";
	in.reason = NULL;
	ck_line(&in, "unsettled queue=\"a queue\" tag=17 attempt=1 decision=none");
	message_free(m);
}
END_TEST

START_TEST(a_hostile_message_id_stays_one_value) {
	struct message *m = make_message("x decision=ack\nsettled queue=other\x1b[2J");
	struct record_input in = {.queue = "mail", .message = m, .attempt = 1, .decision = "return"};
	struct record r;

	ck_line(&in, "settled queue=mail tag=17 message_id=\"x decision=ack\\nsettled queue=other\\x1b[2J\" attempt=1 decision=return");
	ck_assert_int_eq(record_format(&in, &r), 0);
	ck_field(&r, "AMQP_MESSAGE_ID", "x decision=ack\nsettled queue=other\x1b[2J");
	record_clear(&r);
	message_free(m);
}
END_TEST

START_TEST(fields_are_for_machines) {
	struct message *m = make_message("order-1");
	struct run_result result = {.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true, .duration_usec = 12345};
	struct record_input in = {.queue = "mail", .message = m, .attempt = 2, .result = &result, .decision = "requeue"};
	struct tail tail = {0};
	struct record r;

	ck_assert_int_eq(record_format(&in, &r), 0);
	ck_field(&r, "AMQP_QUEUE", "mail");
	ck_field(&r, "AMQP_DELIVERY_TAG", "17");
	ck_field(&r, "AMQP_MESSAGE_ID", "order-1");
	ck_field(&r, "AMQP_ATTEMPT", "2");
	ck_field(&r, "AMQP_OUTCOME", "requeue");
	ck_field(&r, "HANDLER_SIGNAL", "9");
	ck_field(&r, "HANDLER_EXIT_STATUS", NULL);
	ck_field(&r, "HANDLER_DURATION_USEC", "12345");
	ck_field(&r, "AMQP_REASON", NULL);
	ck_field(&r, "AMQP_COPY", NULL);
	record_clear(&r);
	tail_add(&tail, "a", 1);
	tail_add(&tail, "bad\x1b", 4);
	in.tail = &tail;
	in.copy = "dlx/key";
	ck_assert_int_eq(record_format(&in, &r), 0);
	ck_field(&r, "HANDLER_STDERR", "bad\x1b");
	ck_field(&r, "AMQP_COPY", "dlx/key");
	record_clear(&r);
	in.tail = NULL;
	in.copy = NULL;
	tail_clear(&tail);
	in.attempt = 0;
	in.result = NULL;
	ck_assert_int_eq(record_format(&in, &r), 0);
	ck_field(&r, "AMQP_ATTEMPT", NULL);
	ck_field(&r, "HANDLER_DURATION_USEC", NULL);
	record_clear(&r);
	message_free(m);
}
END_TEST

START_TEST(each_decision_is_an_event) {
	ck_assert_int_eq(record_event("ack"), LOG_EVENT_MESSAGE_ACKED);
	ck_assert_int_eq(record_event("requeue"), LOG_EVENT_MESSAGE_REQUEUED);
	ck_assert_int_eq(record_event("retry"), LOG_EVENT_MESSAGE_RETRIED);
	ck_assert_int_eq(record_event("reject"), LOG_EVENT_MESSAGE_REJECTED);
	ck_assert_int_eq(record_event("return"), LOG_EVENT_MESSAGE_RETURNED);
	ck_assert_int_eq(record_event("none"), LOG_EVENT_MESSAGE_UNSETTLED);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "record", a_line_for_each_way_to_end, what_a_worker_answers, a_line_without_a_message_has_its_queue,
		 an_untried_message_says_why, a_hostile_message_id_stays_one_value, fields_are_for_machines, each_decision_is_an_event);
}

CHECK_MAIN("record", add_cases)
