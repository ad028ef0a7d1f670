/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "message/field.h"
#include "message/json.h"

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

static void add_text(struct table *t, const char *name, enum field_kind kind, const void *data, size_t len) {
	ck_assert_int_eq(text_set(&add(t, name, kind)->text, data, len), 0);
}

static char *formatted(const struct field *f) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	ck_assert_int_eq(field_format(f, &b), 0);
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

static char *json(const struct field *f) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	ck_assert_int_eq(json_append_field(f, &b), 0);
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

#define ck_formats(f, expected)                                                                                        \
	do {                                                                                                           \
		char *s_ = formatted(f);                                                                               \
		ck_assert_str_eq(s_, expected);                                                                        \
		free(s_);                                                                                              \
	} while (0)
#define ck_json(f, expected)                                                                                           \
	do {                                                                                                           \
		char *s_ = json(f);                                                                                    \
		ck_assert_str_eq(s_, expected);                                                                        \
		free(s_);                                                                                              \
	} while (0)

START_TEST(text_is_copied_and_terminated) {
	struct text t = {0};

	ck_assert_int_eq(text_set(&t, "a\0b", 3), 0);
	ck_assert_uint_eq(t.len, 3);
	ck_assert_mem_eq(t.data, "a\0b\0", 4);
	ck_assert_int_eq(text_set(&t, NULL, 0), 0);
	ck_assert_uint_eq(t.len, 0);
	ck_assert_str_eq(t.data, "");
	text_clear(&t);
	ck_assert_ptr_null(t.data);
}
END_TEST

START_TEST(find_takes_the_first_and_compares_whole_names) {
	struct table t = {0};

	add(&t, "key", FIELD_I32)->i = 1;
	add(&t, "key", FIELD_I32)->i = 2;
	add(&t, "keys", FIELD_I32)->i = 3;
	add(&t, NULL, FIELD_I32)->i = 4;
	ck_assert_int_eq(table_find(&t, "key")->i, 1);
	ck_assert_int_eq(table_find(&t, "keys")->i, 3);
	ck_assert_ptr_null(table_find(&t, "ke"));
	ck_assert_ptr_null(table_find(&t, ""));
	table_clear(&t);
	ck_assert_ptr_null(table_find(&t, "key"));
}
END_TEST

START_TEST(copy_is_deep) {
	struct table t = {0}, copy = {0};
	struct field *f;

	add_text(&t, "s", FIELD_STRING, "text", 4);
	add_text(&t, "empty", FIELD_BYTES, "", 0);
	add(&t, "d", FIELD_DECIMAL)->decimal.value = 77;
	f = add(&t, "t", FIELD_TABLE);
	add_text(&f->table, "inner", FIELD_STRING, "deep", 4);
	f = add(&t, "a", FIELD_ARRAY);
	add(&f->table, NULL, FIELD_U64)->u = UINT64_MAX;
	add(&t, "v", FIELD_VOID);
	ck_assert_int_eq(table_copy(&t, &copy), 0);
	t.fields[0].text.data[0] = 'X';
	t.fields[3].table.fields[0].text.data[0] = 'X';
	table_clear(&t);
	ck_assert_uint_eq(copy.n, 6);
	ck_assert_str_eq(table_find(&copy, "s")->text.data, "text");
	ck_assert_str_eq(table_find(&copy, "empty")->text.data, "");
	ck_assert_uint_eq(table_find(&copy, "d")->decimal.value, 77);
	ck_assert_str_eq(table_find(&table_find(&copy, "t")->table, "inner")->text.data, "deep");
	ck_assert_uint_eq(table_find(&copy, "a")->table.fields[0].u, UINT64_MAX);
	ck_assert_int_eq(table_find(&copy, "v")->kind, FIELD_VOID);
	table_clear(&copy);
}
END_TEST

static void nest(struct table *t, unsigned levels) {
	for (unsigned i = 0; i < levels; i++)
		t = &add(t, NULL, FIELD_ARRAY)->table;
}

START_TEST(copy_refuses_endless_nesting) {
	struct table t = {0}, copy = {0};

	nest(&t, FIELD_DEPTH_MAX);
	ck_assert_int_eq(table_copy(&t, &copy), 0);
	table_clear(&copy);
	table_clear(&t);
	nest(&t, FIELD_DEPTH_MAX + 1);
	ck_assert_int_eq(table_copy(&t, &copy), -ELOOP);
	ck_assert_ptr_null(copy.fields);
	table_clear(&t);
}
END_TEST

