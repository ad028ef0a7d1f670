/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "delivery/tail.h"

static void add(struct tail *t, const char *line) {
	tail_add(t, line, strlen(line));
}

static void ck_last(const struct tail *t, const char *expected) {
	size_t len;
	const char *line = tail_last(t, &len);

	ck_assert_uint_eq(len, strlen(expected));
	ck_assert(line && memcmp(line, expected, len) == 0);
}

START_TEST(an_empty_tail_has_no_last_line) {
	struct tail t = {0};
	size_t len = 7;

	ck_assert_ptr_null(tail_last(&t, &len));
	ck_assert_uint_eq(len, 0);
	add(&t, "");
	ck_assert_ptr_null(tail_last(&t, &len));
	tail_clear(&t);
}
END_TEST

START_TEST(keeps_lines_in_order) {
	struct tail t = {0};

	add(&t, "first");
	ck_last(&t, "first");
	add(&t, "");
	add(&t, "second");
	ck_last(&t, "second");
	ck_assert_uint_eq(t.len, strlen("first\nsecond\n"));
	ck_assert_int_eq(memcmp(t.data, "first\nsecond\n", t.len), 0);
	tail_clear(&t);
	ck_assert_uint_eq(t.len, 0);
}
END_TEST

START_TEST(whole_old_lines_make_room) {
	struct tail t = {0};
	char line[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %03d", i);
		add(&t, line);
		ck_last(&t, line);
		ck_assert_uint_le(t.len, TAIL_MAX);
	}
	/* Nine bytes each: as many as there is room for, the first of them whole. */
	ck_assert_uint_eq(t.len, TAIL_MAX / 9 * 9);
	ck_assert_int_eq(memcmp(t.data, "line 773\n", 9), 0);
	tail_clear(&t);
}
END_TEST

START_TEST(one_long_line_takes_all) {
	struct tail t = {0};
	char line[2 * TAIL_MAX];
	size_t len;

	memset(line, 'x', sizeof(line));
	add(&t, "before");
	tail_add(&t, line, sizeof(line));
	ck_assert_uint_eq(t.len, TAIL_MAX);
	ck_assert_ptr_nonnull(tail_last(&t, &len));
	ck_assert_uint_eq(len, TAIL_MAX - 1);
	tail_add(&t, line, TAIL_MAX - 1);
	ck_assert_uint_eq(t.len, TAIL_MAX);
	add(&t, "after");
	ck_assert_uint_eq(t.len, 6);
	ck_last(&t, "after");
	tail_clear(&t);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "tail", an_empty_tail_has_no_last_line, keeps_lines_in_order, whole_old_lines_make_room, one_long_line_takes_all);
}

CHECK_MAIN("tail", add_cases)
