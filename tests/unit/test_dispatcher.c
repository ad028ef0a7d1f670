/* SPDX-License-Identifier: MIT */
#include "check_main.h"
#include "delivery/dispatcher.h"

struct fake {
	struct dispatcher_entry entry;
	int waiting;
	int running;
	int limit;
	int started;
};

static bool start(struct dispatcher_entry *entry) {
	struct fake *f = CONTAINER_OF(entry, struct fake, entry);

	if (f->waiting == 0 || f->running == f->limit)
		return false;
	f->waiting--;
	f->running++;
	f->started++;
	return true;
}

static void add(struct fake *f, int waiting, int limit) {
	*f = (struct fake){.waiting = waiting, .limit = limit};
	dispatcher_entry_init(&f->entry, start);
}

static void end(struct dispatcher *d, struct fake *f) {
	f->running--;
	dispatcher_release(d);
	dispatcher_offer(d, &f->entry);
	dispatcher_run(d);
}

START_TEST(slots_are_shared_in_turn) {
	struct dispatcher d;
	struct fake a, b, c;

	dispatcher_init(&d, 4);
	add(&a, 100, 100);
	add(&b, 2, 100);
	add(&c, 100, 1);
	dispatcher_offer(&d, &a.entry);
	dispatcher_offer(&d, &b.entry);
	dispatcher_offer(&d, &c.entry);
	dispatcher_offer(&d, &a.entry); /* twice is once */
	dispatcher_run(&d);
	ck_assert_int_eq(a.running, 2);
	ck_assert_int_eq(b.running, 1);
	ck_assert_int_eq(c.running, 1);
	ck_assert_uint_eq(d.running, 4);
	/* b, which waits, is next, not the busy a. */
	end(&d, &a);
	ck_assert_int_eq(b.running, 2);
	ck_assert_int_eq(a.running, 1);
}
END_TEST

START_TEST(a_busy_queue_starves_nobody) {
	struct dispatcher d;
	struct fake busy, quiet;

	dispatcher_init(&d, 1);
	add(&busy, 1000, 10);
	add(&quiet, 10, 10);
	dispatcher_offer(&d, &busy.entry);
	dispatcher_run(&d);
	dispatcher_offer(&d, &quiet.entry);
	dispatcher_run(&d);
	for (int i = 0; i < 19; i++)
		end(&d, busy.running ? &busy : &quiet);
	ck_assert_int_ge(quiet.started, 9);
	ck_assert_int_eq(quiet.started + busy.started, 20);
}
END_TEST

START_TEST(withdrawn_gets_nothing) {
	struct dispatcher d;
	struct fake a;

	dispatcher_init(&d, 1);
	add(&a, 1, 1);
	dispatcher_offer(&d, &a.entry);
	dispatcher_withdraw(&a.entry);
	dispatcher_withdraw(&a.entry);
	dispatcher_run(&d);
	ck_assert_int_eq(a.started, 0);
	ck_assert_uint_eq(d.running, 0);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "dispatcher", slots_are_shared_in_turn, a_busy_queue_starves_nobody, withdrawn_gets_nothing);
}

CHECK_MAIN("dispatcher", add_cases)
