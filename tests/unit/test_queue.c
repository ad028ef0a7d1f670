/* SPDX-License-Identifier: MIT */
/* What a queue takes of others, and gives back. Whatever it does with messages is shown by the black-box tests. */
#include <errno.h>
#include <signal.h>
#include <systemd/sd-event.h>

#include "broker_loop.h"
#include "config_files.h"
#include "delivery/queue.h"
#include "fake_broker.h"

/* Nobody listens there. */
#define BROKER "broker = { url = \"amqp://127.0.0.1:1\"; };\n"
/* At most. */
#define LANES_PER_QUEUE 4
#define HANDLER "handler = { command = [ \"/bin/true\" ]; };"

static struct fake_broker fake;
static struct config *config;
static struct broker *broker;
static struct publisher *publisher;
static struct executor *executor;
static struct dispatcher dispatcher;

static void on_broker_state(struct broker *b, enum broker_state s, const struct broker_report *report, void *userdata) {
}

static void on_publisher_state(struct publisher *p, enum broker_state s, const struct broker_report *report,
			       void *userdata) {
}

static void on_changed(struct queue *q, void *userdata) {
	unsigned *changes = userdata;

	(*changes)++;
}

static const struct broker_callbacks broker_callbacks = {.state = on_broker_state};
static const struct publisher_callbacks publisher_callbacks = {.state = on_publisher_state};
static const struct queue_callbacks queue_callbacks = {.changed = on_changed};

static void start_broker(const char *text) {
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	config = load_text(text);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(executor_new(event, &executor), 0);
	dispatcher_init(&dispatcher, 1);
	ck_assert_int_eq(broker_new(event, config, &config->brokers[0], &broker_callbacks, NULL, &broker), 0);
}

static void start(const char *queues) {
	char text[1024];

	(void)snprintf(text, sizeof(text), BROKER "queues = ( %s );\n", queues);
	start_broker(text);
	ck_assert_int_eq(publisher_new(event, config, &config->brokers[0], &publisher_callbacks, NULL, &publisher), 0);
}

static void stop(void) {
	publisher = publisher_free(publisher);
	broker = broker_free(broker);
	executor = executor_free(executor);
	event = sd_event_unref(event);
	config = config_unref(config);
}

static int make(struct config *tree, unsigned *changes, struct queue **ret) {
	return queue_new(event, tree, &tree->queues[0], broker, publisher, executor, &dispatcher, &queue_callbacks, changes, ret);
}

static enum queue_state state_of(const struct queue *q) {
	struct queue_view view;

	queue_look(q, &view);
	return view.state;
}

static bool is_stopped(const struct queue *q) {
	return state_of(q) == QUEUE_STOPPED;
}

static void ck_degraded(const struct queue *q, const char *reason) {
	struct queue_view view;

	ck_until(state_of(q) == QUEUE_DEGRADED);
	queue_look(q, &view);
	ck_assert_str_eq(view.reason, reason);
}

/* So many lanes are taken, the first ones. */
static void ck_lanes(uint32_t n) {
	for (uint32_t i = n; i < LANES_PER_QUEUE + 1; i++)
		ck_assert_uint_eq(publisher_add_lane(publisher), i);
	for (uint32_t i = n; i < LANES_PER_QUEUE + 1; i++)
		publisher_free_lane(publisher, i);
}

START_TEST(lanes_are_given_back) {
	static const struct {
		const char *keys;
		uint32_t lanes;
	} cases[] = {
		{"", 2},
		{"reply = { };", 3},
		{"forward = { exchange = \"results\"; };", 3},
		{"reply = { }; forward = { exchange = \"results\"; };", 4},
	};
	unsigned changes = 0;
	struct queue *q;
	char queue[256];

	(void)snprintf(queue, sizeof(queue), "{ name = \"work\"; %s " HANDLER " }", cases[_i].keys);
	start(queue);
	ck_assert_int_eq(make(config, &changes, &q), 0);
	ck_lanes(cases[_i].lanes);
	ck_assert_int_eq(queue_start(q), 0);
	queue_stop(q, "the test is over");
	while (!is_stopped(q))
		ck_assert_int_ge(sd_event_run(event, 20 * 1000 * 1000), 1);
	ck_assert_uint_gt(changes, 0);
	queue_release_lanes(q);
	ck_lanes(0);
	/* Twice is as good as once. */
	queue_release_lanes(q);
	ck_assert_ptr_null(queue_free(q));
	stop();
}
END_TEST

/* A queue that is freed gives its consumer back, whether it consumes or not, and with it its configuration: there is always
 * room for another one, and nothing is called back for one that is gone. */
START_TEST(consumer_goes_with_its_queue) {
	unsigned changes = 0;

	start("{ name = \"work\"; " HANDLER " }");
	for (unsigned i = 0; i <= BROKER_CONSUMERS_MAX; i++) {
		struct config *tree = load_text(BROKER "queues = ( { name = \"other\"; " HANDLER " } );\n");
		struct queue *q;

		ck_assert_int_eq(make(tree, &changes, &q), 0);
		ck_assert_ptr_null(config_unref(tree));
		ck_assert_str_eq(queue_config(q)->name, "other");
		if (i % 2)
			ck_assert_int_eq(queue_start(q), 0);
		ck_lanes(2);
		queue_stop(q, "the test is over");
		while (!is_stopped(q))
			ck_assert_int_ge(sd_event_run(event, 20 * 1000 * 1000), 1);
		queue_release_lanes(q);
		ck_assert_ptr_null(queue_free(q));
		changes = 0;
		ck_assert_int_ge(sd_event_run(event, 0), 0);
		ck_assert_uint_eq(changes, 0);
	}
	stop();
}
END_TEST

