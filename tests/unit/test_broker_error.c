/* SPDX-License-Identifier: MIT */
/* What operators read when a broker refuses something, by the texts that RabbitMQ sends. */
#include <check.h>
#include <string.h>

#include "broker/error.h"
#include "check_main.h"

static const struct {
	uint16_t code;
	const char *text;
	const char *expected; /* somewhere in what is said */
} closes[] = {
	{320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
	 "the broker or its operator closed"},
	{311, "CONTENT_TOO_LARGE", "larger than the broker accepts"},
	{403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", "refused the login"},
	{403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'", "permission denied"},
	{403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
	 "another consumer uses the queue exclusively"},
	{404, "NOT_FOUND - no queue 'q' in vhost '/'", "the queue does not exist"},
	{404, "NOT_FOUND - no exchange 'e' in vhost '/'", "an exchange that it needs does not exist"},
	{404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
	 "holds the queue is down"},
	{404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor", "the queue has failed"},
	{405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'",
	 "exclusively by somebody else"},
	{406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'", "another declaration"},
	{406, "PRECONDITION_FAILED - unknown delivery tag 7", "does not know a message that was settled"},
	{406, "PRECONDITION_FAILED - message size 5 is larger than configured max size 4",
	 "larger than the broker accepts"},
	{406, "PRECONDITION_FAILED - something else", "the broker refused"},
	{505, "UNEXPECTED_FRAME - expected content header", "violation of the protocol"},
	{506, "RESOURCE_ERROR - too many", "reached a limit"},
	{530, "NOT_ALLOWED - vhost nowhere not found", "the virtual host does not exist"},
	{540, "NOT_IMPLEMENTED - active=false", "does not support"},
	{541, "INTERNAL_ERROR", "the broker failed"},
	{999, "", "the broker reported an error (999)"},
};

static void explain(uint16_t code, const char *text, char *buf, size_t size) {
	const amqp_bytes_t bytes = {.len = strlen(text), .bytes = (void *)text};

	error_from_close(code, &bytes, buf, size);
}

START_TEST(closes_are_explained_and_quoted) {
	char buf[1280];

	for (size_t i = 0; i < sizeof(closes) / sizeof(closes[0]); i++) {
		explain(closes[i].code, closes[i].text, buf, sizeof(buf));
		ck_assert_msg(strstr(buf, closes[i].expected), "%u %s: %s", closes[i].code, closes[i].text, buf);
		ck_assert_msg(strstr(buf, closes[i].text), "%u %s: %s", closes[i].code, closes[i].text, buf);
	}
}
END_TEST

/* The operator has two settings to look at, one at each side. */
START_TEST(delivery_timeout_names_both_settings) {
	char buf[1280];

	explain(406,
		"PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 "
		"ms.",
		buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "consumer_timeout"));
	ck_assert_ptr_nonnull(strstr(buf, "handler.timeout"));
	ck_assert_ptr_nonnull(strstr(error_from_cancel(), "consumer_timeout"));
	ck_assert_ptr_nonnull(strstr(error_from_cancel(), "handler.timeout"));
	ck_assert_ptr_nonnull(strstr(error_from_cancel(), "deleted"));
}
END_TEST

START_TEST(texts_of_the_broker_stay_on_one_line) {
	char buf[64];

	explain(541, "one\ntwo\x1b[2J", buf, sizeof(buf));
	ck_assert_str_eq(buf, "the broker failed (541 one\\ntwo\\x1b[2J)");
	explain(541, "a text that is much longer than the room that there is for it here", buf, sizeof(buf));
	ck_assert_uint_eq(strlen(buf), sizeof(buf) - 1);
}
END_TEST

START_TEST(statuses_have_words) {
	ck_assert_str_eq(error_from_status(AMQP_STATUS_HEARTBEAT_TIMEOUT), "no heartbeat came from the broker");
	ck_assert_str_eq(error_from_status(AMQP_STATUS_SSL_ERROR), "the TLS connection to the broker broke");
	ck_assert_str_eq(error_from_status(-9999), "an unknown error of the AMQP library");
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "words", closes_are_explained_and_quoted, delivery_timeout_names_both_settings,
		 texts_of_the_broker_stay_on_one_line, statuses_have_words);
}

CHECK_MAIN("broker errors", add_cases)
