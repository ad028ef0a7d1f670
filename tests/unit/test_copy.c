/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>

#include "check_main.h"
#include "delivery/copy.h"

static struct message *make(void) {
	struct message *m;

	ck_assert_int_eq(message_new(&m), 0);
	ck_assert_int_eq(text_set(&m->exchange, "orders", 6), 0);
	ck_assert_int_eq(text_set(&m->routing_key, "order.new", 9), 0);
	return m;
}

static void set_header(struct message *m, const char *name, const char *value) {
	ck_assert_int_eq(table_set_string(&m->properties.headers, name, value, strlen(value)), 0);
	m->properties.has_headers = true;
}

static void ck_text(const struct message *m, const char *name, const char *value) {
	const struct field *f = table_find(&m->properties.headers, name);

	if (!value) {
		ck_assert_msg(!f, "%s is there", name);
		return;
	}
	ck_assert_msg(f && f->kind == FIELD_STRING, "no text %s", name);
	ck_assert_msg(f->text.len == strlen(value) && memcmp(f->text.data, value, f->text.len) == 0, "%s: %.*s, not %s", name,
		      (int)f->text.len, f->text.data, value);
}

static void ck_number(const struct message *m, const char *name, enum field_kind kind, int64_t value) {
	const struct field *f = table_find(&m->properties.headers, name);

	ck_assert_msg(f && f->kind == kind, "no %s of this kind", name);
	if (kind == FIELD_TIMESTAMP)
		ck_assert_uint_eq(f->u, (uint64_t)value);
	else
		ck_assert_int_eq(f->i, value);
}

static void prepare(struct message *m, const struct run_result *result, const struct tail *tail, unsigned attempts, uint64_t now) {
	const struct tail none = {0};
	const struct copy_reason why = {
		.queue = "mail", .host = "web1", .attempts = attempts, .now_sec = now, .result = result, .tail = tail ? tail : &none};

	ck_assert_int_eq(copy_prepare(m, &why), 0);
}

START_TEST(a_copy_says_why) {
	const struct run_result exited = {.end = RUN_EXITED, .status = 65};
	const struct run_result killed = {.end = RUN_SIGNALED, .status = SIGKILL, .signaled = true};
	struct tail tail = {0};
	struct message *m = make();

	tail_add(&tail, "no such customer", 16);
	tail_add(&tail, "giving up", 9);
	prepare(m, &exited, &tail, 1, 1000);
	ck_number(m, HEADER_ATTEMPTS, FIELD_I32, 1);
	ck_number(m, HEADER_FIRST_FAILURE, FIELD_TIMESTAMP, 1000);
	ck_number(m, HEADER_LAST_FAILURE, FIELD_TIMESTAMP, 1000);
	ck_text(m, HEADER_QUEUE, "mail");
	ck_text(m, HEADER_EXCHANGE, "orders");
	ck_text(m, HEADER_ROUTING_KEY, "order.new");
	ck_text(m, HEADER_HOST, "web1");
	ck_text(m, HEADER_REASON, "exit status 65");
	ck_number(m, HEADER_EXIT_STATUS, FIELD_I32, 65);
	ck_text(m, HEADER_SIGNAL, NULL);
	ck_text(m, HEADER_STDERR, "no such customer\ngiving up\n");
	ck_assert(m->properties.has_headers);

	/* The next failure: the first one's time stays, what does not hold any more goes. */
	prepare(m, &killed, NULL, 2, 2000);
	ck_number(m, HEADER_ATTEMPTS, FIELD_I32, 2);
	ck_number(m, HEADER_FIRST_FAILURE, FIELD_TIMESTAMP, 1000);
	ck_number(m, HEADER_LAST_FAILURE, FIELD_TIMESTAMP, 2000);
	ck_text(m, HEADER_REASON, "killed by signal KILL");
	ck_text(m, HEADER_SIGNAL, "KILL");
	ck_text(m, HEADER_EXIT_STATUS, NULL);
	ck_text(m, HEADER_STDERR, NULL);
	tail_clear(&tail);
	message_free(m);
}
END_TEST

