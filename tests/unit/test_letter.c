/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check_main.h"
#include "ctl/filter.h"
#include "ctl/letter.h"
#include "message/marks.h"

#define NOW 1769860800

static struct message *new_message(void) {
	struct message *m;

	ck_assert_int_eq(message_new(&m), 0);
	ck_assert_int_eq(text_set(&m->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&m->routing_key, "dead", 4), 0);
	m->properties.has_headers = true;
	return m;
}

static void set(struct message *m, const char *name, const char *value) {
	ck_assert_int_eq(table_set_string(&m->properties.headers, name, value, strlen(value)), 0);
}

static void set_in(struct table *t, const char *name, const char *value) {
	ck_assert_int_eq(table_set_string(t, name, value, strlen(value)), 0);
}

/* As delivery/copy.c does. */
static void die_of_daemon(struct message *m, const char *queue, const char *exchange, const char *key) {
	struct table *h = &m->properties.headers;

	ck_assert_int_eq(table_set_i32(h, HEADER_ATTEMPTS, 3), 0);
	ck_assert_int_eq(table_set_timestamp(h, HEADER_FIRST_FAILURE, NOW - 200), 0);
	ck_assert_int_eq(table_set_timestamp(h, HEADER_LAST_FAILURE, NOW - 100), 0);
	set(m, HEADER_QUEUE, queue);
	set(m, HEADER_EXCHANGE, exchange);
	set(m, HEADER_ROUTING_KEY, key);
	set(m, HEADER_HOST, "host1");
	set(m, HEADER_REASON, "exit status 65");
	ck_assert_int_eq(table_set_i32(h, HEADER_EXIT_STATUS, 65), 0);
	set(m, HEADER_STDERR, "first\nlast one\n\n");
}

static struct field *append(struct table *t, enum field_kind kind) {
	t->fields = reallocarray(t->fields, t->n + 1, sizeof(*t->fields));
	ck_assert_ptr_nonnull(t->fields);
	t->fields[t->n] = (struct field){.kind = kind};
	return &t->fields[t->n++];
}

/* As a broker does: the last death is the first one in the list. */
static void die_of_broker(struct message *m, const char *queue, const char *reason, const char *exchange,
			  const char *key) {
	struct field *death, *entry, *keys;

	ck_assert_int_eq(table_set(&m->properties.headers, HEADER_DEATH, &death), 0);
	death->kind = FIELD_ARRAY;
	entry = append(&death->table, FIELD_TABLE);
	ck_assert_int_eq(table_set(&entry->table, "count", &keys), 0);
	keys->kind = FIELD_I64;
	keys->i = 2;
	set_in(&entry->table, "reason", reason);
	set_in(&entry->table, "queue", queue);
	ck_assert_int_eq(table_set_timestamp(&entry->table, "time", NOW - 50), 0);
	set_in(&entry->table, "exchange", exchange);
	ck_assert_int_eq(table_set(&entry->table, "routing-keys", &keys), 0);
	keys->kind = FIELD_ARRAY;
	ck_assert_int_eq(text_set(&append(&keys->table, FIELD_STRING)->text, key, strlen(key)), 0);
}

static void ck_is(const struct text *t, const char *expected) {
	ck_assert_ptr_nonnull(t);
	ck_assert_str_eq(t->data, expected);
}

START_TEST(a_living_message_tells_nothing) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;

	set(m, HEADER_QUEUE, "orders"); /* without attempts it is somebody else's */
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_NOBODY);
	ck_assert_ptr_null(l.queue);
	ck_assert_uint_eq(letter_time(&l, m), 0);
	m->properties.has_timestamp = true;
	m->properties.timestamp = 5;
	ck_assert_uint_eq(letter_time(&l, m), 5);
}
END_TEST

START_TEST(the_daemons_headers_are_read) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;
	size_t len;

	die_of_daemon(m, "orders", "shop", "order.new");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_DAEMON);
	ck_is(l.queue, "orders");
	ck_is(l.exchange, "shop");
	ck_is(l.routing_key, "order.new");
	ck_is(l.reason, "exit status 65");
	ck_assert_uint_eq(l.attempts, 3);
	ck_assert_uint_eq(l.first_sec, NOW - 200);
	ck_assert_uint_eq(letter_time(&l, m), NOW - 100);
	ck_assert(strncmp(letter_last_line(&l, &len), "last one", 8) == 0);
	ck_assert_uint_eq(len, 8);
}
END_TEST

