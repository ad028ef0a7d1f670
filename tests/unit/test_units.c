/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "config/units.h"

#define HOUR (60 * USEC_PER_MINUTE)
#define DAY (24 * HOUR)

static const struct {
	const char *text;
	int result;
	uint64_t usec;
} durations[] = {
	{"0", 0, 0},
	{"90", 0, 90 * USEC_PER_SEC},
	{"+5", 0, 5 * USEC_PER_SEC},
	{"-0", 0, 0},
	{"1.5", 0, 1500000},
	{".5", 0, 500000},
	{"0.1s", 0, 100000},
	{"0.000001", 0, 1},
	{"0.0000019", 0, 1},
	{"0.00000000000000000000000000000001s", 0, 0},
	{"250ms", 0, 250000},
	{"250msec", 0, 250000},
	{"7us", 0, 7},
	{"7usec", 0, 7},
	{"7\xc2\xb5s", 0, 7},
	{"7\xce\xbcs", 0, 7},
	{"2min", 0, 2 * USEC_PER_MINUTE},
	{"2m", 0, 2 * USEC_PER_MINUTE},
	{"2minutes", 0, 2 * USEC_PER_MINUTE},
	{"1minute", 0, USEC_PER_MINUTE},
	{"1h 30min", 0, 90 * USEC_PER_MINUTE},
	{"1h30min", 0, 90 * USEC_PER_MINUTE},
	{"1 hr 30 min", 0, 90 * USEC_PER_MINUTE},
	{" \t1h\n30min ", 0, 90 * USEC_PER_MINUTE},
	{"1h 30", 0, HOUR + 30 * USEC_PER_SEC},
	{"1s 1s", 0, 2 * USEC_PER_SEC},
	{"1.5h", 0, 90 * USEC_PER_MINUTE},
	{"2hours 1hour 1d", 0, DAY + 3 * HOUR},
	{"2days 1day 1w 1week 1weeks", 0, 24 * DAY},
	{"1M", 0, UINT64_C(2629800) * USEC_PER_SEC},
	{"1month 1months", 0, UINT64_C(5259600) * USEC_PER_SEC},
	{"1y", 0, UINT64_C(31557600) * USEC_PER_SEC},
	{"1year 1years", 0, UINT64_C(63115200) * USEC_PER_SEC},
	{"1seconds 1second 1sec 1s", 0, 4 * USEC_PER_SEC},
	{"infinity", 0, USEC_INFINITY},
	{" infinity ", 0, USEC_INFINITY},
	{"18446744073709551614us", 0, UINT64_MAX - 1},
	{"18446744073709.551614", 0, UINT64_MAX - 1},
	{"18446744073709551615us", -ERANGE, 0}, /* would be infinity */
	{"18446744073709551616us", -ERANGE, 0},
	{"18446744073709.551616", -ERANGE, 0},
	{"99999999999999999999999999", -ERANGE, 0},
	{"600000y", -ERANGE, 0},
	{"18446744073709551614us 2us", -ERANGE, 0},
	{"-1", -ERANGE, 0},
	{"-5min", -ERANGE, 0},
	{"", -EINVAL, 0},
	{" ", -EINVAL, 0},
	{"-", -EINVAL, 0},
	{"s", -EINVAL, 0},
	{"soon", -EINVAL, 0},
	{"5 parsecs", -EINVAL, 0},
	{"99999999999999999999999999 parsecs", -EINVAL, 0},
	{"5S", -EINVAL, 0},
	{"5 s s", -EINVAL, 0},
	{"1..5s", -EINVAL, 0},
	{"1.", -EINVAL, 0},
	{".s", -EINVAL, 0},
	{"1h -5min", -EINVAL, 0},
	{"--5", -EINVAL, 0},
	{"1,5s", -EINVAL, 0},
	{"0x10", -EINVAL, 0},
	{"1e3", -EINVAL, 0},
	{"infinity s", -EINVAL, 0},
	{"infinitys", -EINVAL, 0},
	{"-infinity", -EINVAL, 0},
};

START_TEST(durations_are_read) {
	uint64_t usec = 4711;
	int r = units_parse_duration(durations[_i].text, &usec);

	ck_assert_msg(r == durations[_i].result, "\"%s\": %d", durations[_i].text, r);
	ck_assert_msg(usec == (r < 0 ? 4711 : durations[_i].usec), "\"%s\": %" PRIu64, durations[_i].text, usec);
}
END_TEST

