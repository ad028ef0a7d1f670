/* SPDX-License-Identifier: MIT */
/* Run under ThreadSanitizer by scripts/test. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "check_main.h"

#define WRITERS 4
#define PER_WRITER 20000
#define LIMIT 64

struct parcel {
	struct mailbox_item item;
	int writer;
	int number;
};

struct writer {
	struct mailbox *mailbox;
	int id;
	unsigned full;
};

static bool is_readable(struct mailbox *m) {
	struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(keeps_order_and_signals) {
	struct mailbox_item items[3] = {{.kind = 0}, {.kind = 1}, {.kind = 2}}, *item;
	struct mailbox *m;

	ck_assert_int_eq(mailbox_new(2, &m), 0);
	ck_assert(!is_readable(m));
	ck_assert_ptr_null(mailbox_take(m));
	ck_assert_int_eq(mailbox_post(m, &items[0]), 0);
	ck_assert(is_readable(m));
	ck_assert_int_eq(mailbox_post(m, &items[1]), 0);
	ck_assert_int_eq(mailbox_post(m, &items[2]), -ENOBUFS);
	item = mailbox_take(m);
	ck_assert_ptr_eq(item, &items[0]);
	ck_assert_ptr_eq(item->next, &items[1]);
	ck_assert_ptr_null(item->next->next);
	ck_assert(!is_readable(m));
	ck_assert_int_eq(mailbox_post(m, &items[2]), 0);
	ck_assert(is_readable(m));
	ck_assert_ptr_eq(mailbox_take(m), &items[2]);
	ck_assert_ptr_null(mailbox_take(m));
	mailbox_free(m);
	ck_assert_ptr_null(mailbox_free(NULL));
}
END_TEST

START_TEST(limit_can_change_and_be_passed_over) {
	struct mailbox_item items[6] = {{.kind = 0}}, *item;
	struct mailbox *m;

	ck_assert_int_eq(mailbox_new(1, &m), 0);
	mailbox_post_anyway(m, &items[0]);
	ck_assert(is_readable(m));
	ck_assert_int_eq(mailbox_post(m, &items[1]), -ENOBUFS);
	mailbox_post_anyway(m, &items[1]);
	mailbox_set_limit(m, 3);
	ck_assert_int_eq(mailbox_post(m, &items[2]), 0);
	ck_assert_int_eq(mailbox_post(m, &items[3]), -ENOBUFS);
	mailbox_set_limit(m, 2);
	/* What is there already stays, in order. */
	item = mailbox_take(m);
	for (int i = 0; i < 3; i++, item = item->next)
		ck_assert_ptr_eq(item, &items[i]);
	ck_assert_ptr_null(item);
	ck_assert(!is_readable(m));
	ck_assert_int_eq(mailbox_post(m, &items[3]), 0);
	ck_assert_int_eq(mailbox_post(m, &items[4]), 0);
	ck_assert_int_eq(mailbox_post(m, &items[5]), -ENOBUFS);
	ck_assert_ptr_eq(mailbox_take(m), &items[3]);
	mailbox_free(m);
}
END_TEST

static void *write_parcels(void *arg) {
	struct writer *w = arg;

	for (int i = 0; i < PER_WRITER; i++) {
		struct parcel *p = malloc(sizeof(*p));

		p->writer = w->id;
		p->number = i;
		while (mailbox_post(w->mailbox, &p->item) == -ENOBUFS) {
			w->full++;
			sched_yield();
		}
	}
	return NULL;
}

/* Nothing is lost, doubled or out of a writer's order, and the reader is never left asleep. */
START_TEST(threads_hand_over_everything_once) {
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	int next[WRITERS] = {0};
	struct mailbox *m;
	int received = 0;

	ck_assert_int_eq(mailbox_new(LIMIT, &m), 0);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.mailbox = m, .id = i};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_parcels, &writers[i]), 0);
	}
	while (received < WRITERS * PER_WRITER) {
		struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};
		struct mailbox_item *item;
		int batch = 0;

		ck_assert_int_eq(poll(&p, 1, 20000), 1);
		item = mailbox_take(m);
		while (item) {
			struct parcel *parcel = CONTAINER_OF(item, struct parcel, item);

			item = item->next;
			ck_assert_int_eq(parcel->number, next[parcel->writer]++);
			free(parcel);
			received++;
			batch++;
		}
		ck_assert_int_le(batch, LIMIT);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert(!is_readable(m));
	mailbox_free(m);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "mailbox", keeps_order_and_signals, limit_can_change_and_be_passed_over,
		 threads_hand_over_everything_once);
}

CHECK_MAIN("mailbox", add_cases)