START_TEST(reasons_in_words) {
	const struct {
		struct run_result result;
		const char *text;
	} reasons[] = {
		{{.end = RUN_EXITED, .status = 1}, "exit status 1"},
		{{.end = RUN_SIGNALED, .status = SIGSEGV, .signaled = true}, "killed by signal SEGV"},
		{{.end = RUN_SIGNALED, .status = SIGRTMIN + 3, .signaled = true}, "killed by signal 37"},
		{{.end = RUN_TIMEOUT, .status = SIGTERM, .signaled = true}, "timeout (killed by signal TERM)"},
		{{.end = RUN_TIMEOUT, .status = 0}, "timeout (exit status 0)"},
		{{.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_ACK}}, "acknowledged by the worker"},
		{{.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_REQUEUE}}, "requeued by the worker"},
		{{.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_RETRY}}, "the worker asked for a retry"},
		{{.end = RUN_ANSWERED, .answer = {.outcome = OUTCOME_REJECT, .reason = "x", .reason_len = 1}}, "rejected by the worker"},
		{{.end = RUN_EXITED, .status = 0, .problem = "it ended"}, "exit status 0; it ended"},
		{{.end = RUN_MISBEHAVED, .status = SIGKILL, .signaled = true, .problem = "it sang"}, "it sang"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		char text[96];

		copy_format_reason(&reasons[i].result, text, sizeof(text));
		ck_assert_str_eq(text, reasons[i].text);
	}
}
END_TEST

START_TEST(a_worker_says_why) {
	const struct run_result rejected = {.end = RUN_ANSWERED,
					    .answer = {.outcome = OUTCOME_REJECT, .reason = "no\x1b \"one\"", .reason_len = 9}};
	const struct run_result exited = {.end = RUN_EXITED, .status = 3, .unanswered = true, .problem = "it ended"};
	struct message *m = make();

	prepare(m, &exited, NULL, 1, 1);
	ck_text(m, HEADER_REASON, "exit status 3; it ended");
	ck_number(m, HEADER_EXIT_STATUS, FIELD_I32, 3);
	/* Who has answered has not ended. */
	prepare(m, &rejected, NULL, 2, 2);
	ck_text(m, HEADER_REASON, "rejected by the worker: no\\x1b \"one\"");
	ck_text(m, HEADER_EXIT_STATUS, NULL);
	ck_text(m, HEADER_SIGNAL, NULL);
	message_free(m);
}
END_TEST

START_TEST(what_no_handler_can_get) {
	const struct run_result exited = {.end = RUN_EXITED, .status = 3};
	const struct tail none = {0};
	const struct copy_reason why = {
		.queue = "mail", .host = "web1", .attempts = 0, .now_sec = 7, .note = "it is too long", .tail = &none};
	struct message *m = make();

	prepare(m, &exited, NULL, 1, 1);
	ck_assert_int_eq(copy_prepare(m, &why), 0);
	ck_text(m, HEADER_REASON, "no handler can get it: it is too long");
	ck_text(m, HEADER_EXIT_STATUS, NULL);
	ck_text(m, HEADER_SIGNAL, NULL);
	ck_number(m, HEADER_ATTEMPTS, FIELD_I32, 0);
	message_free(m);
}
END_TEST

START_TEST(a_long_reason_is_whole) {
	char words[WORKER_REASON_MAX], text[WORKER_REASON_MAX + 64] = "rejected by the worker: ";
	const struct run_result result = {.end = RUN_ANSWERED,
					  .answer = {.outcome = OUTCOME_REJECT, .reason = words, .reason_len = sizeof(words)}};
	struct message *m = make();

	memset(words, 'w', sizeof(words));
	memset(text + strlen(text), 'w', sizeof(words));
	prepare(m, &result, NULL, 1, 1);
	ck_text(m, HEADER_REASON, text);
	message_free(m);
}
END_TEST

START_TEST(what_must_not_travel_stays) {
	static const char *const stripped[] = {"x-death",     "x-first-death-exchange", "x-first-death-reason", "x-last-death-queue",
					       "x-delivery-count", "x-acquired-count",	"x-stream-offset",	"CC",
					       "BCC"};
	static const char *const kept[] = {"x-deathly", "x-first-death", "cc", "X-Request-Id", "CCX", ""};
	const struct run_result result = {.end = RUN_EXITED, .status = 1};
	struct message *m = make();

	for (size_t i = 0; i < ARRAY_SIZE(stripped); i++)
		set_header(m, stripped[i], "value");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		set_header(m, kept[i], "value");
	prepare(m, &result, NULL, 0, 1);
	ck_number(m, HEADER_ATTEMPTS, FIELD_I32, 0);
	for (size_t i = 0; i < ARRAY_SIZE(stripped); i++)
		ck_text(m, stripped[i], NULL);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		ck_text(m, kept[i], "value");
	message_free(m);
}
END_TEST

