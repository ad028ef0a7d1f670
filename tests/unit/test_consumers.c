/* SPDX-License-Identifier: MIT */
/* Consumers that come and go while a broker's connection is up, down or being closed. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker_loop.h"
#include "config_files.h"
#include "fake_broker.h"

#define HELD_MAX 256
#define WATCHED 3

/* A consumer, and what was called back for it. */
struct watched {
	struct consumer *consumer;
	struct message *held[HELD_MAX];
	unsigned messages;
	unsigned losts;
	unsigned unsettled;
	unsigned cancelled;
	unsigned states[CONSUMER_FAILED + 1];
	unsigned no_number; /* reports that say so */
	unsigned calls; /* all of these */
	/* Which callback frees every consumer there is. */
	bool free_on_message;
	bool free_on_consuming;
	bool free_on_lost;
	bool free_on_cancelled;
};

static struct fake_broker fake;
static struct config *config;
static struct broker *broker;
static struct watched watched[WATCHED];
static struct watched *const one = &watched[0];
static struct watched *const two = &watched[1];
static struct watched *const three = &watched[2];

static struct {
	unsigned states[BROKER_STOPPED + 1];
	bool free_on_waiting;
} seen;

static void free_all(void) {
	for (unsigned i = 0; i < WATCHED; i++)
		watched[i].consumer = consumer_free(watched[i].consumer);
}

static void on_state(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata) {
	seen.states[state]++;
	if (state == BROKER_WAITING && seen.free_on_waiting)
		free_all();
}

static void on_message(struct message *m, void *userdata) {
	struct watched *w = userdata;

	ck_assert_uint_lt(w->messages, HELD_MAX);
	w->held[w->messages++] = m;
	w->calls++;
	if (w->free_on_message)
		free_all();
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	struct watched *w = userdata;

	w->states[state]++;
	w->calls++;
	w->no_number += report->no_number;
	if (state == CONSUMER_CONSUMING && w->free_on_consuming)
		free_all();
}

static void on_lost(uint64_t epoch, void *userdata) {
	struct watched *w = userdata;

	w->losts++;
	w->calls++;
	if (w->free_on_lost)
		free_all();
}

static void on_unsettled(struct message *m, void *userdata) {
	struct watched *w = userdata;

	w->unsettled++;
	w->calls++;
	message_free(m);
}

static void on_cancelled(void *userdata) {
	struct watched *w = userdata;

	w->cancelled++;
	w->calls++;
	if (w->free_on_cancelled)
		free_all();
}

static const struct broker_callbacks broker_callbacks = {.state = on_state};
static const struct consumer_callbacks consumer_callbacks = {
	.message = on_message,
	.state = on_consumer_state,
	.lost = on_lost,
	.unsettled = on_unsettled,
	.cancelled = on_cancelled,
};

/* The queues are "work" and "more"; "bound" goes through every step there is. */
static struct config *load_tree(uint16_t port, unsigned max_message_size) {
	char text[1024];

	(void)snprintf(
		text, sizeof(text),
		"broker = { url = \"amqp://guest:guest@127.0.0.1:%u\"; connect_timeout = 10;\n"
		"  reconnect = { min_delay = 0.05; max_delay = 0.2; }; };\n"
		"limits = { max_message_size = %u; };\n"
		"monitor = { queue_interval = 0; };\n"
		"defaults = { prefetch = 20; handler = { command = [ \"/bin/true\" ]; }; };\n"
		"queues = ( { name = \"work\"; }, { name = \"more\"; },\n"
		"  { name = \"bound\"; declare = { };\n"
		"    bindings = ( { exchange = \"events\"; exchange_type = \"topic\"; routing_keys = [ \"a\" ]; } ); } );\n",
		port, max_message_size);
	return load_text(text);
}

static void start_broker(uint16_t port) {
	config = load_tree(port, 1000);
	ck_assert_int_eq(broker_new(event, config, &config->brokers[0], &broker_callbacks, NULL, &broker), 0);
}

static int add(struct watched *w, unsigned queue) {
	return broker_add_consumer(broker, config, &config->queues[queue], &consumer_callbacks, w, &w->consumer);
}

