/* SPDX-License-Identifier: MIT */
/* How deep queues are: asked on a channel that disturbs nobody, told when it is news. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "broker/broker.h"
#include "broker_loop.h"
#include "config_files.h"
#include "fake_broker.h"

#define MANY 2000
#define OWN_CHANNEL 15 /* the highest one, where the broker allows so many */

/* A consumer, and what was called back for it. */
struct watched {
	struct consumer *consumer;
	struct queue_depth depth;
	unsigned told;          /* how often */
	unsigned told_nothing;  /* that the depth is unknown */
	unsigned told_no_depth; /* that it is 0 */
	unsigned losts;
	unsigned states[CONSUMER_FAILED + 1];
};

static struct fake_broker fake;
static struct config *config;
static struct broker *broker;
static struct watched watched[MANY];
static struct watched *const one = &watched[0];
static struct watched *const two = &watched[1];
static struct {
	unsigned states[BROKER_STOPPED + 1];
	unsigned no_depths;
	char reason[256];
} seen;

static void on_state(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata) {
	seen.states[state]++;
}

static void on_no_depths(struct broker *b, const char *reason, void *userdata) {
	seen.no_depths++;
	(void)snprintf(seen.reason, sizeof(seen.reason), "%s", reason);
}

static void on_message(struct message *m, void *userdata) {
	message_free(m);
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	((struct watched *)userdata)->states[state]++;
}

static void on_lost(uint64_t epoch, void *userdata) {
	((struct watched *)userdata)->losts++;
}

static void on_cancelled(void *userdata) {
}

static void on_depth(const struct queue_depth *depth, void *userdata) {
	struct watched *w = userdata;

	w->depth = *depth;
	w->told++;
	w->told_nothing += !depth->known;
	w->told_no_depth += depth->known && depth->messages_ready == 0;
}

static const struct broker_callbacks broker_callbacks = {.state = on_state, .no_depths = on_no_depths};
static const struct consumer_callbacks consumer_callbacks = {
	.message = on_message,
	.state = on_consumer_state,
	.lost = on_lost,
	.unsettled = on_message,
	.cancelled = on_cancelled,
	.depth = on_depth,
};

/* Depth 7, 2 consumers; the queues are "work", "more" and "else". */
static void start_broker(unsigned channel_max, const char *interval) {
	char text[1024];

	fake.channel_max = channel_max;
	atomic_store(&fake.depth, 7);
	atomic_store(&fake.consumers, 2);
	(void)snprintf(text, sizeof(text),
		       "broker = { url = \"amqp://guest:guest@127.0.0.1:%u\"; connect_timeout = 10;\n"
		       "  reconnect = { min_delay = 0.05; max_delay = 0.2; }; };\n"
		       "monitor = { queue_interval = \"%s\"; };\n"
		       "defaults = { prefetch = 20; handler = { command = [ \"/bin/true\" ]; }; };\n"
		       "queues = ( { name = \"work\"; }, { name = \"more\"; }, { name = \"else\"; } );\n",
		       fake.port, interval);
	config = load_text(text);
	ck_assert_int_eq(broker_new(event, config, &config->brokers[0], &broker_callbacks, NULL, &broker), 0);
}

static void add(struct watched *w, unsigned queue) {
	ck_assert_int_eq(
		broker_add_consumer(broker, config, &config->queues[queue], &consumer_callbacks, w, &w->consumer), 0);
}

static void start(struct watched *w, unsigned queue) {
	add(w, queue);
	ck_assert_int_eq(consumer_consume(w->consumer, 8), 0);
	ck_until(w->states[CONSUMER_CONSUMING] == 1);
}

static bool is_told(const struct watched *w, uint64_t ready) {
	return w->depth.known && w->depth.messages_ready == ready;
}

/* So many more questions have been asked. */
static void wait_questions(unsigned n) {
	unsigned before = atomic_load(&fake.declares);

	ck_until(atomic_load(&fake.declares) >= before + n);
}

/* Nobody but who asks has noticed anything. */
static void assert_undisturbed(void) {
	ck_assert_uint_eq(seen.states[BROKER_UP], 1);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(watched[i].losts, 0);
		ck_assert_uint_eq(watched[i].states[CONSUMER_FAILED], 0);
		ck_assert_uint_le(watched[i].states[CONSUMER_CONSUMING], 1);
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
	broker = broker_free(broker);
	config = config_unref(config);
	event = sd_event_unref(event);
	fake_stop(&fake);
	scratch_teardown();
}

