/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/template.h"
#include "check_main.h"

static struct message *message;

static void set(struct text *t, const char *value) {
	ck_assert_int_eq(text_set(t, value, strlen(value)), 0);
}

static void setup(void) {
	struct properties *p;

	ck_assert_int_eq(message_new(&message), 0);
	p = &message->properties;
	set(&message->exchange, "ex");
	set(&message->routing_key, "a.b");
	set(&message->consumer_tag, "ctag");
	message->delivery_tag = 18446744073709551615u;
	message->redelivered = true;
	message->body_size = 5;
	set(&p->content_type, "text/plain");
	set(&p->content_encoding, "gzip");
	p->has_delivery_mode = p->has_priority = p->has_timestamp = p->has_headers = true;
	p->delivery_mode = 2;
	p->priority = 9;
	set(&p->correlation_id, "corr");
	set(&p->reply_to, "back");
	set(&p->expiration, "60000");
	set(&p->message_id, "id-1");
	p->timestamp = 1700000000;
	set(&p->type, "order");
	set(&p->user_id, "guest");
	set(&p->app_id, "shop");
	ck_assert_int_eq(table_set_string(&p->headers, "x-kind", "%{queue} %% $(id)", 17), 0);
	ck_assert_int_eq(table_set_i32(&p->headers, "n", -5), 0);
	ck_assert_int_eq(table_set_string(&p->headers, "with space:{\xc3\xa4", "v", 1), 0);
	ck_assert_int_eq(table_set_string(&p->headers, "nul", "a\0b", 3), 0);
	ck_assert_int_eq(table_set_string(&p->headers, "empty", "", 0), 0);
}

static void teardown(void) {
	message = message_free(message);
}

/* Every name, and what text becomes which. */
static const struct {
	const char *template, *expected;
} expansions[] = {
	{"", ""},
	{"plain", "plain"},
	{"%%", "%"},
	{"%%{queue}", "%{queue}"},
	{"%%%{queue}%%", "%mail%"},
	{"%{queue}", "mail"},
	{"%{exchange}", "ex"},
	{"%{routing_key}", "a.b"},
	{"%{consumer_tag}", "ctag"},
	{"%{delivery_tag}", "18446744073709551615"},
	{"%{redelivered}", "true"},
	{"%{attempt}", "3"},
	{"%{body_size}", "5"},
	{"%{content_type}", "text/plain"},
	{"%{content_encoding}", "gzip"},
	{"%{delivery_mode}", "2"},
	{"%{priority}", "9"},
	{"%{correlation_id}", "corr"},
	{"%{reply_to}", "back"},
	{"%{expiration}", "60000"},
	{"%{message_id}", "id-1"},
	{"%{timestamp}", "1700000000"},
	{"%{type}", "order"},
	{"%{user_id}", "guest"},
	{"%{app_id}", "shop"},
	{"%{header:n}", "-5"},
	{"%{header:with space:{\xc3\xa4}", "v"},
	{"%{header:missing}", ""},
	{"%{header:empty}", ""},
	{"--id=%{message_id};%{queue}}", "--id=id-1;mail}"},
	/* Once: what a value holds is never expanded again. */
	{"%{header:x-kind}", "%{queue} %% $(id)"},
	{"%%{header:%{queue}}", "%{header:mail}"},
};

static int expand(const char *text, unsigned attempt, size_t max, struct strbuf *b) {
	CLEANUP(template_clear) struct template t = {0};
	const struct template_input in = {.queue = "mail", .message = message, .attempt = attempt};

	ck_assert_int_eq(template_parse(text, &t, NULL), 0);
	return template_expand(&t, &in, max, b);
}

static void expect(const char *text, unsigned attempt, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	ck_assert_int_eq(expand(text, attempt, 1000, &b), 0);
	ck_assert_str_eq(strbuf_str(&b), expected);
	ck_assert_uint_eq(b.len, strlen(expected));
}

START_TEST(values) {
	for (size_t i = 0; i < ARRAY_SIZE(expansions); i++)
		expect(expansions[i].template, 3, expansions[i].expected);
}
END_TEST

START_TEST(every_name_is_tested) {
	char text[64];

	for (size_t i = 0; template_names[i]; i++) {
		bool found = false;

		(void)snprintf(text, sizeof(text), "%%{%s}", template_names[i]);
		for (size_t j = 0; j < ARRAY_SIZE(expansions); j++)
			found = found || strcmp(expansions[j].template, text) == 0;
		ck_assert_msg(found, "%s", text);
	}
}
END_TEST

