/* SPDX-License-Identifier: MIT */
/* A connection of amqp-execctl to a broker made for the test: what becomes of messages that are taken and published.
 * (With RabbitMQ: tests/integration/test_publish.py, test_peek.py, test_replay.py.) */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "check_main.h"
#include "ctl/giveback.h"
#include "ctl/session.h"
#include "fake_broker.h"

#define RESULTS_MAX 8

static struct fake_broker fake;
static struct config *config;
static struct session *session;
static struct session_channel *channel;

/* What the session has called back for, by number. */
static struct {
	unsigned times;
	enum session_result result;
	char reason[256];
} results[RESULTS_MAX];
static unsigned n_results;

static void begin(void) {
	fake = (struct fake_broker){0};
	memset(results, 0, sizeof(results));
	n_results = 0;
	config = NULL;
	session = NULL;
}

static void end(void) {
	session = session_free(session);
	(void)config_unref(config);
	if (fake.port)
		fake_stop(&fake);
}

static void open_it(void) {
	const char *why = NULL;
	char url[64];

	fake_start(&fake);
	(void)snprintf(url, sizeof(url), "amqp://guest:guest@127.0.0.1:%u", (unsigned)fake.port);
	ck_assert_int_eq(config_from_url(url, &why, &config), 0);
	ck_assert_int_eq(session_new(config, &config->brokers[0], "test", &session), 0);
	ck_assert_int_eq(session_connect(session), 0);
	ck_assert_int_eq(session_channel_open(session, &channel), 0);
}

static uint64_t soon(void) {
	return clock_now_usec() + 30 * USEC_PER_SEC;
}

/* --- taking ------------------------------------------------------------------------------------------------------ */

/* Its tag. */
static uint64_t get(uint64_t left) {
	CLEANUP(message_free) struct message *m = NULL;
	uint64_t n;

	ck_assert_int_eq(session_get(channel, "work", &m, &n), 1);
	ck_assert_uint_eq(n, left);
	ck_assert_str_eq(m->routing_key.data, "work");
	ck_assert_int_eq(memcmp(m->body, "hello", 5), 0);
	return m->delivery_tag;
}

START_TEST(messages_are_taken_and_settled) {
	struct message *none = NULL;
	uint64_t n;

	fake.messages = 5;
	open_it();
	for (unsigned i = 1; i <= 5; i++)
		ck_assert_uint_eq(get(5 - i), i);
	ck_assert_int_eq(session_ack(channel, 2, false), 0);
	ck_assert_int_eq(session_nack(channel, 3, true, true), 0);
	ck_assert_int_eq(session_nack(channel, 0, true, true), 0);
	ck_assert_int_eq(session_get(channel, "work", &none, &n), 0);
	ck_assert_ptr_null(none);
	ck_assert_str_eq(fake_told(&fake), "ack 2, nack ..3, nack ..0");
	ck_assert_uint_eq(atomic_load(&fake.settled), 5);
	ck_assert_uint_eq(atomic_load(&fake.unknown_tags), 0);
}
END_TEST

START_TEST(a_wrong_tag_closes_the_channel) {
	struct message *none = NULL;
	uint64_t n;

	open_it();
	ck_assert_int_eq(session_ack(channel, 7, false), 0);
	ck_assert_int_eq(session_get(channel, "work", &none, &n), -EREMOTEIO);
	ck_assert_uint_eq(session_close_code(session), 406);
	ck_assert_int_eq(session_exit_status(session), EXIT_FAILURE);
	ck_assert(session_is_up(session) && !session_channel_is_open(channel));
	ck_assert_int_eq(session_channel_close(channel), 0);
	ck_assert_int_eq(session_channel_open(session, &channel), 0);
}
END_TEST

/* --- giving back ------------------------------------------------------------------------------------------------- */

/* Takes n messages, of which those with an odd tag are kept. */
static void take(struct held *h, unsigned n) {
	for (unsigned i = 1; i <= n; i++)
		ck_assert_int_eq(held_add(h, get(n - i)), 0);
	for (unsigned i = 2; i <= n; i += 2) {
		ck_assert_int_eq(session_ack(channel, i, false), 0);
		held_remove(h, i);
	}
}

START_TEST(what_is_held_is_given_back_at_once) {
	struct held h = {0};

	fake.messages = 6;
	fake.count_requeued = true;
	open_it();
	take(&h, 6);
	ck_assert_int_eq(giveback(session, channel, "work", &h), 0);
	ck_assert_str_eq(fake_told(&fake), "ack 2, ack 4, ack 6, nack ..0, close, 2: close");
	ck_assert_uint_eq(atomic_load(&fake.depth), 3);
	held_clear(&h);
}
END_TEST

