/* SPDX-License-Identifier: MIT */
/* Which acks may be one: the account of a channel's delivery tags. */
#include <errno.h>

#include "base/macro.h"
#include "broker/tags.h"
#include "check_main.h"

static struct tags tags;

/* Check keeps a record of each assertion, which is too slow for some of these. */
#define ck_quick(condition)                                                                                            \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			ck_abort_msg("%s", #condition);                                                                \
	} while (0)

static void deliver(uint64_t from, uint64_t to) {
	for (uint64_t tag = from; tag <= to; tag++)
		ck_quick(tags_deliver(&tags, tag) == 0);
}

static void check_prefix(uint32_t n, uint64_t last) {
	uint64_t seen = 12345;

	ck_assert_uint_eq(tags_take_prefix(&tags, &seen), n);
	ck_assert_uint_eq(seen, last);
}

START_TEST(nothing_delivered_nothing_to_acknowledge) {
	tags_init(&tags);
	check_prefix(0, 0);
	tags_reset(&tags);
	check_prefix(0, 0);
	tags_clear(&tags);
	tags_clear(&tags);
}
END_TEST

START_TEST(prefix_is_taken_in_whatever_order_it_was_batched) {
	tags_init(&tags);
	deliver(1, 5);
	check_prefix(0, 0);
	tags_batch(&tags, 3);
	tags_batch(&tags, 1);
	tags_batch(&tags, 2);
	check_prefix(3, 3);
	check_prefix(0, 0);
	tags_batch(&tags, 4);
	check_prefix(1, 4);
	tags_batch(&tags, 5);
	check_prefix(1, 5);
	tags_clear(&tags);
}
END_TEST

START_TEST(prefix_ends_at_what_is_open) {
	tags_init(&tags);
	deliver(1, 6);
	tags_batch(&tags, 2);
	tags_batch(&tags, 3);
	check_prefix(0, 0);
	tags_batch(&tags, 1);
	tags_batch(&tags, 5);
	check_prefix(3, 3);
	/* 5 is still in the batch: it waits for 4, unless it is settled by itself. */
	tags_settle(&tags, 5);
	tags_batch(&tags, 4);
	check_prefix(1, 4);
	tags_batch(&tags, 6);
	check_prefix(1, 6);
	tags_clear(&tags);
}
END_TEST

/* The broker takes an ack, with `multiple` or without, only for a tag that is not settled: so what was settled by
 * itself can be below the last tag of a prefix, and never be it. */
START_TEST(what_was_settled_by_itself_leaves_no_gap_and_is_not_named) {
	tags_init(&tags);
	deliver(1, 7);
	tags_settle(&tags, 2);
	tags_settle(&tags, 5);
	tags_batch(&tags, 4);
	tags_batch(&tags, 1);
	tags_batch(&tags, 3);
	check_prefix(3, 4);
	tags_settle(&tags, 7);
	tags_batch(&tags, 6);
	check_prefix(1, 6);
	tags_clear(&tags);
}
END_TEST

START_TEST(tags_need_not_be_dense_but_must_grow) {
	tags_init(&tags);
	ck_assert_int_eq(tags_deliver(&tags, 0), -EPROTO);
	ck_assert_int_eq(tags_deliver(&tags, 7), 0);
	ck_assert_int_eq(tags_deliver(&tags, 7), -EPROTO);
	ck_assert_int_eq(tags_deliver(&tags, 6), -EPROTO);
	ck_assert_int_eq(tags_deliver(&tags, UINT64_MAX - 1), 0);
	ck_assert_int_eq(tags_deliver(&tags, UINT64_MAX), 0);
	ck_assert_int_eq(tags_deliver(&tags, UINT64_MAX), -EPROTO);
	tags_batch(&tags, UINT64_MAX - 1);
	tags_batch(&tags, 7);
	check_prefix(2, UINT64_MAX - 1);
	/* What is settled has been delivered all the same. */
	ck_assert_int_eq(tags_deliver(&tags, 8), -EPROTO);
	tags_clear(&tags);
}
END_TEST

START_TEST(new_opening_begins_again) {
	tags_init(&tags);
	for (int i = 0; i < 3; i++) {
		deliver(1, 100);
		tags_batch(&tags, 1);
		tags_batch(&tags, 100);
		tags_reset(&tags);
		check_prefix(0, 0);
	}
	deliver(1, 2);
	tags_batch(&tags, 2);
	check_prefix(0, 0);
	tags_batch(&tags, 1);
	check_prefix(2, 2);
	tags_clear(&tags);
}
END_TEST

/* A message whose handler takes long, while a million others come and go: what is kept is what is unsettled. */
START_TEST(room_is_for_what_is_unsettled_and_not_for_its_span) {
	uint64_t last;

	tags_init(&tags);
	deliver(1, 1);
	for (uint64_t tag = 2; tag < 1000000; tag += 10) {
		deliver(tag, tag + 9);
		for (uint64_t i = 0; i < 10; i++)
			tags_batch(&tags, tag + i);
		ck_quick(tags_take_prefix(&tags, &last) == 0 && last == 0);
		for (uint64_t i = 0; i < 10; i++)
			tags_settle(&tags, tag + i);
	}
	ck_assert_uint_le(tags.size, 32);
	deliver(1000002, 1000003);
	tags_batch(&tags, 1000002);
	tags_batch(&tags, 1);
	check_prefix(2, 1000002);
	tags_clear(&tags);
}
END_TEST