START_TEST(a_note_is_part_of_the_reason) {
	const struct run_result result = {.end = RUN_EXITED, .status = 75};
	const struct tail none = {0};
	struct message *m = make();

	ck_assert_int_eq(copy_prepare(m, &(struct copy_reason){.queue = "mail", .host = "web1", .attempts = 3, .result = &result,
							       .note = "retry.max_attempts is reached", .tail = &none}), 0);
	ck_text(m, HEADER_REASON, "exit status 75; retry.max_attempts is reached");
	message_free(m);
}
END_TEST

START_TEST(properties_stay_but_for_two) {
	const struct run_result result = {.end = RUN_EXITED, .status = 1};
	struct message *m = make();
	struct properties *p = &m->properties;

	ck_assert_int_eq(text_set(&p->content_type, "text/plain", 10), 0);
	ck_assert_int_eq(text_set(&p->message_id, "id", 2), 0);
	ck_assert_int_eq(text_set(&p->reply_to, "answers", 7), 0);
	ck_assert_int_eq(text_set(&p->expiration, "60000", 5), 0);
	ck_assert_int_eq(text_set(&p->user_id, "shop", 4), 0);
	p->priority = 7;
	p->has_priority = true;
	p->delivery_mode = 2;
	p->has_delivery_mode = true;
	prepare(m, &result, NULL, 1, 1);
	ck_assert_str_eq(p->content_type.data, "text/plain");
	ck_assert_str_eq(p->message_id.data, "id");
	ck_assert_str_eq(p->reply_to.data, "answers");
	ck_assert(p->has_priority && p->priority == 7 && p->has_delivery_mode && p->delivery_mode == 2);
	ck_assert_ptr_null(p->expiration.data);
	ck_assert_ptr_null(p->user_id.data);
	ck_text(m, HEADER_EXPIRATION, "60000");
	ck_text(m, HEADER_USER_ID, "shop");
	/* The next copy has no such property any more, and keeps what it was. */
	prepare(m, &result, NULL, 2, 2);
	ck_text(m, HEADER_EXPIRATION, "60000");
	ck_text(m, HEADER_USER_ID, "shop");
	message_free(m);
}
END_TEST

START_TEST(full_headers_go_without_stderr) {
	const struct run_result result = {.end = RUN_EXITED, .status = 1};
	static char large[97 * 1024];
	struct tail tail = {0};
	struct message *m = make();

	memset(large, 'x', sizeof(large) - 1);
	set_header(m, "large", large);
	tail_add(&tail, "why", 3);
	prepare(m, &result, &tail, 1, 1);
	ck_text(m, HEADER_STDERR, NULL);
	ck_text(m, HEADER_REASON, "exit status 1");
	tail_clear(&tail);
	message_free(m);
}
END_TEST

/* As it comes out of a delay queue. */
static struct message *returned(void) {
	const struct run_result result = {.end = RUN_EXITED, .status = 1};
	struct message *m = make();

	prepare(m, &result, NULL, 1, 1);
	ck_assert_int_eq(text_set(&m->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&m->routing_key, "mail", 4), 0);
	return m;
}

static void ck_origin(struct message *m, const char *exchange, const char *routing_key) {
	copy_restore(m, "mail");
	ck_assert_str_eq(m->exchange.data, exchange);
	ck_assert_str_eq(m->routing_key.data, routing_key);
	message_free(m);
}

START_TEST(the_way_through_a_delay_queue_is_undone) {
	struct message *m;

	ck_origin(returned(), "orders", "order.new");
	/* From elsewhere: what the headers say does not matter. */
	m = returned();
	ck_assert_int_eq(text_set(&m->exchange, "other", 5), 0);
	ck_origin(m, "other", "mail");
	m = returned();
	ck_assert_int_eq(text_set(&m->routing_key, "mails", 5), 0);
	ck_origin(m, "", "mails");
	/* Without all that a copy has. */
	m = returned();
	ck_assert_int_eq(table_set_i32(&m->properties.headers, HEADER_EXCHANGE, 1), 0);
	ck_origin(m, "", "mail");
	m = returned();
	table_clear(&m->properties.headers);
	ck_origin(m, "", "mail");
	/* What no routing key can be. */
	m = returned();
	set_header(m, HEADER_ROUTING_KEY,
		   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		   "01234567890123456789012345678901234567890123456789012345");
	ck_origin(m, "", "mail");
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "reason", a_copy_says_why, a_note_is_part_of_the_reason, reasons_in_words, a_worker_says_why,
		 what_no_handler_can_get, a_long_reason_is_whole);
	ADD_CASE(s, "content", what_must_not_travel_stays, properties_stay_but_for_two, full_headers_go_without_stderr);
	ADD_CASE(s, "way", the_way_through_a_delay_queue_is_undone);
}

CHECK_MAIN("copy", add_cases)