START_TEST(integers_are_read) {
	int64_t i = -7;

	ck_assert_int_eq(field_get_i64(&(struct field){.kind = FIELD_I8, .i = -5}, &i), 0);
	ck_assert_int_eq(i, -5);
	ck_assert_int_eq(field_get_i64(&(struct field){.kind = FIELD_U64, .u = INT64_MAX}, &i), 0);
	ck_assert_int_eq(i, INT64_MAX);
	ck_assert_int_eq(field_get_i64(&(struct field){.kind = FIELD_U64, .u = UINT64_C(1) << 63}, &i), -ERANGE);
	ck_assert_int_eq(field_get_i64(&(struct field){.kind = FIELD_F64, .f = 1}, &i), -EINVAL);
	ck_assert_int_eq(field_get_i64(&(struct field){.kind = FIELD_TIMESTAMP, .u = 1}, &i), -EINVAL);
	ck_assert_int_eq(i, INT64_MAX);
}
END_TEST

START_TEST(scalars_are_formatted) {
	ck_formats((&(struct field){.kind = FIELD_BOOLEAN, .boolean = true}), "true");
	ck_formats((&(struct field){.kind = FIELD_BOOLEAN}), "false");
	ck_formats((&(struct field){.kind = FIELD_I64, .i = INT64_MIN}), "-9223372036854775808");
	ck_formats((&(struct field){.kind = FIELD_U64, .u = UINT64_MAX}), "18446744073709551615");
	ck_formats((&(struct field){.kind = FIELD_TIMESTAMP, .u = 1700000000}), "1700000000");
	ck_formats((&(struct field){.kind = FIELD_VOID}), "");
	ck_formats((&(struct field){.kind = FIELD_F32, .f = (double)0.1f}), "0.1");
	ck_formats((&(struct field){.kind = FIELD_F64, .f = 0.1}), "0.1");
	ck_formats((&(struct field){.kind = FIELD_F64, .f = 1.0 / 3}), "0.3333333333333333");
	ck_formats((&(struct field){.kind = FIELD_F64, .f = NAN}), "NaN");
	ck_formats((&(struct field){.kind = FIELD_F64, .f = -INFINITY}), "-Infinity");
	ck_formats((&(struct field){.kind = FIELD_DECIMAL, .decimal = {2, 1234}}), "12.34");
	ck_formats((&(struct field){.kind = FIELD_DECIMAL, .decimal = {6, 1234}}), "0.001234");
	ck_formats((&(struct field){.kind = FIELD_DECIMAL, .decimal = {0, 1234}}), "1234");
}
END_TEST

START_TEST(largest_decimal_is_formatted) {
	char *s = formatted(&(struct field){.kind = FIELD_DECIMAL, .decimal = {255, UINT32_MAX}});

	ck_assert_uint_eq(strlen(s), 257);
	ck_assert_str_eq(s + 257 - 10, "4294967295");
	ck_assert_int_eq(strncmp(s, "0.000", 5), 0);
	free(s);
}
END_TEST

START_TEST(bytes_are_formatted_raw) {
	struct strbuf b = STRBUF_INIT;
	struct field f = {.kind = FIELD_BYTES, .text = {(char[]){"\xff\0z"}, 3}};

	ck_assert_int_eq(field_format(&f, &b), 0);
	ck_assert_uint_eq(b.len, 3);
	ck_assert_mem_eq(b.data, "\xff\0z", 3);
	strbuf_free(&b);
}
END_TEST

START_TEST(table_becomes_json) {
	struct field top = {.kind = FIELD_TABLE};
	struct table *t = &top.table;
	struct field *f;

	ck_json(&top, "{}");
	add_text(t, "s", FIELD_STRING, "quote\" \\ \n \xc3\xa9", 13);
	add_text(t, "nul", FIELD_STRING, "a\0b", 3);
	add(t, "t", FIELD_BOOLEAN)->boolean = true;
	add(t, "i", FIELD_I64)->i = INT64_MIN;
	add(t, "u", FIELD_U64)->u = INT64_MAX;
	add(t, "U", FIELD_U64)->u = UINT64_MAX;
	add(t, "when", FIELD_TIMESTAMP)->u = 1700000000;
	add(t, "f", FIELD_F64)->f = 1.5;
	add(t, "nan", FIELD_F32)->f = NAN;
	add(t, "d", FIELD_DECIMAL)->decimal.value = 5;
	add(t, "v", FIELD_VOID);
	f = add(t, "a", FIELD_ARRAY);
	add(&f->table, NULL, FIELD_I8)->i = -1;
	add(&f->table, NULL, FIELD_TABLE);
	add(t, "i", FIELD_I8)->i = 9;
	ck_json(&top,
		"{\"s\":\"quote\\\" \\\\ \\n \xc3\xa9\",\"nul\":\"a\\u0000b\",\"t\":true,\"i\":-9223372036854775808,"
		"\"u\":9223372036854775807,\"U\":\"18446744073709551615\",\"when\":1700000000,\"f\":1.5,"
		"\"nan\":\"NaN\",\"d\":\"5\",\"v\":null,\"a\":[-1,{}]}");
	ck_formats(&top.table.fields[11], "[-1,{}]");
	table_clear(t);
}
END_TEST

