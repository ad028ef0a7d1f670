/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/clock.h"
#include "check_main.h"
#include "delivery/results.h"

static const struct config_results config = {.keep = 3, .max_age_usec = 60 * USEC_PER_SEC};

static struct message *make(const char *id, const char *body, size_t size) {
	struct message *m;

	ck_assert_int_eq(message_new(&m), 0);
	if (id)
		ck_assert_int_eq(text_set(&m->properties.message_id, id, strlen(id)), 0);
	ck_assert_int_eq(message_reserve_body(m, size), 0);
	ck_assert_int_eq(message_append_body(m, body, size), 0);
	ck_assert_int_eq(message_finish_body(m), 0);
	return m;
}

static struct fingerprint identify(const struct results *r, const char *id, const char *body) {
	struct message *m = make(id, body, strlen(body));
	struct fingerprint f;

	ck_assert(results_identify(r, m, &f));
	message_free(m);
	return f;
}

static bool equal(struct fingerprint a, struct fingerprint b) {
	return memcmp(&a, &b, sizeof(a)) == 0;
}

START_TEST(id_and_body_make_the_identity) {
	struct results r;

	ck_assert_int_eq(results_init(&r, &config), 0);
	ck_assert(equal(identify(&r, "a", "body"), identify(&r, "a", "body")));
	ck_assert(equal(identify(&r, "a", ""), identify(&r, "a", "")));
	ck_assert(!equal(identify(&r, "a", "body"), identify(&r, "b", "body")));
	ck_assert(!equal(identify(&r, "a", "body"), identify(&r, "a", "bodY")));
	ck_assert(!equal(identify(&r, "a", "body"), identify(&r, "a", "body ")));
	/* What is at the end of one is not at the beginning of the other. */
	ck_assert(!equal(identify(&r, "ab", "c"), identify(&r, "a", "bc")));
	results_clear(&r);
}
END_TEST

START_TEST(large_bodies_count_whole) {
	static char body[BODY_HEAP_MAX + 1];
	struct results r;
	struct message *a, *b, *c;
	struct fingerprint fa, fb, fc;

	ck_assert_int_eq(results_init(&r, &config), 0);
	a = make("a", body, sizeof(body));
	b = make("a", body, sizeof(body));
	body[sizeof(body) - 1] = 1;
	c = make("a", body, sizeof(body));
	ck_assert_int_ge(a->body_fd, 0);
	ck_assert(results_identify(&r, a, &fa) && results_identify(&r, b, &fb) && results_identify(&r, c, &fc));
	ck_assert(equal(fa, fb));
	ck_assert(!equal(fa, fc));
	message_free(a);
	message_free(b);
	message_free(c);
	results_clear(&r);
}
END_TEST

START_TEST(some_have_no_identity) {
	const struct config_results off = {.keep = 0, .max_age_usec = 60 * USEC_PER_SEC};
	struct message *m = make(NULL, "body", 4);
	struct fingerprint f;
	struct results r;

	ck_assert_int_eq(results_init(&r, &config), 0);
	ck_assert(!results_identify(&r, m, &f));
	ck_assert_int_eq(text_set(&m->properties.message_id, "", 0), 0);
	ck_assert(!results_identify(&r, m, &f));
	ck_assert_int_eq(text_set(&m->properties.message_id, "a", 1), 0);
	ck_assert(results_identify(&r, m, &f));
	m->body_size = RESULTS_BODY_MAX + 1;
	ck_assert(!results_identify(&r, m, &f));
	m->body_size = 4;
	message_drop_body(m, BODY_TOO_LARGE, 0);
	ck_assert(!results_identify(&r, m, &f));
	message_free(m);
	results_clear(&r);

	ck_assert_int_eq(results_init(&r, &off), 0);
	m = make("a", "body", 4);
	ck_assert(!results_identify(&r, m, &f));
	message_free(m);
	results_clear(&r);
}
END_TEST

START_TEST(a_result_is_good_once) {
	struct results r;
	struct fingerprint a, b;

	ck_assert_int_eq(results_init(&r, &config), 0);
	a = identify(&r, "a", "body");
	b = identify(&r, "b", "body");
	ck_assert(!results_take(&r, &a, 1));
	results_add(&r, &a, 1);
	ck_assert(!results_take(&r, &b, 2));
	ck_assert(results_take(&r, &a, 2));
	ck_assert(!results_take(&r, &a, 3));
	ck_assert_uint_eq(r.n_kept, 0);
	results_clear(&r);
}
END_TEST

START_TEST(number_and_age_are_bounded) {
	struct results r;
	struct fingerprint f[4];

	ck_assert_int_eq(results_init(&r, &config), 0);
	for (int i = 0; i < 4; i++) {
		f[i] = identify(&r, (char[]){(char)('a' + i), 0}, "body");
		results_add(&r, &f[i], (uint64_t)i * USEC_PER_SEC);
		ck_assert_uint_le(r.n_kept, 3);
	}
	/* The first had to go for the fourth. */
	ck_assert(!results_take(&r, &f[0], 4 * USEC_PER_SEC));
	ck_assert(results_take(&r, &f[2], 4 * USEC_PER_SEC));
	/* The second is too old, the fourth is not. */
	ck_assert(!results_take(&r, &f[1], 61 * USEC_PER_SEC));
	ck_assert_uint_eq(r.n_kept, 1);
	ck_assert(results_take(&r, &f[3], 62 * USEC_PER_SEC));
	results_clear(&r);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "identity", id_and_body_make_the_identity, large_bodies_count_whole, some_have_no_identity);
	ADD_CASE(s, "keeping", a_result_is_good_once, number_and_age_are_bounded);
}

CHECK_MAIN("results", add_cases)
