/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/strbuf.h"
#include "check_main.h"

#define ck_escaped(in, out)                                                                                            \
	do {                                                                                                           \
		struct strbuf b_ = STRBUF_INIT;                                                                        \
		strbuf_append_escaped(&b_, in, sizeof(in) - 1);                                                        \
		ck_assert_str_eq(strbuf_str(&b_), out);                                                                \
		strbuf_free(&b_);                                                                                      \
	} while (0)
#define ck_value(in, out)                                                                                              \
	do {                                                                                                           \
		struct strbuf b_ = STRBUF_INIT;                                                                        \
		strbuf_append_value(&b_, in, sizeof(in) - 1);                                                          \
		ck_assert_str_eq(strbuf_str(&b_), out);                                                                \
		strbuf_free(&b_);                                                                                      \
	} while (0)

START_TEST(escaping_keeps_text_and_disarms_the_rest) {
	ck_escaped("plain text", "plain text");
	ck_escaped("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	ck_escaped("a\nb\rc\td", "a\\nb\\rc\\td");
	ck_escaped("\x1b[31m", "\\x1b[31m");
	ck_escaped("nul\0nul", "nul\\x00nul");
	ck_escaped("\x7f", "\\x7f");
	ck_escaped("back\\slash", "back\\\\slash");
	ck_escaped("\xc2\x9b" "31m", "\\xc2\\x9b31m");   /* CSI as a C1 control */
	ck_escaped("\xe2\x80\xa8", "\\xe2\\x80\\xa8");   /* LINE SEPARATOR */
	ck_escaped("\xc0\xaf", "\\xc0\\xaf");		 /* overlong */
	ck_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");   /* surrogate */
	ck_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	ck_escaped("cut \xe2\x82", "cut \\xe2\\x82");
	ck_escaped("", "");
}
END_TEST

START_TEST(values_are_quoted_when_they_must_be) {
	ck_value("order-17_a.b:c/d@e+f%g~h", "order-17_a.b:c/d@e+f%g~h");
	ck_value("", "\"\"");
	ck_value("two words", "\"two words\"");
	ck_value("a=b", "\"a=b\"");
	ck_value("say \"hi\"", "\"say \\\"hi\\\"\"");
	ck_value("a\0b", "\"a\\x00b\"");
	ck_value("x decision=ack\nsettled", "\"x decision=ack\\nsettled\"");
}
END_TEST

START_TEST(strbuf_grows_and_is_taken) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	for (int i = 0; i < 1000; i++)
		strbuf_printf(&b, "%d,", i);
	ck_assert_uint_eq(b.len, 10 * 2 + 90 * 3 + 900 * 4);
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	ck_assert_ptr_null(b.data);
	ck_assert_str_eq(s + strlen(s) - 4, "999,");
	free(s);
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	ck_assert_str_eq(s, "");
	free(s);
	b.failed = true;
	strbuf_append_str(&b, "lost");
	ck_assert_int_lt(strbuf_take(&b, &s), 0);
}
END_TEST

START_TEST(backoff_doubles_to_its_cap) {
	struct backoff b;
	uint64_t expected[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};

	backoff_init(&b, 1 * USEC_PER_SEC, 60 * USEC_PER_SEC);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		ck_assert_uint_eq(backoff_next_usec(&b, 0), expected[i] * USEC_PER_SEC);
	backoff_reset(&b);
	ck_assert_uint_eq(backoff_next_usec(&b, 0), USEC_PER_SEC);
}
END_TEST

START_TEST(backoff_jitter_takes_off_up_to_a_quarter) {
	struct backoff b;
	uint64_t least;

	backoff_init(&b, 100 * USEC_PER_MSEC, 10 * USEC_PER_SEC);
	least = backoff_next_usec(&b, UINT32_MAX);
	ck_assert_uint_ge(least, 75 * USEC_PER_MSEC);
	ck_assert_uint_lt(least, 76 * USEC_PER_MSEC);
	for (int i = 0; i < 100; i++)
		(void)backoff_next_usec(&b, 0);
	ck_assert_uint_ge(backoff_next_usec(&b, UINT32_MAX), 7500 * USEC_PER_MSEC);
	/* A minimum above the maximum, or no end: still within bounds. */
	backoff_init(&b, 5, 3);
	ck_assert_uint_eq(backoff_next_usec(&b, 0), 3);
	backoff_init(&b, UINT64_MAX / 3, UINT64_MAX);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_ge(backoff_next_usec(&b, 0), UINT64_MAX / 3);
}
END_TEST

START_TEST(clock_adds_without_overflow) {
	ck_assert_uint_eq(clock_add_usec(1, 2), 3);
	ck_assert_uint_eq(clock_add_usec(USEC_INFINITY, 2), USEC_INFINITY);
	ck_assert_uint_eq(clock_add_usec(2, USEC_INFINITY), USEC_INFINITY);
	ck_assert_uint_eq(clock_add_usec(USEC_INFINITY - 1, 1), USEC_INFINITY);
	ck_assert_uint_le(clock_now_usec(), clock_now_usec());
}
END_TEST

struct item {
	int value;
	struct list node;
};

START_TEST(lists_link_and_unlink) {
	struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
	struct list head;
	int sum = 0;

	list_init(&head);
	ck_assert(list_is_empty(&head));
	ck_assert_ptr_null(LIST_FIRST(&head, struct item, node));
	for (int i = 0; i < 3; i++) {
		list_init(&items[i].node);
		list_append(&head, &items[i].node);
	}
	LIST_FOREACH(it, &head, struct item, node) {
		sum = sum * 10 + it->value;
		list_remove(&it->node);
	}
	ck_assert_int_eq(sum, 123);
	ck_assert(list_is_empty(&head));
	ck_assert(!list_is_linked(&items[0].node));
	list_remove(&items[0].node);
	list_append(&head, &items[0].node);
	list_insert_before(&items[0].node, &items[1].node);
	ck_assert_int_eq(LIST_FIRST(&head, struct item, node)->value, 2);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "strbuf", escaping_keeps_text_and_disarms_the_rest, values_are_quoted_when_they_must_be,
		 strbuf_grows_and_is_taken);
	ADD_CASE(s, "backoff", backoff_doubles_to_its_cap, backoff_jitter_takes_off_up_to_a_quarter);
	ADD_CASE(s, "clock", clock_adds_without_overflow);
	ADD_CASE(s, "list", lists_link_and_unlink);
}

CHECK_MAIN("base", add_cases)
