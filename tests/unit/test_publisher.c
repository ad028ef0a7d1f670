/* SPDX-License-Identifier: MIT */
/* Publishing as the main thread sees it, against a broker made for the test (and against none). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/publisher.h"
#include "broker_loop.h"
#include "check_main.h"
#include "fake_broker.h"
#include "privileges_of.h"

#define JOBS_MAX 160
/* The channels of the lanes. */
#define LANE0 2
#define LANE1 3

static struct fake_broker fake;
static struct config *config;
static struct publisher *publisher;

/* What was called back, by number of the publication. */
static struct {
	unsigned done;
	unsigned times[JOBS_MAX];
	enum publish_result results[JOBS_MAX];
	char reasons[JOBS_MAX][512];
	unsigned order[JOBS_MAX]; /* numbers, as they were done */
	unsigned emptied;         /* came back without their messages */
	enum broker_state state;
	unsigned states[BROKER_STOPPED + 1];
	unsigned blocked;
	unsigned unblocked;
	unsigned done_after_stop;
	bool free_in_callback;
	bool stop_in_callback;
} seen;

static void on_done(struct publication *p, void *userdata) {
	unsigned *number = userdata;
	unsigned i = *number;

	ck_assert_uint_lt(i, JOBS_MAX);
	seen.order[seen.done++ % JOBS_MAX] = i;
	seen.times[i]++;
	seen.results[i] = p->result;
	ck_assert_int_eq(p->reason == NULL, p->result == PUBLISH_CONFIRMED);
	(void)snprintf(seen.reasons[i], sizeof(seen.reasons[i]), "%s", p->reason ? p->reason : "");
	seen.done_after_stop += seen.state == BROKER_STOPPED;
	seen.emptied += !p->message;
	publication_free(p);
	if (seen.free_in_callback)
		publisher = publisher_free(publisher);
	if (seen.stop_in_callback) {
		/* The time is over while others are still to be called back. */
		if (seen.done == 1)
			ck_assert_int_eq(publisher_stop(publisher, 0), 0);
		usleep(500);
	}
}

static void on_state(struct publisher *p, enum broker_state state, const struct broker_report *report, void *userdata) {
	ck_assert_ptr_eq(userdata, &seen);
	ck_assert_ptr_eq(report->address, &config->brokers[0].addresses[0]);
	seen.state = state;
	seen.states[state]++;
}

static void on_blocked(struct publisher *p, bool blocked, const char *reason, void *userdata) {
	if (blocked)
		ck_assert_str_eq(reason, "low on memory");
	seen.blocked += blocked;
	seen.unblocked += !blocked;
}

static const struct publisher_callbacks callbacks = {.state = on_state, .blocked = on_blocked};

/* With two lanes. */
static void start(uint16_t port, uint64_t confirm_timeout_usec) {
	char path[] = "/tmp/test_publisher.XXXXXX";
	struct config_problems problems = {0};
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(
		dprintf(fd,
			"broker = { url = \"amqp://guest:s3cret@127.0.0.1:%u\"; connect_timeout = 10;\n"
			"  reconnect = { min_delay = 0.05; max_delay = 0.2; }; };\n"
			"queues = ( { name = \"work\"; prefetch = 64; handler = { command = [ \"/bin/true\" ]; "
			"}; } );\n",
			port),
		0);
	ck_assert_int_eq(config_load_for(path, &nobodys_privileges, &problems, &config), 0);
	config_problems_clear(&problems);
	close(fd);
	unlink(path);
	config->brokers[0].confirm_timeout_usec = confirm_timeout_usec;
	ck_assert_int_eq(publisher_new(event, config, &config->brokers[0], &callbacks, &seen, &publisher), 0);
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_uint_eq(publisher_add_lane(publisher), i);
}

static struct publication *make(unsigned lane, unsigned number, const char *exchange, const char *routing_key,
				size_t body_size) {
	static unsigned numbers[JOBS_MAX];
	struct publication *p;

	ck_assert_int_eq(publication_new(&p), 0);
	ck_assert_int_eq(message_new(&p->message), 0);
	ck_assert_int_eq(message_reserve_body(p->message, body_size), 0);
	for (size_t i = 0; i < body_size;) {
		unsigned char piece[4096];
		size_t n = body_size - i < sizeof(piece) ? body_size - i : sizeof(piece);

		for (size_t k = 0; k < n; k++)
			piece[k] = (unsigned char)((i + k) * 7 >> 3);
		ck_assert_int_eq(message_append_body(p->message, piece, n), 0);
		i += n;
	}
	ck_assert_int_eq(message_finish_body(p->message), 0);
	p->lane = lane;
	p->exchange = strdup(exchange);
	p->routing_key = strdup(routing_key);
	p->done = on_done;
	numbers[number] = number;
	p->userdata = &numbers[number];
	return p;
}

static uint64_t body_sum(size_t size) {
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + (unsigned char)(i * 7 >> 3);
	return sum;
}

static void post(struct publication *p) {
	ck_assert_int_eq(publisher_publish(publisher, p), 0);
}

static void publish(unsigned lane, unsigned number, const char *routing_key) {
	post(make(lane, number, "dead", routing_key, 5));
}