#define WINDOW 70000

/* The largest prefetch, all of it open at once; and numbers that have wrapped around 16 bits. */
START_TEST(largest_window) {
	tags_init(&tags);
	for (uint64_t round = 0; round < 3; round++) {
		uint64_t first = 1 + round * WINDOW;

		deliver(first, first + WINDOW - 1);
		for (uint64_t i = WINDOW; i-- > 1;)
			tags_batch(&tags, first + i);
		check_prefix(0, 0);
		tags_batch(&tags, first);
		check_prefix(WINDOW, first + WINDOW - 1);
	}
	ck_assert_uint_eq(tags.size, 131072);
	tags_clear(&tags);
}
END_TEST

/* The same, naively: the state of every tag there ever was. */
enum model_state { OPEN, BATCHED, SETTLED, ABSENT };

#define MODEL_TAGS 200000

static enum model_state model[MODEL_TAGS + 1];
static uint64_t model_first, model_last;

static uint32_t model_take_prefix(uint64_t *ret_last) {
	uint32_t n = 0;

	*ret_last = 0;
	for (; model_first <= model_last && model[model_first] != OPEN; model_first++) {
		if (model[model_first] != BATCHED)
			continue;
		model[model_first] = SETTLED;
		*ret_last = model_first;
		n++;
	}
	return n;
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n) {
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

/* A tag that is open or in the batch, near a random place of what may still be; 0: none there. */
static uint64_t random_unsettled(uint32_t reach) {
	uint64_t tag;

	if (model_first > model_last)
		return 0;
	tag = model_first + random_below((uint32_t)(model_last - model_first + 1));
	if (random_below(2))
		tag = model_first;
	for (uint32_t i = 0; i < reach && tag <= model_last; i++, tag++)
		if (model[tag] == OPEN || model[tag] == BATCHED)
			return tag;
	return 0;
}

static void random_deliveries(uint32_t max) {
	for (uint32_t n = random_below(max); n > 0 && model_last + 3 <= MODEL_TAGS; n--) {
		for (uint32_t skip = random_below(40) == 0 ? 1 + random_below(2) : 0; skip > 0; skip--)
			model[++model_last] = ABSENT;
		model[++model_last] = OPEN;
		ck_quick(tags_deliver(&tags, model_last) == 0);
	}
}

static void random_settlements(uint32_t max, uint32_t alone) {
	for (uint32_t n = random_below(max); n > 0; n--) {
		uint64_t tag = random_unsettled(50);

		if (!tag)
			return;
		if (random_below(100) < alone) {
			tags_settle(&tags, tag);
			model[tag] = SETTLED;
		} else if (model[tag] == OPEN) {
			tags_batch(&tags, tag);
			model[tag] = BATCHED;
		}
	}
}

/* Each run delivers and settles in another proportion, so that the account is now almost empty and now grows. */
START_TEST(random_sequences_agree_with_a_naive_model) {
	uint64_t prefixes = 0;

	random_state = (uint64_t)_i + 1;
	model_first = 1;
	model_last = 0;
	tags_init(&tags);
	while (model_last + 3 <= MODEL_TAGS) {
		uint64_t last, expected_last;
		uint32_t n;

		random_deliveries(2 + 30 * (uint32_t)_i);
		random_settlements(3 + 31 * (uint32_t)_i, (uint32_t)_i * 15);
		n = tags_take_prefix(&tags, &last);
		ck_quick(n == model_take_prefix(&expected_last));
		ck_quick(last == expected_last);
		prefixes += n > 1;
	}
	ck_assert_uint_gt(prefixes, 100);
	/* What is left is all there. */
	for (uint64_t tag = model_first; tag <= model_last; tag++)
		if (model[tag] == OPEN || model[tag] == BATCHED)
			tags_settle(&tags, tag);
	ck_assert_uint_eq(tags.oldest, TAGS_NONE);
	ck_assert_uint_eq(tags.newest, TAGS_NONE);
	tags_clear(&tags);
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *t = tcase_create("random");

	ADD_CASE(suite, "account", nothing_delivered_nothing_to_acknowledge,
		 prefix_is_taken_in_whatever_order_it_was_batched, prefix_ends_at_what_is_open,
		 what_was_settled_by_itself_leaves_no_gap_and_is_not_named, tags_need_not_be_dense_but_must_grow,
		 new_opening_begins_again, room_is_for_what_is_unsettled_and_not_for_its_span, largest_window);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, random_sequences_agree_with_a_naive_model, 0, 6);
	suite_add_tcase(suite, t);
}

CHECK_MAIN("tags", add_cases)