/* Not more than 16 settlements at a time, which is what a quorum queue keeps the order of. */
START_TEST(what_is_held_is_given_back_in_order) {
	struct held h = {.counted = true};

	fake.messages = 40;
	fake.count_requeued = true;
	open_it();
	take(&h, 40);
	ck_assert_int_eq(giveback(session, channel, "work", &h), 0);
	ck_assert_ptr_nonnull(strstr(fake_told(&fake), "nack ..31, nack ..39, close, 2: close"));
	ck_assert_uint_eq(atomic_load(&fake.depth), 20);
	ck_assert_uint_eq(atomic_load(&fake.unknown_tags), 0);
	held_clear(&h);
}
END_TEST

START_TEST(nothing_is_given_back_on_a_lost_connection) {
	struct held h = {0};

	fake.messages = 2;
	open_it();
	take(&h, 2);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_assert_int_eq(session_wait(session, -1, soon()), -ECONNABORTED);
	ck_assert_int_eq(giveback(session, channel, "work", &h), 0);
	ck_assert_ptr_null(strstr(fake_told(&fake), "nack"));
	held_clear(&h);
}
END_TEST

/* --- publishing -------------------------------------------------------------------------------------------------- */

static void on_settled(uint64_t number, enum session_result result, const char *reason, void *userdata) {
	ck_assert_ptr_null(userdata);
	ck_assert_uint_lt(number, RESULTS_MAX);
	results[number].times++;
	results[number].result = result;
	(void)snprintf(results[number].reason, sizeof(results[number].reason), "%s", reason);
	n_results++;
}

/* So many that are alike, and not confirmed. */
static void publish(unsigned n) {
	struct message m = {.body_fd = -1, .body_state = BODY_COMPLETE};
	uint64_t number;

	atomic_store(&fake.hold_confirms, true);
	ck_assert_int_eq(session_confirm(channel, on_settled, NULL), 0);
	for (unsigned i = 1; i <= n; i++) {
		ck_assert_int_eq(session_publish(channel, "", "work", &m, soon(), &number), 0);
		ck_assert_uint_eq(number, i);
	}
	while (atomic_load(&fake.published) < n)
		usleep(1000);
}

static void await_results(unsigned n) {
	while (n_results < n)
		ck_assert_int_eq(session_wait(session, -1, soon()), 0);
	ck_assert_uint_eq(n_results, n);
}

static void expect(uint64_t number, enum session_result result) {
	ck_assert_uint_eq(results[number].times, 1);
	ck_assert_str_eq(session_result_to_string(results[number].result), session_result_to_string(result));
}

START_TEST(each_publication_is_answered_once) {
	open_it();
	publish(6);
	fake_ack(&fake, 1, 3, false);
	fake_ack(&fake, 1, 4, true);
	fake_ack(&fake, 1, 3, false); /* again, which is nothing */
	fake_ack(&fake, 1, 99, false);
	fake_nack(&fake, 1, 5, false);
	fake_ack(&fake, 1, 0, true);
	await_results(6);
	for (unsigned i = 1; i <= 6; i++)
		expect(i, i == 5 ? SESSION_NACKED : SESSION_CONFIRMED);
	ck_assert_uint_eq(session_in_flight(channel), 0);
}
END_TEST

START_TEST(one_of_several_alike_is_returned) {
	open_it();
	publish(3);
	fake_ack(&fake, 1, 1, false);
	fake_return(&fake, 1, "", "work", NULL, 0);
	fake_ack(&fake, 1, 3, true);
	await_results(3);
	expect(1, SESSION_CONFIRMED);
	expect(2, SESSION_RETURNED);
	expect(3, SESSION_CONFIRMED);
}
END_TEST

static void count_change(void *userdata) {
	++*(unsigned *)userdata;
}

/* Also where it is a publication that waits. */
START_TEST(that_the_broker_is_blocked_is_told_at_once) {
	struct message m = {.body_fd = -1, .body_state = BODY_COMPLETE};
	unsigned changes = 0;
	uint64_t number;

	open_it();
	session_watch_blocked(session, count_change, &changes);
	publish(1);
	fake_block(&fake, true);
	while (!session_blocked(session))
		ck_assert_int_eq(session_wait(session, -1, soon()), 0);
	ck_assert_uint_eq(changes, 1);
	ck_assert_int_eq(session_publish(channel, "", "work", &m, clock_now_usec() + 100 * USEC_PER_MSEC, &number),
			 -ETIMEDOUT);
	ck_assert_int_eq(session_exit_status(session), EX_TEMPFAIL);
	fake_block(&fake, false);
	ck_assert_int_eq(session_publish(channel, "", "work", &m, soon(), &number), 0);
	ck_assert_uint_eq(changes, 2);
}
END_TEST