static struct publication *make_delayed(unsigned number, const char *name) {
	struct publication *p = make(0, number, "", name, 5);

	p->delay_usec = 10 * USEC_PER_SEC;
	p->delay_target = strdup("work");
	return p;
}

static void setup(void) {
	fake = (struct fake_broker){0};
	memset(&seen, 0, sizeof(seen));
	ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void) {
	publisher = publisher_free(publisher);
	config = config_unref(config);
	event = sd_event_unref(event);
}

static void setup_fake(void) {
	setup();
	fake_start(&fake);
}

static void teardown_fake(void) {
	atomic_store(&fake.deaf, false);
	teardown();
	fake_stop(&fake);
}

#define ck_result(number, result)                                                                                      \
	do {                                                                                                           \
		ck_assert_uint_eq(seen.times[number], 1);                                                              \
		ck_assert_msg(seen.results[number] == (result), "%u is %s: %s", (unsigned)(number),                    \
			      publish_result_to_string(seen.results[number]), seen.reasons[number]);                   \
	} while (0)
#define ck_reason(number, part)                                                                                        \
	ck_assert_msg(strstr(seen.reasons[number], part), "%u: %s", (unsigned)(number), seen.reasons[number])

START_TEST(what_is_confirmed_is_done_in_order) {
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	publish(0, 1, "b");
	publish(0, 2, "c");
	ck_until(seen.done == 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_result(i, PUBLISH_CONFIRMED);
		ck_assert_uint_eq(seen.order[i], i);
		ck_assert_uint_eq(fake.channels[i], LANE0);
	}
	ck_assert_str_eq(fake.names[0], "a");
	ck_assert_str_eq(fake.names[2], "c");
	ck_assert_uint_eq(seen.emptied, 0);
	ck_assert_uint_eq(atomic_load(&fake.optional), 0);
	ck_assert(atomic_load(&fake.is_publisher));
	publish(1, 3, "d");
	ck_until(seen.done == 4);
	ck_assert_uint_eq(fake.channels[3], LANE1);
	ck_assert_int_eq(publisher_stop(publisher, 5 * USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_eq(atomic_load(&fake.closes), 1);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

START_TEST(bodies_arrive_whole) {
	const size_t sizes[] = {0, 1, 16384, 16385, 65536, 65537, 5000000};

	start(fake.port, 10 * USEC_PER_SEC);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		post(make(0, i, "dead", "a", sizes[i]));
	ck_until(seen.done == ARRAY_SIZE(sizes));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_result(i, PUBLISH_CONFIRMED);
		ck_assert_uint_eq(fake.sums[i], body_sum(sizes[i]));
	}
	ck_assert_uint_le(atomic_load(&fake.largest), 16384);
}
END_TEST

START_TEST(large_message_does_not_hold_up_another_lane) {
	start(fake.port, 10 * USEC_PER_SEC);
	ck_until(seen.state == BROKER_UP);
	/* Both channels are open. */
	publish(0, 0, "warm");
	publish(1, 1, "warm");
	ck_until(seen.done == 2);
	/* The socket is full all the time. */
	atomic_store(&fake.deaf, true);
	post(make(0, 2, "dead", "large", 40000000));
	turn_for(200 * USEC_PER_MSEC);
	publish(1, 3, "small");
	turn_for(100 * USEC_PER_MSEC);
	atomic_store(&fake.slow, true);
	atomic_store(&fake.deaf, false);
	ck_until(seen.done == 4);
	ck_assert_uint_eq(seen.order[2], 3);
	ck_assert_uint_eq(seen.order[3], 2);
}
END_TEST

START_TEST(confirms_come_in_any_order_and_several_at_once) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	for (unsigned i = 0; i < 6; i++)
		publish(0, i, "a");
	ck_until(atomic_load(&fake.published) == 6);
	fake_ack(&fake, LANE0, 4, false);
	ck_until(seen.done == 1);
	ck_result(3, PUBLISH_CONFIRMED);
	fake_ack(&fake, LANE0, 2, true);
	ck_until(seen.done == 3);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_result(1, PUBLISH_CONFIRMED);
	fake_nack(&fake, LANE0, 5, true);
	ck_until(seen.done == 5);
	ck_result(2, PUBLISH_REFUSED);
	ck_result(4, PUBLISH_REFUSED);
	ck_reason(4, "basic.nack");
	/* Said already. */
	fake_ack(&fake, LANE0, 5, true);
	fake_ack(&fake, LANE0, 6, false);
	ck_until(seen.done == 6);
	ck_result(5, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

START_TEST(channel_that_refused_something_is_given_up_when_it_is_quiet) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	publish(0, 1, "b");
	ck_until(atomic_load(&fake.published) == 2);
	fake_nack(&fake, LANE0, 1, false);
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_REFUSED);
	/* The other one is still to be answered there; the next waits. */
	publish(0, 2, "c");
	turn_for(200 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.published), 2);
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
	fake_ack(&fake, LANE0, 2, false);
	ck_until(atomic_load(&fake.published) == 3);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	fake_ack(&fake, LANE0, 1, false);
	ck_until(seen.done == 3);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

START_TEST(confirm_of_what_was_never_published_ends_the_connection) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	fake_ack(&fake, LANE0, 2, false);
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_reason(0, "not published");
	ck_until(seen.states[BROKER_UP] == 2);
}
END_TEST

