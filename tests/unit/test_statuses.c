/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "config/config.h"
#include "config/statuses.h"

static const struct {
	const char *text;
	int result;
	unsigned first;
	unsigned last;
} texts[] = {
	{"0", 0, 0, 0},
	{"255", 0, 255, 255},
	{"075", 0, 75, 75},
	{"0-255", 0, 0, 255},
	{"63-64", 0, 63, 64},
	{"64-78", 0, 64, 78},
	{"127-128", 0, 127, 128},
	{"7-7", 0, 7, 7},
	{"256", -ERANGE, 0, 0},
	{"250-256", -ERANGE, 0, 0},
	{"99999999999999999999", -ERANGE, 0, 0},
	{"4294967296", -ERANGE, 0, 0},
	{"78-64", -EDOM, 0, 0},
	{"", -EINVAL, 0, 0},
	{"-", -EINVAL, 0, 0},
	{"-1", -EINVAL, 0, 0},
	{"1-", -EINVAL, 0, 0},
	{"1-2-3", -EINVAL, 0, 0},
	{"1 - 2", -EINVAL, 0, 0},
	{" 1", -EINVAL, 0, 0},
	{"1,2", -EINVAL, 0, 0},
	{"+1", -EINVAL, 0, 0},
	{"0x10", -EINVAL, 0, 0},
	{"SIGTERM", -EINVAL, 0, 0},
};

START_TEST(texts_are_read) {
	struct config_statuses s = {0};
	int r = statuses_parse(texts[_i].text, &s);

	ck_assert_msg(r == texts[_i].result, "%s: %d", texts[_i].text, r);
	for (int n = 0; n <= 255; n++)
		ck_assert_msg(config_statuses_has(&s, n) ==
				      (r == 0 && n >= (int)texts[_i].first && n <= (int)texts[_i].last),
			      "%s: %d", texts[_i].text, n);
	ck_assert(!config_statuses_has(&s, -1) && !config_statuses_has(&s, 256));
}
END_TEST

static void assert_format(const struct config_statuses *s, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	statuses_format(s, &b);
	ck_assert_str_eq(strbuf_str(&b), expected);
}

START_TEST(sets_are_written_as_ranges) {
	struct config_statuses s = {0};
	unsigned first, last;

	assert_format(&s, "");
	ck_assert(!statuses_next(&s, 0, &first, &last));
	statuses_add(&s, 255, 255);
	assert_format(&s, "255");
	statuses_add(&s, 0, 0);
	statuses_add(&s, 64, 78);
	statuses_add(&s, 79, 79);
	assert_format(&s, "0, 64-79, 255");
	ck_assert(statuses_next(&s, 1, &first, &last));
	ck_assert_uint_eq(first, 64);
	ck_assert_uint_eq(last, 79);
	ck_assert(statuses_next(&s, 70, &first, &last));
	ck_assert_uint_eq(first, 70);
	ck_assert(!statuses_next(&s, 256, &first, &last));
	statuses_add(&s, 0, 255);
	assert_format(&s, "0-255");
}
END_TEST

START_TEST(what_two_sets_have_in_common_is_found) {
	struct config_statuses a = {0}, b = {0}, common;

	ck_assert(!statuses_common(&a, &b, &common));
	statuses_add(&a, 60, 70);
	statuses_add(&b, 71, 255);
	ck_assert(!statuses_common(&a, &b, &common));
	statuses_add(&a, 200, 255);
	statuses_add(&b, 60, 60);
	ck_assert(statuses_common(&a, &b, &common));
	assert_format(&common, "60, 200-255");
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, texts_are_read, 0, ARRAY_SIZE(texts));
	suite_add_tcase(suite, tables);
	ADD_CASE(suite, "sets", sets_are_written_as_ranges, what_two_sets_have_in_common_is_found);
}

CHECK_MAIN("statuses", add_cases)