START_TEST(queues_are_asked_whether_consumed_or_not) {
	start_broker(OWN_CHANNEL, "100ms");
	add(one, 0);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(one->depth.consumers, 2);
	ck_assert_uint_eq(atomic_load(&fake.opened), OWN_CHANNEL);
	start(two, 1);
	ck_until(is_told(two, 7));
	/* Only news is told. */
	wait_questions(6);
	ck_assert_uint_eq(one->told, 1);
	ck_assert_uint_eq(two->told, 1);
	atomic_store(&fake.consumers, 3);
	ck_until(one->depth.consumers == 3 && two->depth.consumers == 3);
	ck_assert_uint_eq(one->told, 2);
	/* Its own channel, and the one that consumes. */
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	assert_undisturbed();
}
END_TEST

START_TEST(queue_that_is_missing_is_unknown_until_it_is_back) {
	start_broker(OWN_CHANNEL, "100ms");
	start(one, 0);
	add(two, 1);
	ck_until(is_told(one, 7) && is_told(two, 7));
	atomic_store(&fake.missing_queue, "more");
	ck_until(!two->depth.known);
	atomic_store(&fake.depth, 8);
	ck_until(is_told(one, 8));
	/* The channel was opened anew for that. */
	ck_assert_uint_ge(atomic_load(&fake.opens), 3);
	ck_assert_uint_eq(atomic_load(&fake.opened), OWN_CHANNEL);
	atomic_store(&fake.missing_queue, NULL);
	ck_until(is_told(two, 8));
	ck_assert_uint_eq(two->told_nothing, 1);
	ck_assert_uint_eq(one->told_nothing, 0);
	assert_undisturbed();
}
END_TEST

/* The broker logs each refusal as an error. */
START_TEST(queue_that_stays_missing_is_asked_less_often) {
	unsigned opens, declares;

	atomic_store(&fake.missing_queue, "more");
	start_broker(OWN_CHANNEL, "100ms");
	add(one, 0);
	add(two, 1);
	ck_until(is_told(one, 7));
	ck_until(atomic_load(&fake.opens) >= 4);
	opens = atomic_load(&fake.opens);
	declares = atomic_load(&fake.declares);
	/* One question in nine is about it by now; the channel is opened after each of them. */
	wait_questions(27);
	opens = atomic_load(&fake.opens) - opens;
	declares = atomic_load(&fake.declares) - declares;
	ck_assert_msg(opens * 7 <= declares, "%u of %u", opens, declares);
	ck_assert(!two->depth.known);
	ck_assert_uint_eq(two->told, 0);
}
END_TEST