START_TEST(returned_message_is_not_confirmed_by_its_ack) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	publish(0, 1, "b");
	publish(0, 2, "a");
	ck_until(atomic_load(&fake.published) == 3);
	/* The content that comes with it is large, and confirms follow. */
	fake_return(&fake, LANE0, "dead", "b", NULL, 300000);
	fake_ack(&fake, LANE0, 3, true);
	ck_until(seen.done == 3);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_result(1, PUBLISH_RETURNED);
	ck_reason(1, "NO_ROUTE");
	ck_result(2, PUBLISH_CONFIRMED);
	publish(0, 3, "a");
	ck_until(atomic_load(&fake.published) == 4);
	fake_return(&fake, LANE0, "dead", "a", NULL, 0);
	fake_ack(&fake, LANE0, 4, false);
	ck_until(seen.done == 4);
	ck_result(3, PUBLISH_RETURNED);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

/* basic.return does not say which one it is about. */
START_TEST(whatever_may_have_been_returned_is_returned) {
	struct publication *p;

	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	publish(0, 1, "a");
	p = make(0, 2, "dead", "a", 5);
	ck_assert_int_eq(text_set(&p->message->properties.message_id, "m2", 2), 0);
	post(p);
	p = make(0, 3, "dead", "a", 5);
	ck_assert_int_eq(text_set(&p->message->properties.message_id, "m3", 2), 0);
	post(p);
	publish(1, 4, "a");
	post(make(0, 5, "", "a", 5));
	ck_until(atomic_load(&fake.published) == 6);
	fake_return(&fake, LANE0, "dead", "a", "m3", 5);
	ck_until(seen.done == 1);
	ck_result(3, PUBLISH_RETURNED);
	fake_return(&fake, LANE0, "dead", "a", NULL, 5);
	ck_until(seen.done == 3);
	ck_result(0, PUBLISH_RETURNED);
	ck_result(1, PUBLISH_RETURNED);
	fake_ack(&fake, LANE0, 5, true);
	fake_ack(&fake, LANE1, 1, true);
	ck_until(seen.done == 6);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_result(4, PUBLISH_CONFIRMED);
	ck_result(5, PUBLISH_CONFIRMED);
}
END_TEST

START_TEST(late_confirm_is_ignored) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 1500 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_reason(0, "within 1.5 seconds");
	ck_assert_uint_eq(atomic_load(&fake.published), 1);
	fake_ack(&fake, LANE0, 1, false);
	turn_for(50 * USEC_PER_MSEC);
	atomic_store(&fake.hold_confirms, false);
	publish(0, 1, "a");
	ck_until(seen.done == 2);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
	ck_assert_uint_eq(seen.times[0], 1);
}
END_TEST

START_TEST(channel_error_of_one_message_is_its_own) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(1, 0, "other lane");
	publish(0, 1, "a");
	ck_until(atomic_load(&fake.published) == 2);
	fake_close_channel(&fake, LANE0, 404, "NOT_FOUND - no exchange 'dead' in vhost '/'");
	ck_until(seen.done == 1);
	ck_result(1, PUBLISH_FAILED);
	ck_reason(1, "no exchange 'dead'");
	/* The channel is opened again, and counts anew. */
	publish(0, 2, "b");
	ck_until(atomic_load(&fake.published) == 3);
	fake_ack(&fake, LANE0, 1, false);
	fake_ack(&fake, LANE1, 1, false);
	ck_until(seen.done == 3);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

START_TEST(channel_error_of_several_leaves_them_unconfirmed_and_those_that_wait_alone) {
	atomic_store(&fake.hold_confirms, true);
	atomic_store(&fake.hold_declares, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	publish(0, 1, "b");
	post(make_delayed(2, "work.retry.10000"));
	publish(0, 3, "c");
	ck_until(atomic_load(&fake.published) == 2 && atomic_load(&fake.declares) == 1);
	fake_close_channel(&fake, LANE0, 404, "NOT_FOUND - no exchange 'dead' in vhost '/'");
	ck_until(seen.done == 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_result(i, PUBLISH_UNCONFIRMED);
		ck_reason(i, "this or another message");
		ck_reason(i, "no exchange 'dead'");
	}
	/* Order is kept: the last one waits behind the one that waits for its queue. */
	turn_for(300 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.published), 2);
	/* They go on with the next connection. */
	atomic_store(&fake.hold_confirms, false);
	atomic_store(&fake.hold_declares, false);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.done == 4);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_result(3, PUBLISH_CONFIRMED);
	ck_assert_str_eq(fake.names[2], "work.retry.10000");
	ck_assert_str_eq(fake.names[3], "c");
}
END_TEST

/* 541 is nobody's fault, and which of those given up it came from is unknown, too. */
START_TEST(other_channel_errors_tell_nothing_about_a_message) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	fake_close_channel(&fake, LANE0, 541, "INTERNAL_ERROR");
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_reason(0, "541");
}
END_TEST

