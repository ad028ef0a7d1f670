/* SPDX-License-Identifier: MIT */
/* What the two threads share, and that nothing is lost when a mailbox is full. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/channel.h"
#include "broker/job.h"
#include "broker/link.h"
#include "broker/outbox.h"
#include "config_files.h"

static struct link *link_with(size_t limit) {
	struct link *l;

	ck_assert_int_eq(link_new(limit, &l), 0);
	return l;
}

static void post_lost(struct outbox *o, uint64_t epoch) {
	outbox_post_event(o, &(struct event){.type = EVENT_LOST, .epoch = epoch});
}

/* Takes everything and checks that it is the events from *next on, in order. */
static unsigned take_all(struct link *l, uint64_t *next) {
	struct mailbox_item *item = mailbox_take(l->to_main);
	unsigned n = 0;

	while (item) {
		struct mailbox_item *after = item->next;
		struct event *e = CONTAINER_OF(item, struct event, item);

		ck_assert_int_eq(item->kind, ITEM_EVENT);
		ck_assert_uint_eq(e->epoch, (*next)++);
		link_item_free(item);
		n++;
		item = after;
	}
	return n;
}

START_TEST(full_mailbox_loses_nothing_and_keeps_order) {
	struct link *l = link_with(3);
	struct outbox o;
	uint64_t next = 1;

	outbox_init(&o, l);
	for (uint64_t i = 1; i <= 8; i++) {
		post_lost(&o, i);
		ck_assert_int_eq(outbox_is_empty(&o), i <= 3);
	}
	ck_assert(!outbox_flush(&o));
	ck_assert_uint_eq(take_all(l, &next), 3);
	/* A new one goes behind those that wait, though there is room now. */
	post_lost(&o, 9);
	ck_assert_uint_eq(take_all(l, &next), 3);
	ck_assert(outbox_flush(&o));
	ck_assert(outbox_is_empty(&o));
	ck_assert_uint_eq(take_all(l, &next), 3);
	ck_assert_uint_eq(next, 10);
	post_lost(&o, 10);
	ck_assert(outbox_is_empty(&o));
	ck_assert_uint_eq(take_all(l, &next), 1);
	outbox_clear(&o);
	link_unref(l);
}
END_TEST

/* Under the address sanitizer this shows that every kind of item is freed. */
START_TEST(what_is_left_is_freed) {
	struct link *l = link_with(8);
	struct wish wish = {0};
	struct channel *channel;
	struct config *config;
	struct seat *seat;
	struct message *settle, *unsettled, *waiting;
	struct job *job, *done;
	struct outbox o;

	scratch_setup();
	config = load_text(QUEUES);
	scratch_teardown();
	outbox_init(&o, l);
	ck_assert_int_eq(message_new(&settle), 0);
	ck_assert_int_eq(message_new(&unsettled), 0);
	ck_assert_int_eq(message_new(&waiting), 0);
	ck_assert_int_eq(job_new(&job), 0);
	ck_assert_int_eq(message_new(&job->message), 0);
	job->exchange = strdup("dead");
	job->item.kind = ITEM_JOB;
	ck_assert_int_eq(mailbox_post(l->to_thread, &job->item), 0);
	ck_assert_int_eq(job_new(&done), 0);
	/* A consumer of which the thread has learnt nothing. The configuration goes with it. */
	ck_assert_int_eq(seat_new(config, &config->queues[0], 0, &seat), 0);
	ck_assert_int_eq(channel_new(seat, &channel), 0);
	ck_assert_ptr_null(config_unref(config));
	settle->item.kind = ITEM_SETTLE;
	ck_assert_int_eq(mailbox_post(l->to_thread, &channel->add.item), 0);
	ck_assert_int_eq(mailbox_post(l->to_thread, &settle->item), 0);
	ck_assert_int_eq(mailbox_post(l->to_thread, &seat->remove.item), 0);
	ck_assert_int_eq(mailbox_post(l->to_thread, &l->stop.item), 0);
	link_wish(l, &wish, 1);
	outbox_post_message(&o, unsettled, ITEM_UNSETTLED);
	job_finish(done, &o, PUBLISH_FAILED, "because of %s", "this");
	for (int i = 0; i < 6; i++)
		post_lost(&o, 1);
	outbox_post_message(&o, waiting, ITEM_MESSAGE);
	ck_assert(!outbox_is_empty(&o));
	outbox_clear(&o);
	ck_assert(outbox_is_empty(&o));
	ck_assert_ptr_nonnull(link_ref(l));
	ck_assert_ptr_null(link_unref(l));
	ck_assert_ptr_null(link_unref(l));
	ck_assert_ptr_null(link_unref(NULL));
}
END_TEST