/* A queue that publishes nothing, at a broker that allows so many channels. */
static void start_fake(unsigned channel_max) {
	char text[512];

	fake = (struct fake_broker){.channel_max = channel_max};
	fake_start(&fake);
	(void)snprintf(text, sizeof(text),
		       "broker = { url = \"amqp://guest:guest@127.0.0.1:%u\"; connect_timeout = 10; };\n"
		       "monitor = { queue_interval = 0; };\n"
		       "queues = ( { name = \"work\"; " HANDLER " } );\n",
		       fake.port);
	start_broker(text);
}

static void stop_fake(void) {
	stop();
	fake_stop(&fake);
}

static void end(struct queue *q) {
	queue_stop(q, "the test is over");
	ck_until(is_stopped(q));
	queue_release_lanes(q);
	ck_assert_ptr_null(queue_free(q));
}

/* The broker allows one: the second queue gets it when the first has gone, the third has not been lucky by then. */
START_TEST(channel_is_awaited) {
	unsigned changes = 0;
	struct queue *one, *two, *three;

	start_fake(1);
	ck_assert_int_eq(make(config, &changes, &two), 0);
	ck_assert_int_eq(make(config, &changes, &three), 0);
	ck_assert_int_eq(make(config, &changes, &one), 0);
	ck_assert_int_eq(queue_start(one), 0);
	ck_until(state_of(one) == QUEUE_CONSUMING);
	ck_assert_int_eq(queue_start(two), 0);
	ck_assert_int_eq(queue_start(three), 0);
	ck_degraded(two, "the broker allows 1 channels on a connection, and all are in use");
	ck_degraded(three, "the broker allows 1 channels on a connection, and all are in use");
	/* There is nothing that it would have to wait for. */
	queue_stop(three, "the test is over");
	ck_assert(is_stopped(three));
	ck_assert_ptr_null(queue_free(three));
	/* More than one attempt. */
	turn_for(2500 * USEC_PER_MSEC);
	ck_degraded(two, "the broker allows 1 channels on a connection, and all are in use");
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
	end(one);
	ck_until(state_of(two) == QUEUE_CONSUMING);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	ck_assert_uint_eq(atomic_load(&fake.opened), 1);
	end(two);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
	stop_fake();
}
END_TEST

/* As many consumers as there can be are there already. */
START_TEST(consumer_is_awaited) {
	static const struct consumer_callbacks callbacks = {0};
	static struct consumer *consumers[BROKER_CONSUMERS_MAX];
	unsigned changes = 0;
	struct queue *q;

	start_fake(0);
	ck_assert_int_eq(make(config, &changes, &q), 0);
	for (unsigned i = 0; i < BROKER_CONSUMERS_MAX; i++)
		ck_assert_int_eq(
			broker_add_consumer(broker, config, &config->queues[0], &callbacks, NULL, &consumers[i]), 0);
	ck_assert_int_eq(queue_start(q), 0);
	ck_assert_int_eq(state_of(q), QUEUE_STARTING);
	ck_degraded(q, "all 2047 channels of a connection are in use");
	queue_order_pause(q);
	for (unsigned i = 0; i < BROKER_CONSUMERS_MAX; i++)
		consumers[i] = consumer_free(consumers[i]);
	/* As long as the longest first delay: nothing is awaited any more. */
	turn_for(1200 * USEC_PER_MSEC);
	ck_assert_int_eq(state_of(q), QUEUE_PAUSED);
	ck_assert_uint_eq(atomic_load(&fake.opens), 0);
	queue_order_resume(q);
	ck_until(state_of(q) == QUEUE_CONSUMING);
	ck_assert_uint_eq(atomic_load(&fake.opened), 1);
	end(q);
	stop_fake();
}
END_TEST

/* One that was never started has nothing to wait for; one that is paused before does not consume before it is resumed;
 * one that was told before that its broker is down consumes all the same. */
START_TEST(start_comes_late) {
	unsigned changes = 0;
	struct queue *never, *paused, *down;

	start_fake(0);
	ck_assert_int_eq(make(config, &changes, &never), 0);
	ck_assert_int_eq(make(config, &changes, &paused), 0);
	ck_assert_int_eq(make(config, &changes, &down), 0);
	queue_stop(never, "the test is over");
	ck_assert(is_stopped(never));
	ck_assert_ptr_null(queue_free(never));
	queue_order_pause(paused);
	ck_assert_int_eq(queue_start(paused), 0);
	queue_broker_down(down, "broker main: not connected");
	ck_degraded(down, "broker main: not connected");
	ck_assert_int_eq(queue_start(down), 0);
	ck_until(state_of(down) == QUEUE_CONSUMING);
	ck_assert_int_eq(state_of(paused), QUEUE_PAUSED);
	ck_assert_uint_eq(atomic_load(&fake.opens), 1);
	queue_order_resume(paused);
	ck_until(state_of(paused) == QUEUE_CONSUMING);
	ck_assert_uint_eq(atomic_load(&fake.opens), 2);
	end(paused);
	end(down);
	stop_fake();
}
END_TEST

static void add_cases(Suite *s) {
	TCase *t = tcase_create("queue");

	tcase_add_checked_fixture(t, scratch_setup, scratch_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, lanes_are_given_back, 0, 4);
	tcase_add_test(t, consumer_goes_with_its_queue);
	tcase_add_test(t, channel_is_awaited);
	tcase_add_test(t, consumer_is_awaited);
	tcase_add_test(t, start_comes_late);
	suite_add_tcase(s, t);
}

CHECK_MAIN("queue", add_cases)