START_TEST(message_that_was_given_up_may_be_the_one_that_was_refused) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 300 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	publish(0, 1, "b");
	ck_until(atomic_load(&fake.published) == 2);
	fake_close_channel(&fake, LANE0, 404, "NOT_FOUND - no exchange 'dead' in vhost '/'");
	ck_until(seen.done == 2);
	ck_result(1, PUBLISH_UNCONFIRMED);
}
END_TEST

START_TEST(message_half_sent_is_sent_again) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	atomic_store(&fake.deaf, true);
	post(make(0, 1, "dead", "large", 30000000));
	publish(0, 2, "next");
	turn_for(300 * USEC_PER_MSEC);
	/* The socket is full, and the thread is not stuck in it. */
	ck_assert_uint_eq(publisher_overdue_usec(publisher, clock_now_usec() + 1000 * USEC_PER_SEC), 0);
	fake_close_channel(&fake, LANE0, 404, "NOT_FOUND - no exchange 'dead' in vhost '/'");
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_UNCONFIRMED);
	atomic_store(&fake.hold_confirms, false);
	atomic_store(&fake.deaf, false);
	ck_until(seen.done == 3);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_assert_str_eq(fake.names[1], "large");
	ck_assert_uint_eq(fake.sums[1], body_sum(30000000));
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

/* In the middle of a message, when there is no room in the socket and then there is: nobody waits for that any more. */
START_TEST(channel_flow_is_waited_for_in_peace) {
	clock_t used;

	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	atomic_store(&fake.deaf, true);
	post(make(0, 1, "dead", "large", 30000000));
	turn_for(200 * USEC_PER_MSEC);
	fake_flow(&fake, LANE0, false);
	turn_for(100 * USEC_PER_MSEC);
	atomic_store(&fake.deaf, false);
	turn_for(200 * USEC_PER_MSEC);
	used = clock();
	turn_for(500 * USEC_PER_MSEC);
	ck_assert_int_lt(clock() - used, CLOCKS_PER_SEC / 4);
	ck_assert_uint_eq(seen.done, 1);
	fake_flow(&fake, LANE0, true);
	ck_until(seen.done == 2);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(fake.sums[1], body_sum(30000000));
}
END_TEST

START_TEST(blocked_connection_stops_sending_and_the_clock) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 1500 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	fake_block(&fake, true);
	ck_until(seen.blocked == 1);
	publish(0, 1, "b");
	post(make_delayed(2, "work.retry.10000"));
	publish(1, 3, "c");
	turn_for(2500 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 0);
	ck_assert_uint_eq(atomic_load(&fake.published), 1);
	ck_assert_uint_eq(atomic_load(&fake.declares), 0);
	/* A confirm may come all the same. */
	fake_ack(&fake, LANE0, 1, false);
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_CONFIRMED);
	atomic_store(&fake.hold_confirms, false);
	fake_block(&fake, false);
	ck_until(seen.done == 4);
	ck_assert_uint_eq(seen.unblocked, 1);
	for (unsigned i = 1; i < 4; i++)
		ck_result(i, PUBLISH_CONFIRMED);
}
END_TEST