START_TEST(wishes_need_no_room) {
	struct link *l = link_with(1);
	struct wish wishes[2] = {0};
	struct mailbox_item *item;
	struct wish w;

	ck_assert(!link_take_wish(l, &wishes[1], &w));
	for (int i = 0; i < 3; i++) {
		link_wish(l, &wishes[1], 7);
		link_wish(l, &wishes[1], 0);
	}
	/* One item wakes the thread for all of them, and has taken up the only place. */
	ck_assert_int_eq(mailbox_post(l->to_thread, &l->stop.item), -ENOBUFS);
	item = mailbox_take(l->to_thread);
	ck_assert_ptr_eq(item, &l->wish.item);
	ck_assert_ptr_null(item->next);
	link_wish(l, &wishes[1], 5);
	ck_assert_ptr_null(mailbox_take(l->to_thread));
	link_wish_received(l);
	ck_assert(!link_take_wish(l, &wishes[0], &w));
	ck_assert(link_take_wish(l, &wishes[1], &w));
	ck_assert_uint_eq(w.cancels, 3);
	ck_assert(w.consume);
	ck_assert_uint_eq(w.prefetch, 5);
	ck_assert(!link_take_wish(l, &wishes[1], &w));
	/* Full of something else: the wish is there all the same, and the next one is announced again. */
	ck_assert_int_eq(mailbox_post(l->to_thread, &l->stop.item), 0);
	link_wish(l, &wishes[0], 0);
	ck_assert_ptr_eq(mailbox_take(l->to_thread), &l->stop.item);
	ck_assert(link_take_wish(l, &wishes[0], &w));
	ck_assert_uint_eq(w.cancels, 1);
	ck_assert(!w.consume);
	link_wish(l, &wishes[0], 1);
	ck_assert_ptr_eq(mailbox_take(l->to_thread), &l->wish.item);
	/* To consume can be taken back, to cancel cannot. */
	link_wish(l, &wishes[0], 0);
	link_wish(l, &wishes[0], 1);
	link_withdraw_consume(l, &wishes[0]);
	ck_assert(link_take_wish(l, &wishes[0], &w));
	ck_assert_uint_eq(w.cancels, 1);
	ck_assert(!w.consume);
	link_unref(l);
}
END_TEST

START_TEST(shutdown_reaches_the_socket_even_when_its_owner_has_closed_it) {
	struct link *l = link_with(1);
	int pair[2];
	char c;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(link_set_socket(l, pair[0], true), 0);
	close(pair[0]);
	ck_assert_int_eq(read(pair[1], &c, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	link_shutdown(l, true);
	ck_assert_int_eq(read(pair[1], &c, 1), 0);
	close(pair[1]);
	link_unref(l);
}
END_TEST

START_TEST(complete_login_is_not_cut) {
	struct link *l = link_with(1);
	int pair[2];
	char c;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(link_set_socket(l, pair[0], true), 0);
	link_set_logged_in(l);
	link_shutdown(l, true);
	ck_assert_int_eq(read(pair[1], &c, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(link_set_socket(l, -1, false), 0);
	link_shutdown(l, false);
	ck_assert_int_eq(read(pair[1], &c, 1), -1);
	close(pair[0]);
	close(pair[1]);
	link_unref(l);
}
END_TEST

static void *exit_soon(void *arg) {
	struct link *l = arg;

	usleep(20000);
	link_set_exited(l);
	link_unref(l);
	return NULL;
}

START_TEST(exit_of_the_thread_is_waited_for) {
	struct link *l = link_with(1);
	uint64_t start = clock_now_usec();
	pthread_t thread;

	ck_assert(!link_wait_exited(l, 10 * USEC_PER_MSEC));
	ck_assert_uint_ge(clock_now_usec() - start, 10 * USEC_PER_MSEC);
	ck_assert_int_eq(pthread_create(&thread, NULL, exit_soon, link_ref(l)), 0);
	ck_assert(link_wait_exited(l, 20 * USEC_PER_SEC));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	link_unref(l);
}
END_TEST

int main(void) {
	Suite *s = suite_create("broker link");
	TCase *t = tcase_create("link");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, full_mailbox_loses_nothing_and_keeps_order);
	tcase_add_test(t, what_is_left_is_freed);
	tcase_add_test(t, wishes_need_no_room);
	tcase_add_test(t, shutdown_reaches_the_socket_even_when_its_owner_has_closed_it);
	tcase_add_test(t, complete_login_is_not_cut);
	tcase_add_test(t, exit_of_the_thread_is_waited_for);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
