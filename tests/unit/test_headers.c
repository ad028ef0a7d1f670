/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "message/headers.h"

static json_t *parse(const char *text) {
	json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);

	ck_assert_msg(value != NULL, "%s", text);
	return value;
}

/* From JSON, and back: the same text. */
static void ck_same(const char *text) {
	json_t *object = parse(text), *back = NULL;
	struct table t = {0};
	const char *why = NULL;
	char *printed;

	ck_assert_msg(headers_from_json(object, &t, &why) == 0, "%s: %s", text, why);
	ck_assert_int_eq(headers_to_json(&t, &back), 0);
	printed = json_dumps(back, JSON_COMPACT);
	ck_assert_str_eq(printed, text);
	free(printed);
	json_decref(object);
	json_decref(back);
	table_clear(&t);
}

static void ck_refused(const char *text, const char *expected) {
	json_t *object = parse(text);
	struct table t = {0};
	const char *why = NULL;

	ck_assert_int_eq(headers_from_json(object, &t, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, expected));
	ck_assert_ptr_null(t.fields);
	json_decref(object);
}

START_TEST(what_both_know_is_itself) {
	ck_same("{}");
	ck_same("{\"a\":1,\"b\":-9223372036854775808,\"c\":\"x\\u0000y\",\"d\":true,\"e\":false,\"f\":null,\"g\":0.5}");
	ck_same("{\"a\":{\"b\":{},\"c\":[1,[],{\"d\":null}]}}");
	ck_same("{\"\":\"\"}");
}
END_TEST

START_TEST(what_json_has_no_word_for_comes_back) {
	ck_same("{\"a\":{\"base64\":\"AP8=\"}}");
	ck_same("{\"a\":{\"base64\":\"\"}}");
	ck_same("{\"a\":{\"string_base64\":\"/w==\"}}");
	ck_same("{\"a\":{\"timestamp\":1700000000}}");
	ck_same("{\"a\":{\"timestamp\":\"18446744073709551615\"}}");
	ck_same("{\"a\":{\"unsigned\":\"9223372036854775808\"}}");
	ck_same("{\"a\":{\"decimal\":\"1.25\"},\"b\":{\"decimal\":\"0.001\"},\"c\":{\"decimal\":\"4294967295\"}}");
	ck_same("{\"a\":{\"decimal\":\"0.0\"},\"b\":{\"decimal\":\"0\"}}");
	ck_same("{\"a\":{\"float\":\"nan\"},\"b\":{\"float\":\"inf\"},\"c\":{\"float\":\"-inf\"}}");
	ck_same("{\"a\":{\"table\":{\"base64\":\"x\"}},\"b\":{\"table\":{\"table\":1}}}");
	ck_same("{\"base64\":\"x\"}");
	ck_same("{\"a\":[{\"base64\":\"AA==\"},{\"table\":{\"timestamp\":{\"timestamp\":1}}}]}");
}
END_TEST

START_TEST(kinds_are_as_said) {
	json_t *object =
		parse("{\"i\":2147483647,\"l\":2147483648,\"f\":1.0,\"s\":\"x\",\"b\":{\"base64\":\"AA==\"},"
		      "\"u\":{\"unsigned\":\"1\"},\"t\":{\"timestamp\":5},\"more\":{\"timestamp\":5,\"x\":1}}");
	struct table t = {0};
	const char *why;

	ck_assert_int_eq(headers_from_json(object, &t, &why), 0);
	ck_assert_int_eq(table_find(&t, "i")->kind, FIELD_I32);
	ck_assert_int_eq(table_find(&t, "l")->kind, FIELD_I64);
	ck_assert_int_eq(table_find(&t, "f")->kind, FIELD_F64);
	ck_assert_int_eq(table_find(&t, "s")->kind, FIELD_STRING);
	ck_assert_int_eq(table_find(&t, "b")->kind, FIELD_BYTES);
	ck_assert_uint_eq(table_find(&t, "b")->text.len, 1);
	ck_assert_int_eq(table_find(&t, "u")->kind, FIELD_U64);
	ck_assert_int_eq(table_find(&t, "t")->kind, FIELD_TIMESTAMP);
	ck_assert_int_eq(table_find(&t, "more")->kind, FIELD_TABLE);
	json_decref(object);
	table_clear(&t);
}
END_TEST