START_TEST(blocked_in_the_middle_of_a_message) {
	start(fake.port, 1500 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	atomic_store(&fake.deaf, true);
	post(make(0, 1, "dead", "large", 30000000));
	turn_for(100 * USEC_PER_MSEC);
	fake_block(&fake, true);
	ck_until(seen.blocked == 1);
	turn_for(2500 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 1);
	ck_assert_uint_eq(publisher_overdue_usec(publisher, clock_now_usec() + 1000 * USEC_PER_SEC), 0);
	atomic_store(&fake.deaf, false);
	fake_block(&fake, false);
	ck_until(seen.done == 2);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(fake.sums[1], body_sum(30000000));
}
END_TEST

START_TEST(broker_that_takes_nothing_is_left) {
	start(fake.port, 300 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	atomic_store(&fake.deaf, true);
	post(make(0, 1, "dead", "large", 30000000));
	ck_until(seen.states[BROKER_WAITING] == 1);
	atomic_store(&fake.deaf, false);
	ck_until(seen.done == 2);
	ck_assert_uint_eq(seen.times[1], 1);
}
END_TEST

START_TEST(lost_connection_unconfirms_what_was_sent) {
	atomic_store(&fake.hold_confirms, true);
	atomic_store(&fake.hold_declares, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(1, 0, "a");
	post(make_delayed(1, "work.retry.10000"));
	ck_until(atomic_load(&fake.published) == 1 && atomic_load(&fake.declares) == 1);
	atomic_store(&fake.hold_confirms, false);
	atomic_store(&fake.hold_declares, false);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.done == 2);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_reason(0, "the connection was lost");
	ck_result(1, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.declares), 2);
	ck_assert_uint_eq(seen.states[BROKER_UP], 2);
	/* The new channel counts anew. */
	publish(1, 2, "b");
	ck_until(seen.done == 3);
	ck_result(2, PUBLISH_CONFIRMED);
}
END_TEST

START_TEST(what_cannot_be_sent_fails_and_hurts_nothing) {
	static char text[140000];
	struct publication *p;
	struct field *f;

	memset(text, 'x', sizeof(text) - 1);
	start(fake.port, 10 * USEC_PER_SEC);
	text[256] = '\0';
	publish(0, 0, text);
	post(make(0, 1, text, "a", 5));
	post(make_delayed(2, text));
	p = make_delayed(3, "work.retry.10000");
	free(p->delay_target);
	p->delay_target = strdup(text);
	post(p);
	p = make(0, 4, "dead", "a", 5);
	ck_assert_int_eq(text_set(&p->message->properties.correlation_id, text, 256), 0);
	post(p);
	text[256] = 'x';
	for (unsigned i = 5; i < 8; i++) {
		p = make(0, i, "dead", "a", 5);
		p->message->properties.has_headers = true;
		f = calloc(1, sizeof(*f));
		p->message->properties.headers = (struct table){.fields = f, .n = 1};
		f->kind = FIELD_STRING;
		ck_assert_int_eq(text_set(&f->name, text, i == 5 ? 256 : 2), 0);
		/* 131072 bytes are the frame: 8 around it, 12 and 2 of the header, 4 and 3 of the table, 1 and 4 of the
		 * text. */
		ck_assert_int_eq(text_set(&f->text, text, i == 5 ? 1 : 131072 - 34 + (i == 6 ? 1 : 0)), 0);
		post(p);
	}
	p = make(0, 8, "dead", "a", 5);
	message_drop_body(p->message, BODY_TOO_LARGE, 0);
	post(p);
	publish(0, 9, "fine");
	ck_until(seen.done == 10);
	for (unsigned i = 0; i < 9; i++)
		ck_result(i, i == 7 ? PUBLISH_CONFIRMED : PUBLISH_FAILED);
	ck_reason(0, "the routing key is longer than 255 bytes");
	ck_reason(1, "the name of the exchange is longer");
	ck_reason(2, "the routing key is longer");
	ck_reason(3, "the name of the queue is longer");
	ck_reason(4, "a property is longer");
	ck_reason(5, "the name of a header is longer");
	ck_reason(6, "larger than a frame may be (131072 bytes)");
	ck_reason(8, "its body is not complete");
	ck_result(9, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.published), 2);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
}
END_TEST

START_TEST(delay_queue_is_declared_once) {
	start(fake.port, 10 * USEC_PER_SEC);
	post(make_delayed(0, "work.retry.10000"));
	post(make_delayed(1, "work.retry.10000"));
	post(make_delayed(2, "work.retry.20000"));
	post(make_delayed(3, "work.retry.10000"));
	ck_until(seen.done == 4);
	for (unsigned i = 0; i < 4; i++)
		ck_result(i, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.declares), 2);
	ck_assert_str_eq(fake.declared[0], "work.retry.10000");
	ck_assert_str_eq(fake.declared[1], "work.retry.20000");
	ck_assert_str_eq(fake.names[2], "work.retry.20000");
	/* Until it has been a while. */
	atomic_fetch_add(&clock_skew, 301);
	post(make_delayed(4, "work.retry.10000"));
	ck_until(seen.done == 5);
	ck_result(4, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.declares), 3);
	/* And with each connection: the broker may be another one. */
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.states[BROKER_UP] == 2);
	post(make_delayed(5, "work.retry.10000"));
	ck_until(seen.done == 6);
	ck_result(5, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.declares), 4);
}
END_TEST

/* What was in the socket when the alarm began is taken when it is over, and by then the queue may be about to expire. */
START_TEST(delay_queues_are_declared_again_after_an_alarm) {
	start(fake.port, 5 * USEC_PER_SEC);
	post(make_delayed(0, "work.retry.10000"));
	post(make_delayed(1, "work.retry.20000"));
	ck_until(seen.done == 2);
	ck_assert_uint_eq(atomic_load(&fake.declares), 2);
	fake_block(&fake, true);
	ck_until(seen.blocked == 1);
	fake_block(&fake, false);
	ck_until(atomic_load(&fake.declares) == 4);
	ck_until(seen.unblocked == 1);
}
END_TEST

START_TEST(delay_queue_that_was_returned_is_declared_again) {
	start(fake.port, 10 * USEC_PER_SEC);
	post(make_delayed(0, "work.retry.10000"));
	ck_until(seen.done == 1);
	atomic_store(&fake.hold_confirms, true);
	post(make_delayed(1, "work.retry.10000"));
	ck_until(atomic_load(&fake.published) == 2);
	ck_assert_uint_eq(atomic_load(&fake.declares), 1);
	fake_return(&fake, LANE0, "", "work.retry.10000", NULL, 5);
	fake_ack(&fake, LANE0, 2, false);
	ck_until(seen.done == 2);
	ck_result(1, PUBLISH_RETURNED);
	atomic_store(&fake.hold_confirms, false);
	post(make_delayed(2, "work.retry.10000"));
	ck_until(seen.done == 3);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.declares), 2);
}
END_TEST

