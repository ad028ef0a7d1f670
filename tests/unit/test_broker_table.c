/* SPDX-License-Identifier: MIT */
/* Tables and errors between the library and us. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/error.h"
#include "broker/table.h"

static amqp_pool_t pool;

static void setup(void) {
	init_amqp_pool(&pool, 4096);
}

static void teardown(void) {
	empty_amqp_pool(&pool);
}

/* Through the wire format, so that the kinds mean the same to the library as to us. */
static void wire_round_trip(const struct table *t, struct table *ret) {
	static char buffer[65536];
	amqp_bytes_t encoded = {.len = sizeof(buffer), .bytes = buffer};
	amqp_table_t out, in;
	size_t offset = 0;

	ck_assert_int_eq(table_to_amqp(t, &pool, &out), 0);
	ck_assert_int_eq(amqp_encode_table(encoded, &out, &offset), AMQP_STATUS_OK);
	encoded.len = offset;
	offset = 0;
	ck_assert_int_eq(amqp_decode_table(encoded, &pool, &in, &offset), AMQP_STATUS_OK);
	ck_assert_int_eq(table_from_amqp(&in, ret), 0);
	/* What came out must not point into what went in. */
	memset(buffer, 0xee, sizeof(buffer));
}

START_TEST(every_kind_survives_the_wire) {
	struct field inner[] = {{.name = {(char[]){"i"}, 1}, .kind = FIELD_I8, .i = -1}};
	struct field values[] = {
		{.kind = FIELD_U16, .u = 65535}, {.kind = FIELD_TABLE, .table = {inner, 1}}, {.kind = FIELD_VOID}};
	struct field fields[] = {
		{.name = {(char[]){"t"}, 1}, .kind = FIELD_BOOLEAN, .boolean = true},
		{.name = {(char[]){"b"}, 1}, .kind = FIELD_I8, .i = INT8_MIN},
		{.name = {(char[]){"B"}, 1}, .kind = FIELD_U8, .u = UINT8_MAX},
		{.name = {(char[]){"s"}, 1}, .kind = FIELD_I16, .i = INT16_MIN},
		{.name = {(char[]){"u"}, 1}, .kind = FIELD_U16, .u = UINT16_MAX},
		{.name = {(char[]){"I"}, 1}, .kind = FIELD_I32, .i = INT32_MIN},
		{.name = {(char[]){"i"}, 1}, .kind = FIELD_U32, .u = UINT32_MAX},
		{.name = {(char[]){"l"}, 1}, .kind = FIELD_I64, .i = INT64_MIN},
		{.name = {(char[]){"L"}, 1}, .kind = FIELD_U64, .u = UINT64_MAX},
		{.name = {(char[]){"f"}, 1}, .kind = FIELD_F32, .f = 0.5},
		{.name = {(char[]){"d"}, 1}, .kind = FIELD_F64, .f = 1.0 / 3},
		{.name = {(char[]){"D"}, 1}, .kind = FIELD_DECIMAL, .decimal = {2, 1234}},
		{.name = {(char[]){"S"}, 1}, .kind = FIELD_STRING, .text = {(char[]){"a\0b"}, 3}},
		{.name = {(char[]){"x"}, 1}, .kind = FIELD_BYTES, .text = {(char[]){"\xff\xfe"}, 2}},
		{.name = {(char[]){"e"}, 1}, .kind = FIELD_STRING, .text = {(char[]){""}, 0}},
		{.name = {(char[]){"T"}, 1}, .kind = FIELD_TIMESTAMP, .u = 1700000000},
		{.name = {(char[]){"F"}, 1}, .kind = FIELD_TABLE, .table = {inner, 1}},
		{.name = {(char[]){"A"}, 1}, .kind = FIELD_ARRAY, .table = {values, 3}},
		{.name = {(char[]){"V"}, 1}, .kind = FIELD_VOID},
		{.name = {(char[]){""}, 0}, .kind = FIELD_ARRAY},
	};
	const struct table t = {fields, sizeof(fields) / sizeof(fields[0])};
	struct table back = {0};

	wire_round_trip(&t, &back);
	ck_assert_uint_eq(back.n, t.n);
	for (size_t i = 0; i < t.n; i++) {
		ck_assert_int_eq(back.fields[i].kind, fields[i].kind);
		ck_assert_str_eq(back.fields[i].name.data, fields[i].name.data);
	}
	ck_assert(table_find(&back, "t")->boolean);
	ck_assert_int_eq(table_find(&back, "b")->i, INT8_MIN);
	ck_assert_uint_eq(table_find(&back, "B")->u, UINT8_MAX);
	ck_assert_int_eq(table_find(&back, "s")->i, INT16_MIN);
	ck_assert_uint_eq(table_find(&back, "u")->u, UINT16_MAX);
	ck_assert_int_eq(table_find(&back, "I")->i, INT32_MIN);
	ck_assert_uint_eq(table_find(&back, "i")->u, UINT32_MAX);
	ck_assert_int_eq(table_find(&back, "l")->i, INT64_MIN);
	ck_assert_uint_eq(table_find(&back, "L")->u, UINT64_MAX);
	ck_assert_double_eq(table_find(&back, "f")->f, 0.5);
	ck_assert_double_eq(table_find(&back, "d")->f, 1.0 / 3);
	ck_assert_uint_eq(table_find(&back, "D")->decimal.scale, 2);
	ck_assert_uint_eq(table_find(&back, "D")->decimal.value, 1234);
	ck_assert_uint_eq(table_find(&back, "S")->text.len, 3);
	ck_assert_mem_eq(table_find(&back, "S")->text.data, "a\0b", 4);
	ck_assert_mem_eq(table_find(&back, "x")->text.data, "\xff\xfe", 3);
	ck_assert_str_eq(table_find(&back, "e")->text.data, "");
	ck_assert_uint_eq(table_find(&back, "T")->u, 1700000000);
	ck_assert_int_eq(table_find(&table_find(&back, "F")->table, "i")->i, -1);
	ck_assert_uint_eq(table_find(&back, "A")->table.n, 3);
	ck_assert_uint_eq(table_find(&back, "A")->table.fields[0].u, 65535);
	ck_assert_ptr_null(table_find(&back, "A")->table.fields[0].name.data);
	ck_assert_int_eq(table_find(&back, "A")->table.fields[1].table.fields[0].i, -1);
	table_clear(&back);
}
END_TEST