START_TEST(numbers_are_seconds) {
	uint64_t usec = 4711;

	ck_assert_int_eq(units_duration_from_seconds(0, &usec), 0);
	ck_assert_uint_eq(usec, 0);
	ck_assert_int_eq(units_duration_from_seconds(90, &usec), 0);
	ck_assert_uint_eq(usec, 90 * USEC_PER_SEC);
	ck_assert_int_eq(units_duration_from_seconds(INT64_C(18446744073709), &usec), 0);
	ck_assert_uint_eq(usec, UINT64_C(18446744073709000000));
	ck_assert_int_eq(units_duration_from_seconds(INT64_C(18446744073710), &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_seconds(-1, &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_seconds(INT64_MIN, &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_seconds(INT64_MAX, &usec), -ERANGE);

	ck_assert_int_eq(units_duration_from_float(0.25, &usec), 0);
	ck_assert_uint_eq(usec, 250000);
	ck_assert_int_eq(units_duration_from_float(0.1, &usec), 0);
	ck_assert_uint_eq(usec, 100000);
	ck_assert_int_eq(units_duration_from_float(-0.0000001, &usec), 0);
	ck_assert_uint_eq(usec, 0);
	ck_assert_int_eq(units_duration_from_float(-0.001, &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_float(1e14, &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_float((double)INFINITY, &usec), -ERANGE);
	ck_assert_int_eq(units_duration_from_float((double)NAN, &usec), -ERANGE);
}
END_TEST

static const struct {
	const char *text;
	int result;
	uint64_t bytes;
} sizes[] = {
	{"0", 0, 0},
	{"1000", 0, 1000},
	{"1K", 0, 1024},
	{"64M", 0, UINT64_C(64) << 20},
	{" 64 M ", 0, UINT64_C(64) << 20},
	{"3G", 0, UINT64_C(3) << 30},
	{"2T", 0, UINT64_C(2) << 40},
	{"18446744073709551615", 0, UINT64_MAX},
	{"18014398509481983K", 0, UINT64_C(18014398509481983) << 10},
	{"18014398509481984K", -ERANGE, 0},
	{"18446744073709551616", -ERANGE, 0},
	{"99999999999999999999999T", -ERANGE, 0},
	{"", -EINVAL, 0},
	{"M", -EINVAL, 0},
	{"64m", -EINVAL, 0},
	{"64MB", -EINVAL, 0},
	{"64MiB", -EINVAL, 0},
	{"1.5M", -EINVAL, 0},
	{"-1", -EINVAL, 0},
	{"+1", -EINVAL, 0},
	{"64M 1K", -EINVAL, 0},
	{"0x10", -EINVAL, 0},
};

START_TEST(sizes_are_read) {
	uint64_t bytes = 4711;
	int r = units_parse_size(sizes[_i].text, &bytes);

	ck_assert_msg(r == sizes[_i].result, "\"%s\": %d", sizes[_i].text, r);
	ck_assert_msg(bytes == (r < 0 ? 4711 : sizes[_i].bytes), "\"%s\": %" PRIu64, sizes[_i].text, bytes);
}
END_TEST

static void check_duration_text(uint64_t usec, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	uint64_t again = 0;

	units_format_duration(usec, &b);
	if (expected)
		ck_assert_str_eq(strbuf_str(&b), expected);
	ck_assert_int_eq(units_parse_duration(strbuf_str(&b), &again), 0);
	ck_assert_uint_eq(again, usec);
}

START_TEST(durations_are_written_and_read_again) {
	check_duration_text(0, "0s");
	check_duration_text(1, "1us");
	check_duration_text(250000, "250ms");
	check_duration_text(1500000, "1s 500ms");
	check_duration_text(25 * USEC_PER_MINUTE, "25min");
	check_duration_text(90 * USEC_PER_MINUTE, "1h 30min");
	check_duration_text(DAY, "1d");
	check_duration_text(8 * DAY + 1, "1w 1d 1us");
	check_duration_text(USEC_INFINITY, "infinity");
	check_duration_text(USEC_INFINITY - 1, NULL);
	for (uint64_t n = 1; n < UINT64_MAX / 7; n *= 7)
		check_duration_text(n, NULL);
}
END_TEST

static void check_size_text(uint64_t bytes, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	uint64_t again = 0;

	units_format_size(bytes, &b);
	if (expected)
		ck_assert_str_eq(strbuf_str(&b), expected);
	ck_assert_int_eq(units_parse_size(strbuf_str(&b), &again), 0);
	ck_assert_uint_eq(again, bytes);
}

START_TEST(sizes_are_written_and_read_again) {
	check_size_text(0, "0");
	check_size_text(1000, "1000");
	check_size_text(1024, "1K");
	check_size_text(1025, "1025");
	check_size_text(UINT64_C(128) << 20, "128M");
	check_size_text(UINT64_C(1) << 40, "1T");
	check_size_text(UINT64_C(1) << 50, "1024T");
	check_size_text(UINT64_MAX, NULL);
	for (uint64_t n = 1; n < UINT64_MAX / 6; n *= 6)
		check_size_text(n, NULL);
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, durations_are_read, 0, ARRAY_SIZE(durations));
	tcase_add_loop_test(tables, sizes_are_read, 0, ARRAY_SIZE(sizes));
	suite_add_tcase(suite, tables);
	ADD_CASE(suite, "numbers", numbers_are_seconds);
	ADD_CASE(suite, "text", durations_are_written_and_read_again, sizes_are_written_and_read_again);
}

CHECK_MAIN("units", add_cases)