START_TEST(refused_declaration_fails_those_that_need_it) {
	fake.refused_queue = "work.retry.10000";
	start(fake.port, 10 * USEC_PER_SEC);
	atomic_store(&fake.hold_confirms, true);
	publish(0, 0, "under way");
	ck_until(atomic_load(&fake.published) == 1);
	post(make_delayed(1, "work.retry.10000"));
	post(make_delayed(2, "work.retry.10000"));
	post(make_delayed(3, "work.retry.20000"));
	ck_until(seen.done == 2 && atomic_load(&fake.published) == 2);
	for (unsigned i = 1; i < 3; i++) {
		ck_result(i, PUBLISH_FAILED);
		ck_reason(i, "delay queue cannot be declared");
		ck_reason(i, "another declaration");
	}
	fake_ack(&fake, LANE0, 2, true);
	ck_until(seen.done == 4);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_result(3, PUBLISH_CONFIRMED);
	/* One declaration of each, on a channel that was opened twice. */
	ck_assert_uint_eq(atomic_load(&fake.declares), 2);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

START_TEST(silence_about_a_declaration_is_noticed) {
	atomic_store(&fake.hold_declares, true);
	start(fake.port, 100 * USEC_PER_SEC);
	post(make_delayed(0, "work.retry.10000"));
	ck_until(atomic_load(&fake.declares) == 1);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 0);
	atomic_store(&fake.hold_declares, false);
	atomic_fetch_add(&clock_skew, 40);
	/* Wakes the thread, whose sleep the clock of the test does not shorten. */
	publish(1, 1, "a");
	ck_until(seen.done == 2);
	ck_result(0, PUBLISH_FAILED);
	ck_reason(0, "did not answer queue.declare within 30 seconds");
	/* The channel was closed, and serves again. */
	post(make_delayed(2, "work.retry.20000"));
	ck_until(seen.done == 3);
	ck_result(2, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

START_TEST(silence_about_a_channel_is_noticed) {
	fake.mute_on_confirm_select = true;
	start(fake.port, 100 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.opens) == 1);
	turn_for(100 * USEC_PER_MSEC);
	atomic_fetch_add(&clock_skew, 40);
	publish(1, 1, "a");
	ck_until(seen.done == 2);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
}
END_TEST

START_TEST(without_a_connection_it_fails_in_time) {
	start(1, 300 * USEC_PER_MSEC);
	publish(0, 0, "a");
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_FAILED);
	ck_reason(0, "could not be sent within 0.3 seconds");
	ck_reason(0, "Connection refused");
	ck_assert_uint_ge(seen.states[BROKER_WAITING], 1);
	publish(0, 1, "a");
	ck_assert_int_eq(publisher_stop(publisher, 5 * USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_result(1, PUBLISH_FAILED);
	ck_assert_uint_eq(seen.done_after_stop, 0);
}
END_TEST

START_TEST(stop_sends_what_was_posted_and_waits_for_confirms) {
	struct publication *p;

	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	ck_until(seen.state == BROKER_UP);
	/* Neither the channels are open nor the queue declared when the stop comes. */
	post(make_delayed(0, "work.retry.10000"));
	publish(1, 1, "b");
	ck_assert_int_eq(publisher_stop(publisher, 10 * USEC_PER_SEC), 0);
	p = make(0, 2, "dead", "c", 5);
	ck_assert_int_eq(publisher_publish(publisher, p), -ENOTCONN);
	ck_assert_ptr_nonnull(p->message);
	ck_assert_ptr_null(publication_free(p));
	ck_until(atomic_load(&fake.published) == 2);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_int_eq(seen.state, BROKER_UP);
	fake_ack(&fake, LANE0, 1, false);
	fake_ack(&fake, LANE1, 1, false);
	ck_until(seen.state == BROKER_STOPPED);
	ck_result(0, PUBLISH_CONFIRMED);
	ck_result(1, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(seen.done_after_stop, 0);
	ck_assert_uint_eq(atomic_load(&fake.closes), 1);
}
END_TEST

/* Without a connection, or while it is blocked, there is nothing to wait for. */
START_TEST(stop_fails_at_once_what_cannot_be_sent) {
	atomic_store(&fake.hold_confirms, true);
	atomic_store(&fake.hold_declares, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(1, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	post(make_delayed(1, "work.retry.10000"));
	ck_assert_int_eq(publisher_stop(publisher, 10 * USEC_PER_SEC), 0);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 0);
	fake_block(&fake, true);
	ck_until(seen.done == 1);
	ck_result(1, PUBLISH_FAILED);
	ck_assert_int_eq(seen.state, BROKER_UP);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.state == BROKER_STOPPED);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_assert_uint_eq(atomic_load(&fake.published), 1);
	ck_assert_uint_eq(seen.done_after_stop, 0);
}
END_TEST

START_TEST(stop_waits_for_so_long_and_no_longer) {
	uint64_t start_usec;

	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 100 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	start_usec = clock_now_usec();
	ck_assert_int_eq(publisher_stop(publisher, USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_lt(clock_now_usec() - start_usec, 5 * USEC_PER_SEC);
	ck_result(0, PUBLISH_UNCONFIRMED);
	ck_assert_uint_eq(seen.done_after_stop, 0);
	ck_assert_uint_eq(seen.emptied, 0);
}
END_TEST

/* The main thread does not wait for what the thread would have to say. */
START_TEST(stop_answers_for_what_the_thread_still_has) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 100 * USEC_PER_SEC);
	for (unsigned i = 0; i < 10; i++)
		publish(0, i, "a");
	ck_until(atomic_load(&fake.published) == 10);
	ck_assert_int_eq(publisher_stop(publisher, 0), 0);
	ck_until(seen.state == BROKER_STOPPED);
	for (unsigned i = 0; i < 10; i++)
		ck_result(i, PUBLISH_UNCONFIRMED);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 10);
	ck_assert_uint_eq(seen.done_after_stop, 0);
}
END_TEST

START_TEST(stop_answers_for_what_was_not_called_back) {
	unsigned confirmed = 0;

	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 100 * USEC_PER_SEC);
	for (unsigned i = 0; i < 150; i++)
		publish(0, i, "a");
	ck_until(atomic_load(&fake.published) == 150);
	seen.stop_in_callback = true;
	fake_ack(&fake, LANE0, 150, true);
	usleep(300000);
	ck_until(seen.state == BROKER_STOPPED);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 150);
	ck_assert_uint_eq(seen.done_after_stop, 0);
	for (unsigned i = 0; i < 150; i++) {
		ck_assert_uint_eq(seen.times[i], 1);
		confirmed += seen.results[i] == PUBLISH_CONFIRMED;
	}
	ck_assert_uint_gt(confirmed, 0);
	ck_assert_uint_gt(seen.emptied, 0);
	ck_assert_uint_eq(confirmed + seen.emptied, 150);
}
END_TEST

