/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "check_main.h"
#include "service/http_target.h"

/* "a|b?c=d&e=" */
static void format(const struct http_target *t, struct strbuf *b) {
	for (size_t i = 0; i < t->n_segments; i++)
		strbuf_printf(b, "%s%s", i > 0 ? "|" : "", t->segments[i]);
	for (size_t i = 0; i < t->n_parameters; i++)
		strbuf_printf(b, "%s%s=%s", i > 0 ? "&" : "?", t->parameters[i].name, t->parameters[i].value);
}

static void ck_target(const char *text, const char *expected) {
	CLEANUP(http_target_clear) struct http_target t = HTTP_TARGET_INIT;
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	ck_assert_int_eq(http_target_parse(text, &t), 0);
	format(&t, &b);
	ck_assert_str_eq(strbuf_str(&b), expected);
}

static void ck_refused(const char *text, int r) {
	struct http_target t = {.n_segments = 77};

	ck_assert_int_eq(http_target_parse(text, &t), r);
	ck_assert_uint_eq(t.n_segments, 77);
}

START_TEST(splits_a_path) {
	ck_target("/", "");
	ck_target("/v1/status", "v1|status");
	ck_target("/v1/status/", "v1|status|");
	ck_target("//x", "|x");
	ck_target("/a/../b", "a|..|b");
}
END_TEST

START_TEST(decodes_once_and_after_splitting) {
	ck_target("/queues/a%2Fb/pause", "queues|a/b|pause");
	ck_target("/a%3Fb", "a?b");
	ck_target("/%252F", "%2F");
	ck_target("/%c3%A4+", "\xc3\xa4+");
	ck_target("/a?b=c%26d%3de", "a?b=c&d=e");
}
END_TEST

START_TEST(reads_a_query) {
	ck_target("/a?", "a");
	ck_target("/a?&&", "a");
	ck_target("/a?b", "a?b=");
	ck_target("/a?b=", "a?b=");
	ck_target("/a?=b", "a?=b");
	ck_target("/a?b=c=d&e=f+g", "a?b=c=d&e=f g");
	ck_target("/a?b=/?c", "a?b=/?c");
}
END_TEST

START_TEST(refuses_what_is_none) {
	ck_refused("", -EINVAL);
	ck_refused("a", -EINVAL);
	ck_refused("*", -EINVAL);
	ck_refused("http://x/a", -EINVAL);
	ck_refused("/%", -EINVAL);
	ck_refused("/%4", -EINVAL);
	ck_refused("/%4x", -EINVAL);
	ck_refused("/%-1", -EINVAL);
	ck_refused("/%00", -EINVAL);
	ck_refused("/a?%zz=b", -EINVAL);
	ck_refused("/a?b=%", -EINVAL);
	ck_refused("/%4/1", -EINVAL);
}
END_TEST

START_TEST(has_limits) {
	char text[200] = "";

	for (int i = 0; i < HTTP_SEGMENTS_MAX; i++)
		strcat(text, "/a");
	ck_target(text, "a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a");
	strcat(text, "/a");
	ck_refused(text, -E2BIG);
	strcpy(text, "/?");
	for (int i = 0; i < HTTP_PARAMETERS_MAX; i++)
		strcat(text, "&a");
	ck_target(text, "?a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=&a=");
	strcat(text, "&a");
	ck_refused(text, -E2BIG);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "target", splits_a_path, decodes_once_and_after_splitting, reads_a_query, refuses_what_is_none,
		 has_limits);
}

CHECK_MAIN("http_target", add_cases)