START_TEST(empty_table_stays_empty) {
	struct table t = {0}, back = {0};

	wire_round_trip(&t, &back);
	ck_assert_uint_eq(back.n, 0);
	table_clear(&back);
}
END_TEST

/* levels arrays, each in the one before. */
static void nest(amqp_field_value_t *values, int levels) {
	for (int i = 0; i < levels; i++) {
		values[i].kind = AMQP_FIELD_KIND_ARRAY;
		values[i].value.array = (amqp_array_t){.num_entries = i + 1 < levels, .entries = &values[i + 1]};
	}
}

START_TEST(deep_nesting_is_cut) {
	enum { LEVELS = 26000 }; /* as many as a frame can hold */
	amqp_field_value_t *values = calloc(LEVELS, sizeof(*values));
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes("n")};
	amqp_table_t in = {.num_entries = 1, .entries = &entry};
	struct table t = {0};
	const struct field *f;
	unsigned depth = 0;

	nest(values, LEVELS);
	entry.value = values[0];
	ck_assert_int_eq(table_from_amqp(&in, &t), 0);
	for (f = &t.fields[0]; f->kind == FIELD_ARRAY; f = &f->table.fields[0]) {
		ck_assert_uint_eq(f->table.n, 1);
		depth++;
	}
	ck_assert_uint_eq(depth, FIELD_DEPTH_MAX);
	ck_assert_int_eq(f->kind, FIELD_VOID);
	table_clear(&t);
	free(values);
}
END_TEST

START_TEST(unknown_kinds_become_void) {
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes("n"), .value = {.kind = '?', .value.u64 = 1}};
	amqp_table_t in = {.num_entries = 1, .entries = &entry};
	struct table t = {0};

	ck_assert_int_eq(table_from_amqp(&in, &t), 0);
	ck_assert_int_eq(t.fields[0].kind, FIELD_VOID);
	table_clear(&t);
}
END_TEST

START_TEST(what_cannot_be_sent_is_refused) {
	char name[257];
	struct field f = {.name = {name, 255}, .kind = FIELD_VOID};
	struct table t = {&f, 1};
	struct field nested[FIELD_DEPTH_MAX + 2];
	amqp_table_t out;

	memset(name, 'n', 256);
	name[256] = '\0';
	ck_assert_int_eq(table_to_amqp(&t, &pool, &out), 0);
	f.name.len = 256;
	ck_assert_int_eq(table_to_amqp(&t, &pool, &out), -EINVAL);
	memset(nested, 0, sizeof(nested));
	for (size_t i = 0; i < FIELD_DEPTH_MAX + 1; i++) {
		nested[i].kind = FIELD_ARRAY;
		nested[i].table = (struct table){&nested[i + 1], 1};
	}
	nested[FIELD_DEPTH_MAX + 1].kind = FIELD_VOID;
	ck_assert_int_eq(table_to_amqp(&(struct table){nested, 1}, &pool, &out), -ELOOP);
	ck_assert_int_eq(table_to_amqp(&(struct table){nested + 1, 1}, &pool, &out), 0);
}
END_TEST