START_TEST(free_frees_what_is_under_way) {
	atomic_store(&fake.hold_confirms, true);
	start(fake.port, 10 * USEC_PER_SEC);
	publish(0, 0, "a");
	ck_until(atomic_load(&fake.published) == 1);
	post(make(1, 1, "dead", "large", 5000000));
	publish(0, 2, "b");
	publisher = publisher_free(publisher);
	ck_assert_uint_eq(seen.done, 0);
}
END_TEST

START_TEST(free_may_be_called_by_a_callback) {
	seen.free_in_callback = true;
	start(fake.port, 10 * USEC_PER_SEC);
	for (unsigned i = 0; i < 5; i++)
		publish(0, i, "a");
	ck_until(seen.done == 1);
	turn_for(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.done, 1);
	ck_assert_ptr_null(publisher);
}
END_TEST

START_TEST(main_thread_that_stalls_is_not_the_brokers_silence) {
	start(fake.port, 1500 * USEC_PER_MSEC);
	ck_until(seen.state == BROKER_UP);
	for (unsigned i = 0; i < 60; i++)
		publish(0, i, "a");
	/* Nobody takes the answers out of the mailbox. */
	usleep(2500000);
	ck_until(seen.done == 60);
	for (unsigned i = 0; i < 60; i++)
		ck_result(i, PUBLISH_CONFIRMED);
}
END_TEST

START_TEST(lanes_are_shared_beyond_a_limit_and_used_again) {
	start(fake.port, 10 * USEC_PER_SEC);
	for (uint32_t i = 2; i < PUBLISHER_LANES_MAX; i++)
		ck_assert_uint_eq(publisher_add_lane(publisher), i);
	publish(1, 0, "first owner");
	ck_until(seen.done == 1);
	publisher_free_lane(publisher, 7);
	publisher_free_lane(publisher, 1);
	ck_assert_uint_eq(publisher_add_lane(publisher), 1);
	ck_assert_uint_eq(publisher_add_lane(publisher), 7);
	/* From here on each has a user already, and two later. */
	ck_assert_uint_eq(publisher_add_lane(publisher), 0);
	ck_assert_uint_eq(publisher_add_lane(publisher), 1);
	publisher_free_lane(publisher, 0);
	ck_assert_uint_eq(publisher_add_lane(publisher), 0);
	publisher_free_lane(publisher, 9);
	ck_assert_uint_eq(publisher_add_lane(publisher), 9);
	for (uint32_t i = 2; i < PUBLISHER_LANES_MAX; i++)
		ck_assert_uint_eq(publisher_add_lane(publisher), i);
	ck_assert_uint_eq(publisher_add_lane(publisher), 0);
	/* The users of before still have it. */
	publisher_free_lane(publisher, 1);
	publish(1, 1, "second owner");
	publish(7, 2, "another");
	ck_until(seen.done == 3);
	for (unsigned i = 0; i < 3; i++)
		ck_result(i, PUBLISH_CONFIRMED);
	ck_assert_uint_eq(fake.channels[0], LANE1);
	ck_assert_uint_eq(fake.channels[1], LANE1);
	ck_assert_uint_eq(fake.channels[2], LANE0 + 7);
	/* The channel of the first owner was still open. */
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
}
END_TEST

/* Lanes of which the broker has no channel go by those that it has: what was published before that is known, and after.
 */