/* What is returned would be taken for the first one. */
START_TEST(those_that_only_headers_tell_apart_go_one_after_the_other) {
	struct message m = {.body_fd = -1, .body_state = BODY_COMPLETE};
	uint64_t number;

	open_it();
	publish(2);
	ck_assert_int_eq(table_set_i32(&m.properties.headers, "n", 1), 0);
	ck_assert_int_eq(session_publish(channel, "", "work", &m, clock_now_usec() + 100 * USEC_PER_MSEC, &number),
			 -ETIMEDOUT);
	ck_assert_uint_eq(session_in_flight(channel), 2);
	fake_ack(&fake, 1, 2, true);
	ck_assert_int_eq(session_publish(channel, "", "work", &m, soon(), &number), 0);
	ck_assert_int_eq(session_publish(channel, "", "work", &m, soon(), &number), 0);
	ck_assert_uint_eq(number, 4);
	ck_assert_uint_eq(session_in_flight(channel), 2);
	ck_assert_uint_eq(n_results, 2);
	table_clear(&m.properties.headers);
}
END_TEST

/* It is another one that is refused, and what the broker says is not about this one. */
START_TEST(what_was_returned_stays_so_when_the_channel_is_closed) {
	open_it();
	publish(3);
	fake_return(&fake, 1, "", "work", NULL, 0);
	fake_close_channel(&fake, 1, 404, "NOT_FOUND - no exchange");
	await_results(3);
	expect(1, SESSION_RETURNED);
	ck_assert_str_eq(results[1].reason, "no queue would get it");
	expect(2, SESSION_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(results[2].reason, "no exchange"));
	expect(3, SESSION_UNKNOWN);
}
END_TEST

/* --- the exit status --------------------------------------------------------------------------------------------- */

START_TEST(a_refusal_of_long_ago_is_not_why_the_connection_is_lost) {
	open_it();
	fake_close_channel(&fake, 1, 403, "ACCESS_REFUSED - no");
	ck_assert_int_eq(session_wait(session, -1, soon()), 0);
	ck_assert_int_eq(session_queue_check(channel, "work", NULL), -EREMOTEIO);
	ck_assert_int_eq(session_exit_status(session), EX_NOPERM);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_assert_int_eq(session_wait(session, -1, soon()), -ECONNABORTED);
	ck_assert_int_eq(session_exit_status(session), EX_UNAVAILABLE);
}
END_TEST

START_TEST(what_the_broker_closes_the_connection_for) {
	static const struct {
		unsigned code;
		int status;
	} codes[] = {{320, EX_UNAVAILABLE}, {403, EX_NOPERM}, {530, EX_NOPERM}, {540, EXIT_FAILURE}};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		open_it();
		fake_close_connection(&fake, codes[i].code, "BECAUSE - \x1b[31m");
		ck_assert_int_eq(session_wait(session, -1, soon()), -ECONNABORTED);
		ck_assert_int_eq(session_exit_status(session), codes[i].status);
		ck_assert_uint_eq(session_close_code(session), codes[i].code);
		ck_assert_ptr_null(strchr(session_reason(session), '\x1b'));
		end();
		begin();
	}
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_FIXTURE_CASE(suite, "taking", begin, end, messages_are_taken_and_settled, a_wrong_tag_closes_the_channel,
			 what_is_held_is_given_back_at_once, what_is_held_is_given_back_in_order,
			 nothing_is_given_back_on_a_lost_connection);
	ADD_FIXTURE_CASE(suite, "publishing", begin, end, each_publication_is_answered_once,
			 that_the_broker_is_blocked_is_told_at_once, one_of_several_alike_is_returned,
			 those_that_only_headers_tell_apart_go_one_after_the_other,
			 what_was_returned_stays_so_when_the_channel_is_closed);
	ADD_FIXTURE_CASE(suite, "the exit status", begin, end, a_refusal_of_long_ago_is_not_why_the_connection_is_lost,
			 what_the_broker_closes_the_connection_for);
}

CHECK_MAIN("session", add_cases)