START_TEST(what_is_absent_is_empty) {
	struct message *full = message;

	ck_assert_int_eq(message_new(&message), 0);
	for (size_t i = 0; template_names[i]; i++) {
		char text[64];
		const char *name = template_names[i];
		const char *expected = strcmp(name, "queue") == 0		? "mail"
				       : strcmp(name, "redelivered") == 0	? "false"
				       : strcmp(name, "delivery_tag") == 0 ||
						       strcmp(name, "body_size") == 0
					       ? "0"
					       : "";

		(void)snprintf(text, sizeof(text), "%%{%s}", name);
		expect(text, 0, expected);
	}
	expect("<%{header:x}>", 0, "<>");
	message_free(message);
	message = full;
}
END_TEST

static const struct {
	const char *template;
	size_t offset;
	const char *text, *name;
} errors[] = {
	{"%", 0, "% must be followed by {NAME}, or by % for a percent sign", ""},
	{"50% off", 2, "% must be followed by {NAME}, or by % for a percent sign", ""},
	{"%%%", 2, "% must be followed by {NAME}, or by % for a percent sign", ""},
	{"%(queue)", 0, "% must be followed by {NAME}, or by % for a percent sign", ""},
	{"a %{queue", 2, "%{ is not closed by }", ""},
	{"%{", 0, "%{ is not closed by }", ""},
	{"%{}", 0, "%{} names no value", ""},
	{"%{queue}%{header:}", 8, "%{header:} names no header", ""},
	{"%{Queue}", 0, "there is no value \"Queue\"", "Queue"},
	{"%{ queue}", 0, "there is no value \" queue\"", " queue"},
	{"%{que}", 0, "there is no value \"que\"", "que"},
	{"%{queues}", 0, "there is no value \"queues\"", "queues"},
	{"%{header}", 0, "there is no value \"header\"", "header"},
	{"%{headers:x}", 0, "there is no value \"headers:x\"", "headers:x"},
	{"%{body}", 0, "there is no value \"body\"", "body"},
};

START_TEST(refused) {
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct template t = {.n = 77};
		struct template_error error;

		memset(&error, 0xee, sizeof(error));
		ck_assert_int_eq(template_parse(errors[i].template, &t, &error), -EINVAL);
		ck_assert_uint_eq(t.n, 77);
		ck_assert_uint_eq(error.offset, errors[i].offset);
		ck_assert_str_eq(error.text, errors[i].text);
		ck_assert_str_eq(error.name, errors[i].name);
	}
}
END_TEST

START_TEST(long_unknown_names_are_cut) {
	struct template t;
	struct template_error error;
	char text[300] = "%{";

	memset(text + 2, 'x', 200);
	strcpy(text + 202, "}");
	ck_assert_int_eq(template_parse(text, &t, &error), -EINVAL);
	ck_assert_uint_eq(strlen(error.name), sizeof(error.name) - 1);
	ck_assert_uint_lt(strlen(error.text), sizeof(error.text));
}
END_TEST

START_TEST(constant_or_not) {
	static const struct {
		const char *text;
		bool constant;
	} cases[] = {{"", true}, {"x", true}, {"%%{queue}", true}, {"a%%b%%c", true}, {"%{queue}", false}, {"a%{type}b", false}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct template t;

		ck_assert_int_eq(template_parse(cases[i].text, &t, NULL), 0);
		ck_assert_int_eq(template_is_constant(&t), cases[i].constant);
		template_clear(&t);
		ck_assert_uint_eq(t.n, 0);
	}
}
END_TEST

/* b already holds "before". */
static void expect_failure(const char *text, size_t max, int error) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_str(&b, "before");
	ck_assert_int_eq(expand(text, 1, max, &b), error);
	ck_assert_str_eq(strbuf_str(&b), "before");
	ck_assert_uint_eq(b.len, 6);
}

START_TEST(nul_bytes_and_lengths) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	expect_failure("x%{header:nul}y", 1000, -EILSEQ);
	expect_failure("%{queue}%{queue}", 7, -E2BIG);
	expect_failure("12345", 4, -E2BIG);
	strbuf_append_str(&b, "before");
	ck_assert_int_eq(expand("%{queue}%{queue}", 1, 8, &b), 0);
	ck_assert_str_eq(strbuf_str(&b), "beforemailmail");
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("template");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, values);
	tcase_add_test(t, every_name_is_tested);
	tcase_add_test(t, what_is_absent_is_empty);
	tcase_add_test(t, refused);
	tcase_add_test(t, long_unknown_names_are_cut);
	tcase_add_test(t, constant_or_not);
	tcase_add_test(t, nul_bytes_and_lengths);
	suite_add_tcase(s, t);
}

CHECK_MAIN("template", add_cases)