START_TEST(broker_allows_fewer_channels) {
	fake.channel_max = 1 + 2;
	atomic_store(&fake.deaf, true);
	start(fake.port, 10 * USEC_PER_SEC);
	for (uint32_t i = 2; i < 5; i++)
		ck_assert_uint_eq(publisher_add_lane(publisher), i);
	for (unsigned i = 0; i < 5; i++)
		publish(i, i, "before");
	ck_until(atomic_load(&fake.connections) == 1);
	ck_assert_uint_eq(seen.states[BROKER_UP], 0);
	turn_for(200 * USEC_PER_MSEC);
	atomic_store(&fake.deaf, false);
	ck_until(seen.done == 5);
	for (unsigned i = 0; i < 5; i++)
		publish(4 - i, 5 + i, "after");
	ck_until(seen.done == 10);
	for (unsigned i = 0; i < 10; i++) {
		ck_result(i, PUBLISH_CONFIRMED);
		ck_assert_uint_ge(fake.channels[i], LANE0);
		ck_assert_uint_le(fake.channels[i], LANE1);
	}
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
}
END_TEST

/* There is one, and it is for declarations. */
START_TEST(broker_allows_one_channel) {
	fake.channel_max = 1;
	start(fake.port, 10 * USEC_PER_SEC);
	ck_until(seen.state == BROKER_UP);
	publish(1, 0, "a");
	ck_until(seen.done == 1);
	ck_result(0, PUBLISH_FAILED);
	ck_assert_str_eq(seen.reasons[0], "the broker allows 1 channels on a connection, and this needs number 3");
}
END_TEST

START_TEST(results_have_names) {
	ck_assert_str_eq(publish_result_to_string(PUBLISH_CONFIRMED), "confirmed");
	ck_assert_str_eq(publish_result_to_string(PUBLISH_UNCONFIRMED), "unconfirmed");
	ck_assert_str_eq(publish_result_to_string((enum publish_result)99), "unknown");
	ck_assert_ptr_null(publication_free(NULL));
	ck_assert_ptr_null(publisher_free(NULL));
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *with = tcase_create("with a broker");
	TCase *without = tcase_create("without a broker");

	tcase_add_checked_fixture(with, setup_fake, teardown_fake);
	tcase_set_timeout(with, 60);
	tcase_add_test(with, what_is_confirmed_is_done_in_order);
	tcase_add_test(with, bodies_arrive_whole);
	tcase_add_test(with, large_message_does_not_hold_up_another_lane);
	tcase_add_test(with, confirms_come_in_any_order_and_several_at_once);
	tcase_add_test(with, channel_that_refused_something_is_given_up_when_it_is_quiet);
	tcase_add_test(with, confirm_of_what_was_never_published_ends_the_connection);
	tcase_add_test(with, returned_message_is_not_confirmed_by_its_ack);
	tcase_add_test(with, whatever_may_have_been_returned_is_returned);
	tcase_add_test(with, late_confirm_is_ignored);
	tcase_add_test(with, channel_error_of_one_message_is_its_own);
	tcase_add_test(with, channel_error_of_several_leaves_them_unconfirmed_and_those_that_wait_alone);
	tcase_add_test(with, other_channel_errors_tell_nothing_about_a_message);
	tcase_add_test(with, message_that_was_given_up_may_be_the_one_that_was_refused);
	tcase_add_test(with, message_half_sent_is_sent_again);
	tcase_add_test(with, channel_flow_is_waited_for_in_peace);
	tcase_add_test(with, blocked_connection_stops_sending_and_the_clock);
	tcase_add_test(with, blocked_in_the_middle_of_a_message);
	tcase_add_test(with, broker_that_takes_nothing_is_left);
	tcase_add_test(with, lost_connection_unconfirms_what_was_sent);
	tcase_add_test(with, what_cannot_be_sent_fails_and_hurts_nothing);
	tcase_add_test(with, delay_queue_is_declared_once);
	tcase_add_test(with, delay_queues_are_declared_again_after_an_alarm);
	tcase_add_test(with, delay_queue_that_was_returned_is_declared_again);
	tcase_add_test(with, refused_declaration_fails_those_that_need_it);
	tcase_add_test(with, silence_about_a_declaration_is_noticed);
	tcase_add_test(with, silence_about_a_channel_is_noticed);
	tcase_add_test(with, stop_sends_what_was_posted_and_waits_for_confirms);
	tcase_add_test(with, stop_fails_at_once_what_cannot_be_sent);
	tcase_add_test(with, stop_waits_for_so_long_and_no_longer);
	tcase_add_test(with, stop_answers_for_what_the_thread_still_has);
	tcase_add_test(with, stop_answers_for_what_was_not_called_back);
	tcase_add_test(with, free_frees_what_is_under_way);
	tcase_add_test(with, free_may_be_called_by_a_callback);
	tcase_add_test(with, main_thread_that_stalls_is_not_the_brokers_silence);
	tcase_add_test(with, lanes_are_shared_beyond_a_limit_and_used_again);
	tcase_add_test(with, broker_allows_fewer_channels);
	tcase_add_test(with, broker_allows_one_channel);
	tcase_add_checked_fixture(without, setup, teardown);
	tcase_add_test(without, without_a_connection_it_fails_in_time);
	tcase_add_test(without, results_have_names);
	suite_add_tcase(suite, with);
	suite_add_tcase(suite, without);
}

CHECK_MAIN("publisher", add_cases)