static void ck_explains(uint16_t code, const char *text, const char *expected) {
	const amqp_bytes_t t = amqp_cstring_bytes(text);
	char buf[1280];

	error_from_close(code, &t, buf, sizeof(buf));
	ck_assert_msg(strstr(buf, expected) != NULL, "%s is not in: %s", expected, buf);
}

START_TEST(close_reasons_are_explained) {
	ck_explains(404, "NOT_FOUND - no queue 'q' in vhost '/'",
		    "the queue does not exist at the broker (404 NOT_FOUND - no queue 'q'");
	ck_explains(404, "NOT_FOUND - no exchange 'x' in vhost '/'",
		    "an exchange that it needs does not exist at the broker (404 NOT_FOUND - no exchange 'x'");
	ck_explains(404, "NOT_FOUND - nothing", "it, or something that it needs, does not exist at the broker (404");
	ck_explains(404, "", "it, or something that it needs, does not exist at the broker (404)");
	ck_explains(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
		    "refused the login");
	ck_explains(403, "ACCESS_REFUSED - access to queue 'q' refused", "permission denied");
	ck_explains(403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
		    "another consumer uses the queue exclusively, or uses it while exclusive use is asked for (403 ACC");
	ck_explains(405, "RESOURCE_LOCKED - cannot obtain exclusive access", "exclusively");
	ck_explains(406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'", "another declaration");
	ck_explains(
		406,
		"PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 3000 ms",
		"consumer_timeout");
	ck_explains(406, "PRECONDITION_FAILED - unknown delivery tag 7", "does not know a message");
	ck_explains(530, "NOT_ALLOWED - vhost shop not found",
		    "the virtual host does not exist at the broker (530 NOT_ALLOWED - vhost shop");
	ck_explains(530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'u'",
		    "the user has no access to the virtual host (530 ");
	ck_explains(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (1) is reached",
		    "the broker has reached a limit (530 ");
	ck_explains(530, "NOT_ALLOWED - vhost 'shop' is down", "the virtual host is down (530 ");
	ck_explains(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", "the broker does not allow it (530 ");
	ck_explains(320, "CONNECTION_FORCED - maintenance", "operator");
	ck_explains(999, "", "(999)");
}
END_TEST

START_TEST(texts_of_the_broker_are_escaped_and_cut) {
	char text[256], buf[1280], small[8];
	amqp_bytes_t t = {.len = 255, .bytes = text};

	memset(text, 0x1b, 255);
	error_from_close(541, &t, buf, sizeof(buf));
	for (const char *p = buf; *p; p++)
		ck_assert(*p >= 0x20 && *p < 0x7f);
	ck_assert_int_eq(buf[strlen(buf) - 1], ')');
	error_from_close(541, &t, small, sizeof(small));
	ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
	error_format_text(&t, small, sizeof(small));
	ck_assert_str_eq(small, "\\x1b\\x1");
}
END_TEST

START_TEST(every_status_has_words) {
	const char *unknown = error_from_status(-9999);

	ck_assert_str_ne(error_from_status(AMQP_STATUS_HEARTBEAT_TIMEOUT), unknown);
	ck_assert_str_ne(error_from_status(AMQP_STATUS_SOCKET_ERROR), unknown);
	ck_assert_str_ne(error_from_status(AMQP_STATUS_CONNECTION_CLOSED), unknown);
	ck_assert_str_ne(error_from_status(AMQP_STATUS_BAD_AMQP_DATA), unknown);
	ck_assert_str_ne(error_from_status(AMQP_STATUS_TIMEOUT), unknown);
}
END_TEST

int main(void) {
	Suite *s = suite_create("broker table");
	TCase *tables = tcase_create("tables");
	TCase *errors = tcase_create("errors");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tables, setup, teardown);
	tcase_add_test(tables, every_kind_survives_the_wire);
	tcase_add_test(tables, empty_table_stays_empty);
	tcase_add_test(tables, deep_nesting_is_cut);
	tcase_add_test(tables, unknown_kinds_become_void);
	tcase_add_test(tables, what_cannot_be_sent_is_refused);
	tcase_add_test(errors, close_reasons_are_explained);
	tcase_add_test(errors, texts_of_the_broker_are_escaped_and_cut);
	tcase_add_test(errors, every_status_has_words);
	suite_add_tcase(s, tables);
	suite_add_tcase(s, errors);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
