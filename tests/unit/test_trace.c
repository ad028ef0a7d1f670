/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "message/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" TRACE "-" SPAN "-01"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static struct message *message;

static void setup(void) {
	ck_assert_int_eq(message_new(&message), 0);
	message->properties.has_headers = true;
}

static void teardown(void) {
	message = message_free(message);
}

static void set(const char *name, const char *value, size_t len) {
	ck_assert_int_eq(table_set_string(&message->properties.headers, name, value, len), 0);
}

static const struct {
	const char *value;
	bool good;
} parents[] = {
	{GOOD, true},
	{"00-" TRACE "-" SPAN "-00", true},
	{"00-" TRACE "-" SPAN "-ff", true},
	{"00-00000000000000000000000000000001-0000000000000001-01", true},
	{"01-" TRACE "-" SPAN "-01", true},
	{"fe-" TRACE "-" SPAN "-01", true},
	{"cc-" TRACE "-" SPAN "-01-what-the-future-brings", true},
	{"cc-" TRACE "-" SPAN "-01-", true},
	{"", false},
	{"00", false},
	{"ff-" TRACE "-" SPAN "-01", false},
	{"00-" TRACE "-" SPAN "-01-more", false},
	{"00-" TRACE "-" SPAN "-01-", false},
	{"cc-" TRACE "-" SPAN "-01.more", false},
	{"cc-" TRACE "-" SPAN "-01-\n", false},
	{"cc-" TRACE "-" SPAN "-01-\xc3\xa4", false},
	{"cc-" TRACE "-" SPAN "-01-" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED, false},
	{"00-00000000000000000000000000000000-" SPAN "-01", false},
	{"00-" TRACE "-0000000000000000-01", false},
	{"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false},
	{"00-" TRACE "-00F067AA0BA902B7-01", false},
	{"0A-" TRACE "-" SPAN "-01", false},
	{"00-" TRACE "-" SPAN "-0A", false},
	{"00-" TRACE "-" SPAN "-0", false},
	{"00-" TRACE "-" SPAN "-0g", false},
	{"00_" TRACE "-" SPAN "-01", false},
	{"00-" TRACE "_" SPAN "-01", false},
	{"00-" TRACE "-" SPAN "_01", false},
	{"0--" TRACE "-" SPAN "-01", false},
	{" " GOOD, false},
	{GOOD " ", false},
	{GOOD "\n", false},
	{"00-4bf92f3577b34da6a3ce929d0e0e473-0" SPAN "-01", false},
};

START_TEST(traceparent) {
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		const struct text *t;

		set("traceparent", parents[i].value, strlen(parents[i].value));
		t = trace_parent(message);
		ck_assert_msg(!!t == parents[i].good, "%s", parents[i].value);
		if (t)
			ck_assert_str_eq(t->data, parents[i].value);
	}
}
END_TEST

#define EIGHT "a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1"

static const struct {
	const char *value;
	bool good;
} states[] = {
	{"a=1", true},
	{"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true},
	{"fw529a3039@dt=FfAwMDAwMDAw", true},
	{"a_-*/0=b", true},
	{"0a=b c!~", true},
	{"a=1, b=2\t,\tc=3", true},
	{" a=1 ", true},
	{"a=1,,b=2,", true},
	{EIGHT "," EIGHT "," EIGHT "," EIGHT, true},
	{EIGHT "," EIGHT "," EIGHT "," EIGHT ",b=1", false},
	{"a=" HUNDRED HUNDRED "01234567890123456789012345678901234567890123456789012345", true},
	{"a=" HUNDRED HUNDRED "012345678901234567890123456789012345678901234567890123456", false},
	{HUNDRED HUNDRED "01234567890123456789012345678901234567890123456789012345=1", true},
	{HUNDRED HUNDRED "012345678901234567890123456789012345678901234567890123456=1", false},
	{"a=" HUNDRED HUNDRED ",b=" HUNDRED HUNDRED ",c=" HUNDRED "0123", true},
	{"a=" HUNDRED HUNDRED ",b=" HUNDRED HUNDRED ",c=" HUNDRED "01234", false},
	{"", false},
	{" , ", false},
	{"a", false},
	{"a=", false},
	{"=1", false},
	{"A=1", false},
	{"_a=1", false},
	{"a b=1", false},
	{"a=1=2", false},
	{"a=\n", false},
	{"a=1\nX=2", false},
	{"a=\x7f", false},
	{"a=\xc3\xa4", false},
	{"a=1,b", false},
};

START_TEST(tracestate) {
	set("traceparent", GOOD, strlen(GOOD));
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		const struct text *t;

		set("tracestate", states[i].value, strlen(states[i].value));
		t = trace_state(message);
		ck_assert_msg(!!t == states[i].good, "%s", states[i].value);
		if (t)
			ck_assert_str_eq(t->data, states[i].value);
	}
}
END_TEST

START_TEST(only_together) {
	set("tracestate", "a=1", 3);
	ck_assert_ptr_null(trace_state(message));
	set("traceparent", "00-x", 4);
	ck_assert_ptr_null(trace_state(message));
	set("traceparent", GOOD, strlen(GOOD));
	ck_assert_ptr_nonnull(trace_state(message));
}
END_TEST

START_TEST(names_and_kinds) {
	struct field *f;

	ck_assert_ptr_null(trace_parent(message));
	set("Traceparent", GOOD, strlen(GOOD));
	ck_assert_ptr_null(trace_parent(message));
	ck_assert_int_eq(table_set_i32(&message->properties.headers, "traceparent", 1), 0);
	ck_assert_ptr_null(trace_parent(message));
	ck_assert_int_eq(table_set(&message->properties.headers, "traceparent", &f), 0);
	f->kind = FIELD_BYTES;
	f->text = (struct text){0};
	ck_assert_ptr_null(trace_parent(message));
	ck_assert_int_eq(text_set(&f->text, GOOD, strlen(GOOD)), 0);
	ck_assert_ptr_nonnull(trace_parent(message));
	message->properties.has_headers = false;
	ck_assert_ptr_null(trace_parent(message));
}
END_TEST

START_TEST(nul_bytes) {
	set("traceparent", GOOD "\0", strlen(GOOD) + 1);
	ck_assert_ptr_null(trace_parent(message));
	set("traceparent", GOOD, strlen(GOOD));
	set("tracestate", "a=1\0,b=2", 8);
	ck_assert_ptr_null(trace_state(message));
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("trace");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, traceparent);
	tcase_add_test(t, tracestate);
	tcase_add_test(t, only_together);
	tcase_add_test(t, names_and_kinds);
	tcase_add_test(t, nul_bytes);
	suite_add_tcase(s, t);
}

CHECK_MAIN("trace", add_cases)