START_TEST(the_brokers_headers_are_read) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;
	size_t len;

	die_of_broker(m, "orders", "maxlen", "shop", "order.new");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_BROKER);
	ck_is(l.queue, "orders");
	ck_is(l.exchange, "shop");
	ck_is(l.routing_key, "order.new");
	ck_is(l.reason, "maxlen");
	ck_assert_uint_eq(l.attempts, 2);
	ck_assert_uint_eq(letter_time(&l, m), NOW - 50);
	(void)letter_last_line(&l, &len);
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(what_only_waited_since_came_from_the_first_queue) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;

	die_of_daemon(m, "orders", "shop", "order.new");
	die_of_broker(m, "dead-1", "expired", "", "dead-1");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_DAEMON);
	ck_is(l.queue, "orders");
}
END_TEST

START_TEST(what_was_rejected_since_came_from_the_second_queue) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;

	die_of_daemon(m, "orders", "shop", "order.new");
	die_of_broker(m, "repairs", "rejected", "yard", "repair");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_BROKER);
	ck_is(l.queue, "repairs");
	ck_is(l.exchange, "yard");
	ck_is(l.routing_key, "repair");
	ck_assert_uint_eq(l.attempts, 2);
	ck_assert_ptr_null(l.host);
}
END_TEST

START_TEST(after_retries_the_first_way_is_known) {
	CLEANUP(message_free) struct message *m = new_message();
	struct letter l;

	die_of_daemon(m, "orders", "shop", "order.new");
	die_of_broker(m, "orders", "rejected", "", "orders");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_BROKER);
	ck_is(l.queue, "orders");
	ck_is(l.exchange, "shop");
	ck_is(l.routing_key, "order.new");
	ck_is(l.reason, "rejected");
	ck_assert_uint_eq(l.attempts, 3);
}
END_TEST

START_TEST(nonsense_is_nothing) {
	CLEANUP(message_free) struct message *m = new_message();
	struct field *f;
	struct letter l;
	char longest[257];

	ck_assert_int_eq(table_set(&m->properties.headers, HEADER_DEATH, &f), 0);
	f->kind = FIELD_ARRAY;
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_NOBODY);
	append(&f->table, FIELD_VOID);
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_NOBODY);
	memset(longest, 'q', 256);
	longest[256] = '\0';
	die_of_broker(m, longest, "rejected", "", "x");
	letter_read(m, &l);
	ck_assert_ptr_null(l.queue);
	set(m, HEADER_DEATH, "text");
	letter_read(m, &l);
	ck_assert_int_eq(l.by, LETTER_NOBODY);
}
END_TEST

/* --- renewal --- */

START_TEST(a_renewed_message_is_as_it_was) {
	CLEANUP(message_free) struct message *m = new_message();

	set(m, "x-own", "kept");
	set(m, "x-execd-own", "kept, too");
	set(m, "CC", "elsewhere");
	set(m, "x-first-death-queue", "orders");
	set(m, "x-last-death-queue", "orders");
	ck_assert_int_eq(table_set_i32(&m->properties.headers, HEADER_DELIVERY_COUNT, 7), 0);
	die_of_daemon(m, "orders", "", "orders");
	die_of_broker(m, "orders", "rejected", "", "orders");
	ck_assert_int_eq(letter_renew(m, "orders", "guest"), 0);
	ck_assert_uint_eq(m->properties.headers.n, 2);
	ck_is(&table_find(&m->properties.headers, "x-own")->text, "kept");
	ck_is(&table_find(&m->properties.headers, "x-execd-own")->text, "kept, too");
}
END_TEST

START_TEST(the_first_way_is_told_to_the_daemon) {
	CLEANUP(message_free) struct message *m = new_message();
	const struct field *f;

	die_of_broker(m, "orders", "rejected", "shop", "order.new");
	ck_assert_int_eq(letter_renew(m, "orders", "guest"), 0);
	ck_assert_uint_eq(m->properties.headers.n, 3);
	f = table_find(&m->properties.headers, HEADER_ATTEMPTS);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(f->i, 0);
	ck_assert_uint_eq(message_attempt(m, "orders"), 1);
	ck_is(&table_find(&m->properties.headers, HEADER_EXCHANGE)->text, "shop");
	ck_is(&table_find(&m->properties.headers, HEADER_ROUTING_KEY)->text, "order.new");
	/* It dies again, and is renewed again. */
	die_of_broker(m, "orders", "rejected", "", "orders");
	ck_assert_int_eq(letter_renew(m, "orders", "guest"), 0);
	ck_is(&table_find(&m->properties.headers, HEADER_EXCHANGE)->text, "shop");
	ck_assert_uint_eq(m->properties.headers.n, 3);
}
END_TEST