static void start(struct watched *w, unsigned queue) {
	ck_assert_int_eq(add(w, queue), 0);
	ck_assert_int_eq(consumer_consume(w->consumer, 8), 0);
}

static void settle(struct watched *w, unsigned number, enum verdict verdict) {
	ck_assert_int_eq(consumer_settle(w->consumer, w->held[number - 1], verdict), 0);
	w->held[number - 1] = NULL;
}

static void forget(struct watched *w) {
	for (unsigned i = 0; i < HELD_MAX; i++)
		message_free(w->held[i]);
	*w = (struct watched){0};
}

/* What is done in between, the thread finds all at once. `waker` wants what it wanted before. */
static void hold_thread(struct watched *waker, bool consumes) {
	atomic_store(&held, false);
	atomic_store(&hold, true);
	ck_assert_int_eq(consumes ? consumer_consume(waker->consumer, 8) : consumer_cancel(waker->consumer), 0);
	ck_until_stalled(atomic_load(&held));
}

static void release_thread(void) {
	atomic_store(&hold, false);
}

/* A new consumer's channel has this number, one day: it is free again when the thread has told the main thread so, which
 * nobody else is told. */
static void start_on_channel(struct watched *w, unsigned queue, unsigned channel) {
	uint64_t until = clock_now_usec() + PATIENCE_USEC;

	for (;;) {
		unsigned opens = atomic_load(&fake.opens);

		start(w, queue);
		ck_until(atomic_load(&fake.opens) > opens);
		if (atomic_load(&fake.opened) == channel)
			return;
		ck_assert_uint_lt(clock_now_usec(), until);
		w->consumer = consumer_free(w->consumer);
		forget(w);
		turn_for(20 * USEC_PER_MSEC);
	}
}

static void setup(void) {
	scratch_setup();
	fake = (struct fake_broker){0};
	memset(&seen, 0, sizeof(seen));
	memset(watched, 0, sizeof(watched));
	ck_assert_int_ge(sd_event_new(&event), 0);
	fake_start(&fake);
}

static void teardown(void) {
	release_thread();
	broker = broker_free(broker);
	for (unsigned i = 0; i < WATCHED; i++)
		forget(&watched[i]);
	config = config_unref(config);
	event = sd_event_unref(event);
	fake_stop(&fake);
	ck_assert_uint_eq(atomic_load(&fake.unknown_tags), 0);
	scratch_teardown();
}