START_TEST(every_kind_becomes_json) {
	static const struct {
		struct field field;
		const char *json;
	} rows[] = {
		{{.kind = FIELD_I8, .i = -1}, "{\"a\":-1}"},
		{{.kind = FIELD_U8, .u = 255}, "{\"a\":255}"},
		{{.kind = FIELD_I16, .i = -300}, "{\"a\":-300}"},
		{{.kind = FIELD_U16, .u = 65535}, "{\"a\":65535}"},
		{{.kind = FIELD_U32, .u = 4294967295}, "{\"a\":4294967295}"},
		{{.kind = FIELD_U64, .u = 5}, "{\"a\":5}"},
		{{.kind = FIELD_F32, .f = 0.5F}, "{\"a\":0.5}"},
		{{.kind = FIELD_DECIMAL, .decimal = {.scale = 3, .value = 7}}, "{\"a\":{\"decimal\":\"0.007\"}}"},
		{{.kind = FIELD_VOID}, "{\"a\":null}"},
		{{.kind = FIELD_STRING}, "{\"a\":\"\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct field f = rows[i].field;
		struct table t = {.fields = &f, .n = 1};
		json_t *object = NULL;
		char *printed;

		f.name = (struct text){.data = (char[]){"a"}, .len = 1};
		ck_assert_int_eq(headers_to_json(&t, &object), 0);
		printed = json_dumps(object, JSON_COMPACT);
		ck_assert_str_eq(printed, rows[i].json);
		free(printed);
		json_decref(object);
	}
}
END_TEST

START_TEST(mistakes_are_refused) {
	ck_refused("[]", "not an object");
	ck_refused("{\"a\":{\"base64\":\"A\"}}", "base64");
	ck_refused("{\"a\":{\"base64\":1}}", "base64");
	ck_refused("{\"a\":[{\"base64\":\"=AAA\"}]}", "base64");
	ck_refused("{\"a\":{\"timestamp\":-1}}", "timestamp");
	ck_refused("{\"a\":{\"timestamp\":\"1x\"}}", "timestamp");
	ck_refused("{\"a\":{\"unsigned\":\"18446744073709551616\"}}", "unsigned");
	ck_refused("{\"a\":{\"decimal\":\"1.\"}}", "decimal");
	ck_refused("{\"a\":{\"decimal\":\"-1\"}}", "decimal");
	ck_refused("{\"a\":{\"decimal\":\"42949672960\"}}", "decimal");
	ck_refused("{\"a\":{\"decimal\":\"99999999999999999999999999999999999999999\"}}", "decimal");
	ck_refused("{\"a\":{\"decimal\":\"1.2.3\"}}", "decimal");
	ck_refused("{\"a\":{\"float\":\"1.5\"}}", "float");
	ck_refused("{\"a\":{\"table\":[]}}", "table");
	ck_refused("{\"ok\":{\"x\":[\"y\"]},\"a\":{\"float\":1}}", "float");
}
END_TEST

START_TEST(sizes_and_depths_are_limited) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	for (int levels = FIELD_DEPTH_MAX; levels <= FIELD_DEPTH_MAX + 1; levels++) {
		strbuf_reset(&b);
		for (int i = 0; i <= levels; i++)
			strbuf_append_str(&b, "{\"a\":");
		strbuf_append_str(&b, "1");
		for (int i = 0; i <= levels; i++)
			strbuf_append_str(&b, "}");
		if (levels == FIELD_DEPTH_MAX)
			ck_same(strbuf_str(&b));
		else
			ck_refused(strbuf_str(&b), "nested too deeply");
	}
	strbuf_reset(&b);
	strbuf_printf(&b, "{\"%0255d\":1}", 0);
	ck_same(strbuf_str(&b));
	strbuf_reset(&b);
	strbuf_printf(&b, "{\"%0256d\":1}", 0);
	ck_refused(strbuf_str(&b), "255 bytes");
	strbuf_reset(&b);
	strbuf_printf(&b, "{\"a\":\"%0*d\"}", HEADERS_SIZE_MAX, 0);
	ck_refused(strbuf_str(&b), "larger than a frame");
}
END_TEST

START_TEST(base64_is_strict) {
	static const char *const wrong[] = {"A",        "AB",   "ABC",  "A===", "====", "AB=C",
					    "AB==CDEF", "AB==", "ABD=", "AA A", "AA-_", "AAA=\n"};
	CLEANUP(strbuf_free) struct strbuf data = STRBUF_INIT, text = STRBUF_INIT, back = STRBUF_INIT;

	for (int i = 0; i < 600; i++) {
		strbuf_reset(&text);
		strbuf_reset(&back);
		base64_append(&text, strbuf_str(&data), data.len);
		ck_assert_int_eq(base64_decode(&back, strbuf_str(&text), text.len), 0);
		ck_assert_uint_eq(back.len, data.len);
		ck_assert_mem_eq(strbuf_str(&back), strbuf_str(&data), data.len);
		strbuf_append_char(&data, (char)(i * 7));
	}
	/* "AB==" and "ABD=" have bits set that say nothing. */
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(base64_decode(&back, wrong[i], strlen(wrong[i])) == -EINVAL, "%s", wrong[i]);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "headers", what_both_know_is_itself, what_json_has_no_word_for_comes_back, kinds_are_as_said,
		 every_kind_becomes_json, mistakes_are_refused, sizes_and_depths_are_limited);
	ADD_CASE(suite, "base64", base64_is_strict);
}

CHECK_MAIN("headers", add_cases)