START_TEST(channel_is_closed_in_the_middle_of_a_question) {
	start_broker(OWN_CHANNEL, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	atomic_store(&fake.hold_declares, true);
	wait_questions(1);
	/* Nothing more is asked before that is answered. */
	turn_for(300 * USEC_PER_MSEC);
	/* Before the next question, which may come at once. */
	atomic_store(&fake.hold_declares, false);
	fake_close_channel(&fake, OWN_CHANNEL, 541, "INTERNAL_ERROR");
	ck_until(!one->depth.known);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(atomic_load(&fake.channel_closes), 0);
	assert_undisturbed();
}
END_TEST

START_TEST(answer_of_a_channel_that_was_given_up_is_void) {
	start_broker(OWN_CHANNEL, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	atomic_store(&fake.hold_method, FAKE_QUEUE_DECLARE);
	ck_until(atomic_load(&fake.late) == FAKE_QUEUE_DECLARE);
	/* Half a minute later. What was held back, with a depth of 0, comes before the answer to the close. */
	atomic_fetch_add(&clock_skew, 31);
	ck_assert_int_eq(consumer_consume(one->consumer, 8), 0);
	ck_until(!one->depth.known);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(atomic_load(&fake.channel_closes), 1);
	ck_assert_uint_eq(one->told_no_depth, 0);
	assert_undisturbed();
}
END_TEST

/* For as long as it takes: consumers have nothing to do with it. */
START_TEST(close_that_is_not_answered_costs_no_connection) {
	start_broker(OWN_CHANNEL, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	atomic_store(&fake.hold_declares, true);
	wait_questions(1);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	atomic_fetch_add(&clock_skew, 31);
	ck_assert_int_eq(consumer_consume(one->consumer, 8), 0);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	ck_until(!one->depth.known);
	atomic_store(&fake.hold_declares, false);
	atomic_fetch_add(&clock_skew, 40);
	ck_assert_int_eq(consumer_consume(one->consumer, 8), 0);
	turn_for(300 * USEC_PER_MSEC);
	ck_assert(!one->depth.known);
	ck_assert(fake_answer_late(&fake, atomic_load(&fake.client_fd)));
	ck_until(is_told(one, 7));
	assert_undisturbed();
}
END_TEST

START_TEST(no_channel_is_left) {
	start_broker(2, "100ms");
	start(one, 0);
	start(two, 1);
	ck_until(seen.no_depths == 1);
	ck_assert_str_eq(seen.reason, "the broker allows 2 channels on a connection, and all are in use");
	turn_for(500 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.no_depths, 1);
	ck_assert_uint_eq(one->told + two->told, 0);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	/* One is left. */
	two->consumer = consumer_free(two->consumer);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(atomic_load(&fake.opened), 2);
	assert_undisturbed();
}
END_TEST

/* Its number is asked for while its channel is open: the consumer gets it, as soon as the broker has let go of it. */
START_TEST(consumer_has_precedence) {
	start_broker(2, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(atomic_load(&fake.opened), 2);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	add(two, 1);
	ck_assert_int_eq(consumer_consume(two->consumer, 8), 0);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	turn_for(200 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	ck_assert(fake_answer_late(&fake, atomic_load(&fake.client_fd)));
	ck_until(two->states[CONSUMER_CONSUMING] == 1);
	ck_until(!one->depth.known && seen.no_depths == 1);
	ck_assert_uint_eq(atomic_load(&fake.opens), 3);
	assert_undisturbed();
}
END_TEST

/* Likewise, of one that comes and goes. */
START_TEST(consumer_that_waits_for_the_number_is_freed) {
	start_broker(2, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	atomic_store(&fake.hold_method, FAKE_CHANNEL_CLOSE);
	add(two, 1);
	ck_assert_int_eq(consumer_consume(two->consumer, 8), 0);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_CLOSE);
	two->consumer = consumer_free(two->consumer);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert(fake_answer_late(&fake, atomic_load(&fake.client_fd)));
	atomic_store(&fake.depth, 8);
	ck_until(is_told(one, 8));
	ck_assert_uint_eq(two->states[CONSUMER_CONSUMING], 0);
	assert_undisturbed();
}
END_TEST

/* As RabbitMQ does it where a user may have so many channels and no more. */
START_TEST(channel_too_many_costs_one_connection) {
	start_broker(OWN_CHANNEL, "1s");
	start(one, 0);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_OPEN);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_OPEN);
	fake_close_connection(&fake, 530, "NOT_ALLOWED - number of channels opened for user 'guest'");
	ck_until(seen.no_depths == 1);
	ck_assert_ptr_nonnull(strstr(seen.reason, "number of channels"));
	ck_until(one->states[CONSUMER_CONSUMING] == 2);
	turn_for(1500 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	ck_assert_uint_eq(seen.states[BROKER_UP], 2);
	ck_assert_uint_eq(one->told, 0);
	broker_set_queue_interval(broker, 200 * USEC_PER_MSEC);
	ck_until(is_told(one, 7));
}
END_TEST

/* It comes just then, and does not mean the channel. */
START_TEST(connection_closed_for_another_reason_is_asked_again) {
	start_broker(OWN_CHANNEL, "200ms");
	start(one, 0);
	atomic_store(&fake.hold_method, FAKE_CHANNEL_OPEN);
	ck_until(atomic_load(&fake.late) == FAKE_CHANNEL_OPEN);
	fake_close_connection(&fake, 320, "CONNECTION_FORCED - maintenance");
	ck_until(one->states[CONSUMER_CONSUMING] == 2);
	ck_until(is_told(one, 7));
	ck_assert_uint_eq(seen.no_depths, 0);
}
END_TEST

START_TEST(interval_changes_without_a_new_connection) {
	unsigned declares;

	start_broker(OWN_CHANNEL, "0");
	start(one, 0);
	declares = atomic_load(&fake.declares);
	turn_for(300 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.declares), declares);
	broker_set_queue_interval(broker, 100 * USEC_PER_MSEC);
	ck_until(is_told(one, 7));
	wait_questions(3);
	broker_set_queue_interval(broker, 0);
	ck_until(!one->depth.known);
	declares = atomic_load(&fake.declares);
	turn_for(300 * USEC_PER_MSEC);
	ck_assert_uint_eq(atomic_load(&fake.declares), declares);
	/* The first question does not wait for all of a long interval. */
	broker_set_queue_interval(broker, USEC_PER_MINUTE);
	ck_until(is_told(one, 7));
	assert_undisturbed();
}
END_TEST

START_TEST(nothing_is_known_without_a_connection) {
	start_broker(OWN_CHANNEL, "100ms");
	add(one, 0);
	add(two, 1);
	ck_until(is_told(one, 7) && is_told(two, 7));
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert(!one->depth.known && !two->depth.known);
	/* Although it is what was told before. */
	ck_until(is_told(one, 7) && is_told(two, 7));
	ck_assert_int_eq(broker_stop(broker, USEC_PER_SEC), 0);
	ck_until(seen.states[BROKER_STOPPED] == 1);
	ck_assert(!one->depth.known && !two->depth.known);
}
END_TEST

/* What cannot be told is asked again, and what is told is never old. */
START_TEST(main_thread_that_is_late_hears_the_last_answer) {
	start_broker(OWN_CHANNEL, "100ms");
	start(one, 0);
	ck_until(is_told(one, 7));
	for (unsigned i = 0; i < 5; i++) {
		unsigned declares = atomic_load(&fake.declares);

		atomic_store(&fake.depth, 100 + i);
		ck_until_stalled(atomic_load(&fake.declares) > declares + 1);
	}
	ck_until(is_told(one, 104));
	ck_assert_uint_le(one->told, 3);
	assert_undisturbed();
}
END_TEST

START_TEST(consumer_is_freed_while_it_is_told) {
	start_broker(OWN_CHANNEL, "100ms");
	start(two, 1);
	for (unsigned i = 0; i < 20; i++) {
		add(one, 0);
		ck_until_stalled(atomic_load(&fake.declares) > i);
		turn_for(i * 7 * USEC_PER_MSEC);
		one->consumer = consumer_free(one->consumer);
	}
	atomic_store(&fake.depth, 8);
	ck_until(is_told(two, 8));
	assert_undisturbed();
}
END_TEST

START_TEST(two_thousand_queues) {
	unsigned n = 0;

	start_broker(0, "1s");
	for (unsigned i = 0; i < MANY; i++)
		add(&watched[i], i % 3);
	ck_until(seen.states[BROKER_UP] == 1);
	/* By a channel above those of the consumers, of which there may be 2047, in RabbitMQ's default of channels. */
	for (unsigned i = 0; i < MANY; i++)
		ck_until(is_told(&watched[i], 7));
	ck_assert_uint_eq(atomic_load(&fake.opened), 2047);
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
	for (unsigned i = 0; i < MANY; i++)
		n += watched[i].told;
	ck_assert_uint_eq(n, MANY);
	assert_undisturbed();
}
END_TEST

static void add_cases(Suite *s) {
	ADD_FIXTURE_CASE(s, "depth", setup, teardown, queues_are_asked_whether_consumed_or_not,
			 queue_that_is_missing_is_unknown_until_it_is_back,
			 queue_that_stays_missing_is_asked_less_often, channel_is_closed_in_the_middle_of_a_question,
			 answer_of_a_channel_that_was_given_up_is_void, close_that_is_not_answered_costs_no_connection,
			 no_channel_is_left, consumer_has_precedence, consumer_that_waits_for_the_number_is_freed,
			 channel_too_many_costs_one_connection, connection_closed_for_another_reason_is_asked_again,
			 interval_changes_without_a_new_connection,
			 nothing_is_known_without_a_connection, main_thread_that_is_late_hears_the_last_answer,
			 consumer_is_freed_while_it_is_told, two_thousand_queues);
}

CHECK_MAIN("inspector", add_cases)