START_TEST(consumers_are_added_while_the_connection_is_up) {
	fake.deliveries = 2;
	start_broker(fake.port);
	ck_until(seen.states[BROKER_UP] == 1);
	start(one, 0);
	ck_until(one->messages == 2);
	start(two, 1);
	start(three, 2);
	ck_until(two->messages == 2 && three->messages == 2);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	ck_assert_str_eq(fake.declared[1], "more");
	ck_assert_str_eq(fake.declared[2], "bound");
	settle(one, 1, VERDICT_ACK);
	ck_until(atomic_load(&fake.settled) == 1);
	settle(two, 2, VERDICT_REQUEUE);
	ck_until(atomic_load(&fake.settled) == 2);
	settle(three, 1, VERDICT_ACK);
	ck_until(atomic_load(&fake.settled) == 3);
	ck_assert_str_eq(fake.told, "ack 1, 2: reject 2, 3: ack 1");
	ck_assert_uint_eq(one->losts + two->losts + three->losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

START_TEST(what_was_settled_is_sent_before_the_channel_is_closed) {
	unsigned calls;

	fake.deliveries = 6;
	fake.deliver_on_close = true;
	start_broker(fake.port);
	start(one, 0);
	ck_until(one->messages == 6);
	start(two, 1);
	ck_until(two->messages == 6);
	calls = one->calls;
	hold_thread(two, true);
	settle(one, 2, VERDICT_ACK);
	settle(one, 1, VERDICT_ACK);
	settle(one, 4, VERDICT_REQUEUE);
	settle(one, 5, VERDICT_ACK);
	one->consumer = consumer_free(one->consumer);
	ck_assert_ptr_null(one->consumer);
	settle(two, 1, VERDICT_ACK);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 5);
	ck_assert_str_eq(fake.told, "ack ..2, reject 4, ack 5, close, 2: ack 1");
	/* The rest is the broker's again: 3 and 6, and what it sent when it did not know yet. */
	start_on_channel(three, 2, 1);
	ck_until(three->messages == 6);
	ck_assert_uint_eq(one->calls, calls);
	ck_assert_uint_eq(two->losts + two->unsettled, 0);
	ck_assert_uint_eq(two->messages, 6);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

START_TEST(cancel_stays_ahead_of_what_was_settled_after_it) {
	fake.deliveries = 3;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 3 && two->messages == 3);
	hold_thread(two, true);
	ck_assert_int_eq(consumer_cancel(one->consumer), 0);
	settle(one, 2, VERDICT_RETURN);
	/* Means nothing any more. */
	ck_assert_int_eq(consumer_consume(one->consumer, 8), 0);
	one->consumer = consumer_free(one->consumer);
	release_thread();
	ck_until(atomic_load(&fake.channel_closes) == 1);
	ck_assert_str_eq(fake.told, "cancel, nack 2, close");
	start_on_channel(three, 2, 1);
	ck_assert_uint_eq(one->cancelled, 0);
	ck_assert_uint_eq(one->messages, 3);
}
END_TEST

START_TEST(wish_of_a_consumer_that_is_gone_is_void) {
	unsigned calls;

	start_broker(fake.port);
	ck_until(seen.states[BROKER_UP] == 1);
	ck_assert_int_eq(add(one, 0), 0);
	ck_assert_int_eq(add(two, 1), 0);
	ck_assert_int_eq(consumer_cancel(one->consumer), 0);
	ck_until(one->cancelled == 1);
	calls = one->calls;
	hold_thread(two, false);
	ck_assert_int_eq(consumer_consume(one->consumer, 8), 0);
	one->consumer = consumer_free(one->consumer);
	/* Another one comes and goes before the thread knows of it. */
	start(three, 2);
	three->consumer = consumer_free(three->consumer);
	release_thread();
	ck_until(two->cancelled == 1);
	ck_assert_int_eq(consumer_consume(two->consumer, 8), 0);
	ck_until(two->states[CONSUMER_CONSUMING] == 1);
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
	ck_assert_uint_eq(one->calls, calls);
	ck_assert_uint_eq(three->calls, 0);
}
END_TEST

/* What the broker is asked, step by step. */
static const unsigned steps[] = {
	FAKE_CHANNEL_OPEN, FAKE_EXCHANGE_DECLARE, FAKE_QUEUE_DECLARE, FAKE_QUEUE_BIND,
	FAKE_BASIC_QOS,    FAKE_BASIC_CONSUME,    FAKE_BASIC_CANCEL,
};

/* Its answer is under way when the channel is closed. */
START_TEST(removed_while_an_answer_is_awaited) {
	unsigned method = steps[_i];
	unsigned calls;

	start_broker(fake.port);
	start(two, 1);
	ck_until(two->states[CONSUMER_CONSUMING] == 1);
	atomic_store(&fake.hold_method, method);
	start(one, 2);
	if (method == FAKE_BASIC_CANCEL) {
		ck_until(one->states[CONSUMER_CONSUMING] == 1);
		ck_assert_int_eq(consumer_cancel(one->consumer), 0);
	}
	ck_until(atomic_load(&fake.late) == method);
	calls = one->calls;
	one->consumer = consumer_free(one->consumer);
	ck_until(atomic_load(&fake.channel_closes) == 1);
	start_on_channel(three, 2, 2);
	ck_until(three->states[CONSUMER_CONSUMING] == 1);
	ck_assert_uint_eq(atomic_load(&fake.late), 0);
	ck_assert_uint_eq(one->calls, calls);
	ck_assert_uint_eq(two->losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

/* Its answer does not come, the channel is given up, and that is not answered either at first. */
START_TEST(removed_while_its_channel_is_closing) {
	start_broker(fake.port);
	start(two, 1);
	ck_until(two->states[CONSUMER_CONSUMING] == 1);
	atomic_store(&fake.hold_method, FAKE_BASIC_QOS);
	start(one, 0);
	ck_until(atomic_load(&fake.late) == FAKE_BASIC_QOS);
	atomic_store(&fake.late, 0);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	atomic_fetch_add(&clock_skew, 40);
	ck_assert_int_eq(consumer_consume(two->consumer, 8), 0);
	ck_until(one->states[CONSUMER_FAILED] == 1);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	one->consumer = consumer_free(one->consumer);
	/* Its number is not free yet. */
	start(three, 0);
	ck_until(three->states[CONSUMER_CONSUMING] == 1);
	ck_assert_uint_eq(atomic_load(&fake.opened), 3);
	ck_assert_uint_eq(atomic_load(&fake.channel_closes), 1);
	ck_assert(fake_answer_late(&fake, atomic_load(&fake.client_fd)));
	forget(one);
	start_on_channel(one, 0, 2);
	ck_until(one->states[CONSUMER_CONSUMING] == 1);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

START_TEST(number_is_used_again_when_the_broker_has_confirmed_the_end) {
	fake.deliveries = 1;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 1 && two->messages == 1);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	one->consumer = consumer_free(one->consumer);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	turn_for(50 * USEC_PER_MSEC);
	start(three, 0);
	ck_until(three->messages == 1);
	ck_assert_uint_eq(atomic_load(&fake.opened), 3);
	ck_assert(fake_answer_late(&fake, atomic_load(&fake.client_fd)));
	forget(one);
	start_on_channel(one, 0, 1);
	ck_until(one->messages == 1);
	settle(one, 1, VERDICT_ACK);
	ck_until(atomic_load(&fake.settled) == 1);
	ck_assert_uint_eq(two->losts + three->losts, 0);
}
END_TEST

START_TEST(connection_is_lost_while_the_channel_is_closing) {
	unsigned calls;

	fake.deliveries = 1;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 1 && two->messages == 1);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	calls = one->calls;
	one->consumer = consumer_free(one->consumer);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	atomic_store(&fake.late, 0);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(two->messages == 2);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	start_on_channel(three, 2, 1);
	ck_until(three->messages == 1);
	ck_assert_uint_eq(one->calls, calls);
}
END_TEST

/* The broker closes the channel, too, at the same time. */
START_TEST(both_sides_close_at_once) {
	fake.deliveries = 2;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 2 && two->messages == 2);
	hold_thread(two, true);
	fake_close_channel(&fake, 1, 406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out.");
	settle(one, 1, VERDICT_ACK);
	one->consumer = consumer_free(one->consumer);
	release_thread();
	start_on_channel(three, 0, 1);
	ck_until(three->messages == 2);
	ck_assert_uint_eq(one->losts + one->unsettled + two->losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

/* The first configuration's broker goes on with a queue of the second, which nobody else has any more. */
START_TEST(consumer_keeps_its_configuration) {
	struct config *other;

	fake.deliveries = 1;
	start_broker(fake.port);
	start(one, 0);
	ck_until(one->messages == 1);
	other = load_tree(fake.port, 3);
	ck_assert_int_eq(broker_add_consumer(broker, other, &other->queues[2], &consumer_callbacks, two,
					     &two->consumer),
			 0);
	other = config_unref(other);
	ck_assert_int_eq(consumer_consume(two->consumer, 8), 0);
	ck_until(two->messages == 1);
	/* "hello" is too large there, and there only. */
	ck_assert_int_eq(two->held[0]->body_state, BODY_TOO_LARGE);
	ck_assert_int_eq(one->held[0]->body_state, BODY_COMPLETE);
	ck_assert_str_eq(fake.declared[1], "bound");
	config = config_unref(config);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(one->messages == 2 && two->messages == 2);
	ck_assert_uint_eq(atomic_load(&fake.declares), 4);
	two->consumer = consumer_free(two->consumer);
	ck_until(atomic_load(&fake.channel_closes) == 1);
	settle(one, 2, VERDICT_ACK);
	ck_until(atomic_load(&fake.settled) == 1);
}
END_TEST

START_TEST(removed_while_there_is_no_connection) {
	fake.deliveries = 1;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 1 && two->messages == 1);
	atomic_store(&fake.refuse_login, true);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.states[BROKER_WAITING] >= 2);
	two->consumer = consumer_free(two->consumer);
	turn_for(50 * USEC_PER_MSEC);
	atomic_store(&fake.refuse_login, false);
	ck_until(one->messages == 2);
	turn_for(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	ck_assert_uint_eq(two->losts, 1);
	ck_assert_uint_eq(two->messages, 1);
	ck_assert_uint_eq(atomic_load(&fake.channel_closes), 0);
	forget(two);
	start_on_channel(two, 1, 2);
}
END_TEST

/* Whoever calls back, and whatever is still to be handed out. */
START_TEST(callback_may_free_its_own_consumer_and_others) {
	struct watched *who = _i % 2 ? two : one;
	unsigned calls;

	fake.deliveries = 20;
	who->free_on_message = _i / 2 == 0;
	who->free_on_consuming = _i / 2 == 1;
	who->free_on_cancelled = _i / 2 == 2;
	who->free_on_lost = _i / 2 == 3;
	seen.free_on_waiting = _i / 2 == 4;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	if (_i / 2 >= 2)
		ck_until(one->messages == 20 && two->messages == 20);
	if (_i / 2 == 2) {
		ck_assert_int_eq(consumer_cancel(one->consumer), 0);
		ck_assert_int_eq(consumer_cancel(two->consumer), 0);
	} else if (_i / 2 > 2) {
		(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	}
	ck_until(!one->consumer && !two->consumer);
	calls = one->calls + two->calls;
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(one->calls + two->calls, calls);
	if (who->free_on_message)
		ck_assert_uint_eq(who->messages, 1);
	/* The broker is as good as new. */
	start_on_channel(three, 2, 1);
	ck_until(three->messages == 20);
	settle(three, 20, VERDICT_ACK);
	ck_until(atomic_load(&fake.settled) == 1);
}
END_TEST

START_TEST(removed_while_the_connection_is_being_closed) {
	fake.deliveries = 2;
	start_broker(fake.port);
	start(one, 0);
	start(two, 1);
	ck_until(one->messages == 2 && two->messages == 2);
	hold_thread(two, true);
	settle(one, 1, VERDICT_ACK);
	ck_assert_int_eq(broker_stop(broker, 10 * USEC_PER_SEC), 0);
	one->consumer = consumer_free(one->consumer);
	release_thread();
	ck_until(seen.states[BROKER_STOPPED] == 1);
	ck_assert_uint_eq(atomic_load(&fake.acks), 1);
	ck_assert_uint_eq(atomic_load(&fake.closes), 1);
	ck_assert_uint_eq(one->losts, 0);
	ck_assert_uint_eq(two->losts, 1);
	/* And afterwards. */
	two->consumer = consumer_free(two->consumer);
	ck_assert_ptr_null(consumer_free(NULL));
	ck_assert_int_eq(add(three, 0), -ENOTCONN);
}
END_TEST

/* The thread takes nothing out of its mailbox, which is full: that ends the connection, and the consumers all the same. */
START_TEST(removed_while_the_mailbox_is_full) {
	unsigned n = 0;
	int r = 0;

	fake.deliveries = 200;
	start_broker(fake.port);
	start(one, 0);
	ck_assert_int_eq(add(two, 1), 0);
	ck_until(one->messages == 200);
	hold_thread(two, false);
	while (r == 0 && n < 200)
		r = consumer_settle(one->consumer, TAKE(one->held[n]), VERDICT_ACK), n++;
	ck_assert_int_eq(r, -ENOBUFS);
	/* 64, and for each consumer 9 and twice its prefetch; the one that did not fit, and the wish that woke the thread. */
	ck_assert_uint_ge(n, 64 + 2 * 49);
	ck_assert_uint_le(n, 64 + 2 * 49 + 1);
	one->consumer = consumer_free(one->consumer);
	two->consumer = consumer_free(two->consumer);
	release_thread();
	ck_until(seen.states[BROKER_UP] == 2);
	start_on_channel(three, 2, 1);
	ck_until(three->messages == 200);
	ck_assert_uint_eq(one->unsettled, 0);
	/* There is room for one consumer now. */
	forget(two);
	hold_thread(three, true);
	for (n = 0, r = 0; r == 0 && n < 200; n++)
		r = consumer_settle(three->consumer, TAKE(three->held[n]), VERDICT_ACK);
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_uint_ge(n, 64 + 48);
	ck_assert_uint_le(n, 64 + 48 + 1);
	release_thread();
}
END_TEST

/* One for each channel that RabbitMQ allows. */
START_TEST(consumers_have_a_limit) {
	start_broker(fake.port);
	start(one, 0);
	for (unsigned i = 1; i < BROKER_CONSUMERS_MAX; i++)
		ck_assert_int_eq(add(two, 1), 0);
	ck_assert_int_eq(add(three, 0), -ENOBUFS);
	ck_until(one->states[CONSUMER_CONSUMING] == 1);
	two->consumer = consumer_free(two->consumer);
	/* The place is free when the thread says so, and not before. */
	ck_assert_int_eq(add(three, 0), -ENOBUFS);
	ck_until(add(three, 0) == 0);
	ck_assert_int_eq(add(two, 0), -ENOBUFS);
}
END_TEST

/* One whose number is too high says so, and does not try again by itself; another one takes a number that is free by
 * then. What fails for other reasons does not say so. */
START_TEST(broker_allows_fewer_channels) {
	fake.channel_max = 1;
	fake.deliveries = 2;
	fake.missing_queue_once = true;
	start_broker(fake.port);
	start(one, 0);
	ck_until(one->states[CONSUMER_FAILED] == 1);
	ck_assert_uint_eq(one->no_number, 0);
	ck_until(one->states[CONSUMER_CONSUMING] == 1);
	start(two, 1);
	ck_until(two->states[CONSUMER_FAILED] == 1);
	ck_assert_uint_eq(two->no_number, 1);
	one->consumer = consumer_free(one->consumer);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(two->states[CONSUMER_CONSUMING], 0);
	two->consumer = consumer_free(two->consumer);
	start_on_channel(three, 1, 1);
	ck_until(three->messages == 2);
	ck_assert_uint_eq(three->no_number, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

/* Faster than the broker can answer. */
START_TEST(many_come_and_go) {
	fake.deliveries = 2;
	start_broker(fake.port);
	start(one, 0);
	for (unsigned i = 0; i < 300; i++) {
		start(two, 1 + i % 2);
		/* Some have only been made, some are at work. Each that is awaited comes after the ends of those before, so that
		 * the fake has a channel for all. */
		if (i % 10 == 9)
			ck_until(two->messages == 2);
		for (unsigned k = 0; two->messages == 2 && k < 2; k++)
			settle(two, k + 1, VERDICT_ACK);
		two->consumer = consumer_free(two->consumer);
		forget(two);
		if (i % 10 >= 7)
			turn_for(2 * USEC_PER_MSEC);
	}
	ck_until(atomic_load(&fake.settled) == 60);
	start_on_channel(two, 1, 2);
	ck_until(two->messages == 2);
	ck_assert_uint_eq(one->messages, 2);
	ck_assert_uint_eq(one->losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

int main(void) {
	Suite *s = suite_create("consumers");
	TCase *t = tcase_create("with a broker");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, consumers_are_added_while_the_connection_is_up);
	tcase_add_test(t, what_was_settled_is_sent_before_the_channel_is_closed);
	tcase_add_test(t, cancel_stays_ahead_of_what_was_settled_after_it);
	tcase_add_test(t, wish_of_a_consumer_that_is_gone_is_void);
	tcase_add_loop_test(t, removed_while_an_answer_is_awaited, 0, ARRAY_SIZE(steps));
	tcase_add_test(t, removed_while_its_channel_is_closing);
	tcase_add_test(t, number_is_used_again_when_the_broker_has_confirmed_the_end);
	tcase_add_test(t, connection_is_lost_while_the_channel_is_closing);
	tcase_add_test(t, both_sides_close_at_once);
	tcase_add_test(t, consumer_keeps_its_configuration);
	tcase_add_test(t, removed_while_there_is_no_connection);
	tcase_add_loop_test(t, callback_may_free_its_own_consumer_and_others, 0, 10);
	tcase_add_test(t, removed_while_the_connection_is_being_closed);
	tcase_add_test(t, removed_while_the_mailbox_is_full);
	tcase_add_test(t, consumers_have_a_limit);
	tcase_add_test(t, broker_allows_fewer_channels);
	tcase_add_test(t, many_come_and_go);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