/* RFC 4648, section 10, with a first byte that is not UTF-8. */
START_TEST(what_is_not_utf8_becomes_base64) {
	struct field top = {.kind = FIELD_ARRAY};

	add_text(&top.table, NULL, FIELD_BYTES, "\xff", 1);
	add_text(&top.table, NULL, FIELD_BYTES, "\xff\xfe", 2);
	add_text(&top.table, NULL, FIELD_STRING, "\xff\xfe\xfd", 3);
	add_text(&top.table, NULL, FIELD_BYTES,
		 "\xff"
		 "foob",
		 5);
	add_text(&top.table, NULL, FIELD_BYTES, "plain", 5);
	ck_json(&top, "[\"/w==\",\"//4=\",\"//79\",\"/2Zvb2I=\",\"plain\"]");
	table_clear(&top.table);
	top.kind = FIELD_TABLE;
	add(&top.table, "\xff", FIELD_I8)->i = 1;
	ck_json(&top, "{\"/w==\":1}");
	table_clear(&top.table);
}
END_TEST

START_TEST(json_is_cut_at_the_depth_limit) {
	struct field top = {.kind = FIELD_ARRAY};
	char *s;

	nest(&top.table, 3 * FIELD_DEPTH_MAX);
	s = json(&top);
	ck_assert_uint_eq(strlen(s), 2 * FIELD_DEPTH_MAX + 4);
	ck_assert_int_eq(strncmp(s + FIELD_DEPTH_MAX, "null", 4), 0);
	free(s);
	table_clear(&top.table);
}
END_TEST

static bool is_number(const struct field *f) {
	return f->kind == FIELD_I32;
}

static bool is_any(const struct field *f) {
	return true;
}

START_TEST(fields_are_set_and_removed) {
	CLEANUP(table_clear) struct table t = {0};

	ck_assert_int_eq(table_set_string(&t, "a", "text", 4), 0);
	ck_assert_int_eq(table_set_i32(&t, "b", -5), 0);
	ck_assert_int_eq(table_set_timestamp(&t, "c", 99), 0);
	ck_assert_uint_eq(t.n, 3);
	/* The same name again is the same field, whatever kind it had. */
	ck_assert_int_eq(table_set_i32(&t, "a", 7), 0);
	ck_assert_int_eq(table_set_string(&t, "b", "", 0), 0);
	ck_assert_uint_eq(t.n, 3);
	ck_assert_int_eq(table_find(&t, "a")->i, 7);
	ck_assert_int_eq(table_find(&t, "b")->kind, FIELD_STRING);
	ck_assert_uint_eq(table_find(&t, "c")->u, 99);
	table_remove_if(&t, is_number);
	ck_assert_uint_eq(t.n, 2);
	ck_assert_ptr_null(table_find(&t, "a"));
	ck_assert_str_eq(t.fields[0].name.data, "b");
	ck_assert_str_eq(t.fields[1].name.data, "c");
	table_remove_if(&t, is_any);
	ck_assert_uint_eq(t.n, 0);
}
END_TEST

START_TEST(the_size_on_the_wire_is_known) {
	CLEANUP(table_clear) struct table t = {0};
	struct field *f;

	/* A length of four bytes; then for each field a short string, a letter, and the value. */
	ck_assert_uint_eq(table_wire_size(&t), 4);
	ck_assert_int_eq(table_set_i32(&t, "ab", 1), 0);
	ck_assert_uint_eq(table_wire_size(&t), 4 + 3 + 1 + 4);
	ck_assert_int_eq(table_set_string(&t, "c", "text", 4), 0);
	ck_assert_uint_eq(table_wire_size(&t), 12 + 2 + 1 + 4 + 4);
	ck_assert_int_eq(table_set(&t, "d", &f), 0);
	f->kind = FIELD_TABLE;
	ck_assert_int_eq(table_set_timestamp(&f->table, "e", 1), 0);
	ck_assert_uint_eq(table_wire_size(&t), 23 + 2 + 1 + 4 + 2 + 1 + 8);
}
END_TEST

int main(void) {
	Suite *s = suite_create("field");
	TCase *values = tcase_create("values");
	TCase *json_case = tcase_create("json");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(values, text_is_copied_and_terminated);
	tcase_add_test(values, find_takes_the_first_and_compares_whole_names);
	tcase_add_test(values, copy_is_deep);
	tcase_add_test(values, copy_refuses_endless_nesting);
	tcase_add_test(values, integers_are_read);
	tcase_add_test(values, scalars_are_formatted);
	tcase_add_test(values, largest_decimal_is_formatted);
	tcase_add_test(values, bytes_are_formatted_raw);
	tcase_add_test(values, fields_are_set_and_removed);
	tcase_add_test(values, the_size_on_the_wire_is_known);
	tcase_add_test(json_case, table_becomes_json);
	tcase_add_test(json_case, what_is_not_utf8_becomes_base64);
	tcase_add_test(json_case, json_is_cut_at_the_depth_limit);
	suite_add_tcase(s, values);
	suite_add_tcase(s, json_case);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