START_TEST(elsewhere_it_has_no_first_way) {
	CLEANUP(message_free) struct message *m = new_message();

	die_of_daemon(m, "orders", "shop", "order.new");
	ck_assert_int_eq(letter_renew(m, "other", "guest"), 0);
	ck_assert_uint_eq(m->properties.headers.n, 0);
	ck_assert(!m->properties.has_headers);
	die_of_daemon(m, "orders", "shop", "order.new");
	ck_assert_int_eq(letter_renew(m, NULL, "guest"), 0);
	ck_assert_uint_eq(m->properties.headers.n, 0);
}
END_TEST

START_TEST(empty_headers_stay) {
	CLEANUP(message_free) struct message *m = new_message();

	ck_assert_int_eq(letter_renew(m, "other", "guest"), 0);
	ck_assert(m->properties.has_headers);
}
END_TEST

START_TEST(another_user_becomes_a_header) {
	CLEANUP(message_free) struct message *m = new_message();

	ck_assert_int_eq(text_set(&m->properties.user_id, "guest", 5), 0);
	ck_assert_int_eq(letter_renew(m, "other", "guest"), 0);
	ck_is(&m->properties.user_id, "guest");
	ck_assert_int_eq(letter_renew(m, "other", "admin"), 0);
	ck_assert_ptr_null(m->properties.user_id.data);
	ck_is(&table_find(&m->properties.headers, HEADER_USER_ID)->text, "guest");
}
END_TEST

/* --- filters --- */

static int matches(const struct message *m, int option, const char *first, const char *second) {
	CLEANUP(filter_clear) struct filter f = FILTER_INIT;
	const char *why = NULL;
	struct letter l;

	ck_assert(filter_is_empty(&f));
	ck_assert_int_eq(filter_take_option(&f, option, (char *)first, &why), 1);
	if (second)
		ck_assert_int_eq(filter_take_option(&f, option, (char *)second, &why), 1);
	ck_assert(!filter_is_empty(&f));
	letter_read(m, &l);
	return filter_match(&f, m, &l, NOW);
}

START_TEST(filters_choose) {
	CLEANUP(message_free) struct message *m = new_message();

	die_of_daemon(m, "orders", "shop", "order.new");
	set(m, "kind", "a=b");
	ck_assert_int_eq(text_set(&m->properties.message_id, "m1", 2), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, "kind=a=b", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, "kind=a", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, "k=a=b", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, HEADER_EXIT_STATUS "=65", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, HEADER_EXIT_STATUS "=65", "kind=c"), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_REASON, "exit status 6", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_REASON, "exit status 65", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_REASON, "timeout", "STATUS"), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ORIGIN, "orders", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ORIGIN, "order", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ID, "m1", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ID, "m2", "m1"), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ID, "m2", "m"), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_OLDER, "100s", NULL), 1);
	ck_assert_int_eq(matches(m, FILTER_OPTION_OLDER, "101s", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_NEWER, "99s", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_NEWER, "100s", NULL), 1);
}
END_TEST

START_TEST(what_is_unknown_does_not_match) {
	CLEANUP(message_free) struct message *m = new_message();

	ck_assert_int_eq(matches(m, FILTER_OPTION_OLDER, "1s", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_NEWER, "1s", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_REASON, "x", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ORIGIN, "x", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_ID, "x", NULL), 0);
	ck_assert_int_eq(matches(m, FILTER_OPTION_HEADER, "x=", NULL), 0);
}
END_TEST

START_TEST(wrong_options_are_told) {
	CLEANUP(filter_clear) struct filter f = FILTER_INIT;
	const char *why = NULL;

	ck_assert_int_eq(filter_take_option(&f, FILTER_OPTION_HEADER, (char *)"x", &why), -EINVAL);
	ck_assert_ptr_nonnull(why);
	ck_assert_int_eq(filter_take_option(&f, FILTER_OPTION_OLDER, (char *)"soon", &why), -EINVAL);
	ck_assert_int_eq(filter_take_option(&f, FILTER_OPTION_ID, (char *)"", &why), -EINVAL);
	ck_assert_int_eq(filter_take_option(&f, 'h', NULL, &why), 0);
	ck_assert(filter_is_empty(&f));
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "letter", a_living_message_tells_nothing, the_daemons_headers_are_read,
		 the_brokers_headers_are_read, what_only_waited_since_came_from_the_first_queue,
		 what_was_rejected_since_came_from_the_second_queue, after_retries_the_first_way_is_known,
		 nonsense_is_nothing);
	ADD_CASE(suite, "renewal", a_renewed_message_is_as_it_was, the_first_way_is_told_to_the_daemon,
		 elsewhere_it_has_no_first_way, empty_headers_stay, another_user_becomes_a_header);
	ADD_CASE(suite, "filter", filters_choose, what_is_unknown_does_not_match, wrong_options_are_told);
}

CHECK_MAIN("letter", add_cases)
