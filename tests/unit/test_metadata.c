/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "check_main.h"
#include "message/gojson.h"
#include "message/metadata.h"

/* What `made` says, and nothing after it. Frees it. */
static void expect(struct strbuf *made, const char *expected) {
	ck_assert(!made->failed);
	ck_assert_str_eq(strbuf_str(made), expected);
	ck_assert_uint_eq(made->len, strlen(expected));
	strbuf_free(made);
}

/* --- strings ----------------------------------------------------------------------------------------------------- */

#define BYTES(s) s, sizeof(s) - 1

static const struct {
	const char *data;
	size_t len;
	const char *expected;
	bool well_formed;
} strings[] = {
	{BYTES(""), "", true},
	{BYTES("plain text, 'quoted' /"), "plain text, 'quoted' /", true},
	{BYTES("\"\\"), "\\\"\\\\", true},
	{BYTES("\n\r\t"), "\\n\\r\\t", true},
	{BYTES("\0\b\f\x1b\x1f\x7f"), "\\u0000\\u0008\\u000c\\u001b\\u001f\x7f", true},
	{BYTES("<a href='x'>&amp;</a>"), "\\u003ca href='x'\\u003e\\u0026amp;\\u003c/a\\u003e", true},
	{BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true},
	{BYTES("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), "\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa", true},
	{BYTES("\xef\xbf\xbd"), "\xef\xbf\xbd", true}, /* U+FFFD itself */
	{BYTES("\xff"), "\\ufffd", false},
	{BYTES("a\xe2\x82"), "a\\ufffd\\ufffd", false},			    /* cut off */
	{BYTES("\xe2\x82z"), "\\ufffd\\ufffdz", false},			    /* cut off by another */
	{BYTES("\xc0\xaf"), "\\ufffd\\ufffd", false},			    /* longer than need be */
	{BYTES("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd", false},	    /* half of a surrogate pair */
	{BYTES("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd", false}, /* beyond U+10FFFF */
	{BYTES("\x80"), "\\ufffd", false},
};

START_TEST(strings_as_go_writes_them) {
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct strbuf b = STRBUF_INIT;

		gojson_append_characters(&b, strings[i].data, strings[i].len);
		ck_assert_uint_eq(gojson_size(strings[i].data, strings[i].len), strings[i].well_formed ? b.len : SIZE_MAX);
		expect(&b, strings[i].expected);
	}
}
END_TEST

/* Whatever the size of the pieces: the same. */
START_TEST(strings_in_pieces) {
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		for (size_t max = 4; max < 9; max++) {
			struct strbuf b = STRBUF_INIT;
			size_t n;

			for (size_t at = 0; at < strings[i].len; at += n) {
				n = gojson_piece(strings[i].data + at, strings[i].len - at, max);
				ck_assert_uint_ge(n, 1);
				ck_assert_uint_le(n, max);
				gojson_append_characters(&b, strings[i].data + at, n);
			}
			expect(&b, strings[i].expected);
		}
	}
}
END_TEST

/* --- values ------------------------------------------------------------------------------------------------------ */

static void expect_field(const struct field *f, const char *expected) {
	struct strbuf b = STRBUF_INIT;

	ck_assert_int_eq(gojson_append_field(&b, f), 0);
	expect(&b, expected);
}

/* Numbers of JavaScript, whose form Go's is. */
START_TEST(floats) {
	static const struct {
		enum field_kind kind;
		double value;
		const char *expected;
	} cases[] = {
		{FIELD_F64, 0.0, "0"},
		{FIELD_F64, -0.0, "-0"},
		{FIELD_F64, 1.0, "1"},
		{FIELD_F64, -1.5, "-1.5"},
		{FIELD_F64, 0.1, "0.1"},
		{FIELD_F64, 1.0 / 3, "0.3333333333333333"},
		{FIELD_F64, 100, "100"},
		{FIELD_F64, 1234.5678, "1234.5678"},
		{FIELD_F64, 0.000001, "0.000001"},
		{FIELD_F64, 0.0000012345, "0.0000012345"},
		{FIELD_F64, 0.0000001, "1e-7"},
		{FIELD_F64, 0.00000012, "1.2e-7"},
		{FIELD_F64, 1e-10, "1e-10"},
		{FIELD_F64, 123456789012345680000.0, "123456789012345680000"},
		{FIELD_F64, 1e21, "1e+21"},
		{FIELD_F64, -1.5e300, "-1.5e+300"},
		{FIELD_F64, 5e-324, "5e-324"},
		{FIELD_F64, 1.7976931348623157e308, "1.7976931348623157e+308"},
		{FIELD_F64, NAN, "null"},
		{FIELD_F64, INFINITY, "null"},
		{FIELD_F64, -INFINITY, "null"},
		{FIELD_F32, (double)0.1f, "0.1"},
		{FIELD_F32, (double)3.4028235e38f, "3.4028235e+38"},
		{FIELD_F32, (double)1e-6f, "0.000001"},
		{FIELD_F32, (double)1e-45f, "1e-45"},
		{FIELD_F32, 16777216, "16777216"},
		{FIELD_F32, NAN, "null"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct field f = {.kind = cases[i].kind};

		f.f = cases[i].value;
		expect_field(&f, cases[i].expected);
	}
}
END_TEST

START_TEST(numbers_and_times) {
	static const struct {
		struct field f;
		const char *expected;
	} cases[] = {
		{{.kind = FIELD_BOOLEAN, .boolean = true}, "true"},
		{{.kind = FIELD_BOOLEAN, .boolean = false}, "false"},
		{{.kind = FIELD_I8, .i = -128}, "-128"},
		{{.kind = FIELD_U8, .u = 255}, "255"},
		{{.kind = FIELD_I16, .i = -32768}, "-32768"},
		{{.kind = FIELD_U16, .u = 65535}, "65535"},
		{{.kind = FIELD_I32, .i = INT32_MIN}, "-2147483648"},
		{{.kind = FIELD_U32, .u = UINT32_MAX}, "4294967295"},
		{{.kind = FIELD_I64, .i = INT64_MIN}, "-9223372036854775808"},
		{{.kind = FIELD_U64, .u = UINT64_MAX}, "18446744073709551615"},
		{{.kind = FIELD_DECIMAL, .decimal = {2, 1234}}, "{\"Scale\":2,\"Value\":1234}"},
		{{.kind = FIELD_DECIMAL, .decimal = {255, UINT32_MAX}}, "{\"Scale\":255,\"Value\":4294967295}"},
		{{.kind = FIELD_TIMESTAMP, .u = 0}, "\"1970-01-01T00:00:00Z\""},
		{{.kind = FIELD_TIMESTAMP, .u = 1700000000}, "\"2023-11-14T22:13:20Z\""},
		{{.kind = FIELD_TIMESTAMP, .u = 951782400}, "\"2000-02-29T00:00:00Z\""},
		{{.kind = FIELD_TIMESTAMP, .u = 253402300799}, "\"9999-12-31T23:59:59Z\""},
		{{.kind = FIELD_TIMESTAMP, .u = 253402300800}, "null"},
		{{.kind = FIELD_TIMESTAMP, .u = UINT64_MAX}, "null"},
		{{.kind = FIELD_VOID}, "null"},
		{{.kind = FIELD_STRING}, "\"\""},
		{{.kind = FIELD_BYTES}, "\"\""},
		{{.kind = FIELD_STRING, .text = {(char *)"a\0<\xff", 4}}, "\"a\\u0000\\u003c\\ufffd\""},
		{{.kind = FIELD_BYTES, .text = {(char *)"\0\xff\xfe?", 4}}, "\"AP/+Pw==\""},
		{{.kind = FIELD_TABLE}, "{}"},
		{{.kind = FIELD_ARRAY}, "[]"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_field(&cases[i].f, cases[i].expected);
}
END_TEST

static struct field *add(struct table *t, const char *name, enum field_kind kind) {
	struct field *f;

	t->fields = reallocarray(t->fields, t->n + 1, sizeof(*t->fields));
	ck_assert_ptr_nonnull(t->fields);
	f = &t->fields[t->n++];
	memset(f, 0, sizeof(*f));
	f->kind = kind;
	if (name)
		ck_assert_int_eq(text_set(&f->name, name, strlen(name)), 0);
	return f;
}

static void add_number(struct table *t, const char *name, int64_t value) {
	add(t, name, FIELD_I64)->i = value;
}

/* Sorted by their bytes, and the last of one name, at every level. */
START_TEST(tables_are_go_maps) {
	CLEANUP(table_clear) struct table t = {0};
	struct strbuf b = STRBUF_INIT;
	struct table *nested;

	add_number(&t, "b", 1);
	add_number(&t, "\xc3\xa4", 2);
	add_number(&t, "a", 3);
	add_number(&t, "B", 4);
	add_number(&t, "a", 5);
	add_number(&t, "aa", 6);
	add_number(&t, "", 7);
	add_number(&t, "\xff\n", 8);
	add_number(&t, "b", 9);
	add_number(&t, "b", 10);
	nested = &add(&t, "t", FIELD_TABLE)->table;
	add_number(nested, "z", 1);
	add_number(nested, "y", 2);
	add_number(nested, "z", 3);
	nested = &add(&t, "l", FIELD_ARRAY)->table;
	add_number(nested, NULL, 2);
	add(nested, NULL, FIELD_VOID);
	(void)add(nested, NULL, FIELD_TABLE);
	ck_assert_int_eq(gojson_append_table(&b, &t), 0);
	expect(&b, "{\"\":7,\"B\":4,\"a\":5,\"aa\":6,\"b\":10,\"l\":[2,null,{}],\"t\":{\"y\":2,\"z\":3},\"\xc3\xa4\":2,"
		   "\"\\ufffd\\n\":8}");
}
END_TEST

START_TEST(deep_nesting_ends) {
	CLEANUP(table_clear) struct table t = {0};
	struct table *at = &t;
	struct strbuf b = STRBUF_INIT;

	for (int i = 0; i < FIELD_DEPTH_MAX + 5; i++)
		at = &add(at, "t", FIELD_TABLE)->table;
	ck_assert_int_eq(gojson_append_table(&b, &t), 0);
	ck_assert_uint_eq(b.len, (FIELD_DEPTH_MAX + 1) * 6 + 4);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "{\"t\":null}}}"));
	strbuf_free(&b);
}
END_TEST

/* --- metadata ---------------------------------------------------------------------------------------------------- */

#define EMPTY                                                                                                          \
	"{\"properties\":{\"application_headers\":null,\"content_type\":\"\",\"content_encoding\":\"\",\"delivery_mode\":0,"   \
	"\"priority\":0,\"correlation_id\":\"\",\"reply_to\":\"\",\"expiration\":\"\",\"message_id\":\"\","                    \
	"\"timestamp\":\"0001-01-01T00:00:00Z\",\"type\":\"\",\"user_id\":\"\",\"app_id\":\"\"},"                              \
	"\"delivery_info\":{\"message_count\":0,\"consumer_tag\":\"\",\"delivery_tag\":0,\"redelivered\":false,"               \
	"\"exchange\":\"\",\"routing_key\":\"\"}"

#define FULL                                                                                                           \
	"{\"properties\":{\"application_headers\":{\"k\":\"v\"},\"content_type\":\"text/plain\",\"content_encoding\":\"gzip\"," \
	"\"delivery_mode\":2,\"priority\":9,\"correlation_id\":\"c\\u003c\",\"reply_to\":\"r\\\"\",\"expiration\":\"60000\","  \
	"\"message_id\":\"m\",\"timestamp\":\"2023-11-14T22:13:20Z\",\"type\":\"t\\ufffd\",\"user_id\":\"u\","                 \
	"\"app_id\":\"a\"},\"delivery_info\":{\"message_count\":0,\"consumer_tag\":\"ctag\","                                  \
	"\"delivery_tag\":18446744073709551615,\"redelivered\":true,\"exchange\":\"ex\",\"routing_key\":\"key\\n\"}"

static struct message *message;

static void set(struct text *t, const char *value) {
	ck_assert_int_eq(text_set(t, value, strlen(value)), 0);
}

static void setup(void) {
	ck_assert_int_eq(message_new(&message), 0);
}

static void teardown(void) {
	message = message_free(message);
}

static void fill(void) {
	struct properties *p = &message->properties;

	set(&message->exchange, "ex");
	set(&message->routing_key, "key\n");
	set(&message->consumer_tag, "ctag");
	message->delivery_tag = UINT64_MAX;
	message->redelivered = true;
	message->body_size = 12345678901;
	p->has_headers = p->has_delivery_mode = p->has_priority = p->has_timestamp = true;
	ck_assert_int_eq(table_set_string(&p->headers, "k", "v", 1), 0);
	set(&p->content_type, "text/plain");
	set(&p->content_encoding, "gzip");
	p->delivery_mode = 2;
	p->priority = 9;
	set(&p->correlation_id, "c<");
	set(&p->reply_to, "r\"");
	set(&p->expiration, "60000");
	set(&p->message_id, "m");
	p->timestamp = 1700000000;
	set(&p->type, "t\xff");
	set(&p->user_id, "u");
	set(&p->app_id, "a");
}

static void expect_all(const char *beginning, const char *ours, const char *ours_unknown) {
	char expected[2048];
	struct strbuf b = STRBUF_INIT;

	(void)snprintf(expected, sizeof(expected), "%s}", beginning);
	ck_assert_int_eq(metadata_append_object(message, &b), 0);
	expect(&b, expected);
	(void)snprintf(expected, sizeof(expected), "%s%s}\n", beginning, ours);
	ck_assert_int_eq(metadata_append_line("mail", message, 7, &b), 0);
	expect(&b, expected);
	(void)snprintf(expected, sizeof(expected), "%s%s}\n", beginning, ours_unknown);
	ck_assert_int_eq(metadata_append_line("mail", message, 0, &b), 0);
	expect(&b, expected);
	(void)snprintf(expected, sizeof(expected), "%s,\"body\":\"", beginning);
	ck_assert_int_eq(metadata_begin_argument(message, &b), 0);
	expect(&b, expected);
	(void)snprintf(expected, sizeof(expected), "%s%s,\"body_encoding\":\"utf-8\",\"body\":\"", beginning, ours);
	ck_assert_int_eq(metadata_begin_input("mail", message, 7, "utf-8", &b), 0);
	expect(&b, expected);
}

START_TEST(nothing_is_ever_missing) {
	expect_all(EMPTY, ",\"queue\":\"mail\",\"attempt\":7,\"body_size\":0",
		   ",\"queue\":\"mail\",\"attempt\":null,\"body_size\":0");
}
END_TEST

START_TEST(everything) {
	fill();
	expect_all(FULL, ",\"queue\":\"mail\",\"attempt\":7,\"body_size\":12345678901",
		   ",\"queue\":\"mail\",\"attempt\":null,\"body_size\":12345678901");
}
END_TEST

START_TEST(headers_that_are_there_but_empty) {
	struct strbuf b = STRBUF_INIT;

	message->properties.has_headers = true;
	ck_assert_int_eq(metadata_append_object(message, &b), 0);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\"application_headers\":{},"));
	strbuf_free(&b);
}
END_TEST

/* Publishers that give milliseconds. */
START_TEST(a_timestamp_beyond_the_year_9999_is_none) {
	struct strbuf b = STRBUF_INIT;

	message->properties.has_timestamp = true;
	message->properties.timestamp = 1700000000000;
	ck_assert_int_eq(metadata_append_object(message, &b), 0);
	expect(&b, EMPTY "}");
}
END_TEST

START_TEST(a_line_is_one_line) {
	struct strbuf b = STRBUF_INIT;

	fill();
	ck_assert_int_eq(table_set_string(&message->properties.headers, "a\nb\r", "\n\n\xe2\x80\xa8", 5), 0);
	ck_assert_int_eq(metadata_append_line("ma\nil", message, 1, &b), 0);
	ck_assert_ptr_eq(strchr(strbuf_str(&b), '\n'), b.data + b.len - 1);
	strbuf_free(&b);
}
END_TEST

/* --- base64 ------------------------------------------------------------------------------------------------------ */

/* RFC 4648, section 10, and bytes of every length around the size of a piece. */
START_TEST(base64_of_all_lengths) {
	static const char *const vectors[][2] = {
		{"", ""},	  {"f", "Zg=="},	{"fo", "Zm8="},	      {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	};
	char zeros[800] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct strbuf b = STRBUF_INIT;

		base64_append(&b, vectors[i][0], strlen(vectors[i][0]));
		expect(&b, vectors[i][1]);
	}
	for (size_t len = 760; len < sizeof(zeros); len++) {
		struct strbuf b = STRBUF_INIT;

		base64_append(&b, zeros, len);
		ck_assert_uint_eq(b.len, base64_size(len));
		ck_assert_uint_eq(strspn(strbuf_str(&b), "A"), b.len - (3 - len % 3) % 3);
		strbuf_free(&b);
	}
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("metadata");

	ADD_CASE(s, "form", strings_as_go_writes_them, strings_in_pieces, floats, numbers_and_times, tables_are_go_maps,
		 deep_nesting_ends, base64_of_all_lengths);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_is_ever_missing);
	tcase_add_test(t, everything);
	tcase_add_test(t, headers_that_are_there_but_empty);
	tcase_add_test(t, a_timestamp_beyond_the_year_9999_is_none);
	tcase_add_test(t, a_line_is_one_line);
	suite_add_tcase(s, t);
}

CHECK_MAIN("metadata", add_cases)
