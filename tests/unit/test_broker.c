/* SPDX-License-Identifier: MIT */
/* The broker room as the main thread sees it, against a broker made for the test (and against none). */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/broker.h"
#include "broker_loop.h"
#include "fake_broker.h"
#include "privileges_of.h"

#define HELD_MAX 256

static struct fake_broker fake;
static struct config *config;
static struct broker *broker;
static struct consumer *consumer;
static struct consumer *second;

/* So many sends are left until the connection breaks; below 0: any number. */
static atomic_int sends_left = -1;

/* Visible, because it is librabbitmq that is to find it. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t len, int flags) {
	if (fd != atomic_load(&fake.client_fd) && atomic_load(&sends_left) >= 0) {
		if (atomic_load(&sends_left) == 0) {
			errno = EPIPE;
			return -1;
		}
		atomic_fetch_sub(&sends_left, 1);
	}
	return sendto(fd, data, len, flags, NULL, 0);
}

/* For so long the name "slow" is looked up, in vain. */
static atomic_bool lookup_hangs;
static atomic_bool lookup_begun;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (strcmp(node, "slow") == 0) {
		atomic_store(&lookup_begun, true);
		while (atomic_load(&lookup_hangs))
			usleep(1000);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, ret);
}

static unsigned count_threads(void) {
	struct stat st;

	ck_assert_int_eq(stat("/proc/self/task", &st), 0);
	return (unsigned)st.st_nlink - 2;
}

/* What was called back. */
static struct {
	enum broker_state state;
	unsigned states[BROKER_STOPPED + 1];
	ptrdiff_t address; /* index of the one that the last report was about */
	char reason[1280]; /* of the last WAITING */
	ptrdiff_t waited_for;
	uint64_t retry_usec;
	enum consumer_state consumer_state;
	unsigned consumer_states[CONSUMER_FAILED + 1];
	char consumer_reason[1280]; /* of the last FAILED */
	struct message *held[HELD_MAX];
	unsigned messages;
	unsigned losts;
	uint64_t lost_epoch;
	unsigned unsettled;
	unsigned cancelled;
	unsigned blocked;
	unsigned unblocked;
	char blocked_reason[64];
	bool refused; /* of the last WAITING */
	unsigned failures[BROKER_FAILURES];
	bool free_in_callback;
	bool stop_in_callback;
	unsigned after_stop; /* callbacks after BROKER_STOPPED */
} seen;

static void count_callback(void) {
	seen.after_stop += seen.state == BROKER_STOPPED;
}

static void on_state(struct broker *b, enum broker_state state, const struct broker_report *report, void *userdata) {
	ck_assert_ptr_eq(userdata, &seen);
	count_callback();
	seen.address = report->address - config->brokers[0].addresses;
	seen.state = state;
	seen.states[state]++;
	if (state == BROKER_WAITING) {
		seen.waited_for = seen.address;
		ck_assert_ptr_nonnull(report->reason);
		(void)snprintf(seen.reason, sizeof(seen.reason), "%s", report->reason);
		seen.retry_usec = report->retry_usec;
		seen.refused = report->refused;
		seen.failures[report->failure]++;
		if (seen.free_in_callback)
			broker = broker_free(b);
	}
}

static void on_blocked(struct broker *b, bool blocked, const char *reason, void *userdata) {
	count_callback();
	if (blocked) {
		seen.blocked++;
		(void)snprintf(seen.blocked_reason, sizeof(seen.blocked_reason), "%s", reason);
	} else {
		seen.unblocked++;
	}
}

static void on_message(struct message *m, void *userdata) {
	ck_assert_uint_lt(seen.messages, HELD_MAX);
	ck_assert_str_eq(m->body, "hello");
	ck_assert_str_eq(m->routing_key.data, "work");
	seen.held[seen.messages++] = m;
	count_callback();
	if (seen.stop_in_callback) {
		/* The time is over while messages wait, and the thread has more to tell. */
		if (seen.messages == 1)
			ck_assert_int_eq(broker_stop(broker, 0), 0);
		usleep(500);
	}
}

static void on_consumer_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	count_callback();
	seen.consumer_state = state;
	seen.consumer_states[state]++;
	if (state == CONSUMER_FAILED)
		(void)snprintf(seen.consumer_reason, sizeof(seen.consumer_reason), "%s", report->reason);
}

static void on_lost(uint64_t epoch, void *userdata) {
	count_callback();
	seen.losts++;
	seen.lost_epoch = epoch;
}

static void on_unsettled(struct message *m, void *userdata) {
	count_callback();
	seen.unsettled++;
	message_free(m);
}

static void on_cancelled(void *userdata) {
	count_callback();
	seen.cancelled++;
}

static const struct broker_callbacks broker_callbacks = {.state = on_state, .blocked = on_blocked};
static const struct consumer_callbacks consumer_callbacks = {
	.message = on_message,
	.state = on_consumer_state,
	.lost = on_lost,
	.unsettled = on_unsettled,
	.cancelled = on_cancelled,
};

/* `urls`: the key and its value. The queues are "work" and "more". */
static void start_broker_with(const char *urls) {
	char path[] = "/tmp/test_broker.XXXXXX";
	struct config_problems problems = {0};
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(
		dprintf(fd,
			"broker = { %s; connect_timeout = 10; reconnect = { min_delay = 0.05; max_delay = 0.2; }; };\n"
			"monitor = { queue_interval = 0; };\n"
			"defaults = { prefetch = 20; handler = { command = [ \"/bin/true\" ]; }; };\n"
			"queues = ( { name = \"work\"; }, { name = \"more\"; } );\n",
			urls),
		0);
	ck_assert_int_eq(config_load_for(path, &nobodys_privileges, &problems, &config), 0);
	config_problems_clear(&problems);
	close(fd);
	unlink(path);
	ck_assert_int_eq(broker_new(event, config, &config->brokers[0], &broker_callbacks, &seen, &broker), 0);
	ck_assert_ptr_eq(broker_config(broker), &config->brokers[0]);
}

static void start_broker(uint16_t port) {
	char url[128];

	(void)snprintf(url, sizeof(url), "url = \"amqp://guest:s3cret@127.0.0.1:%u\"", port);
	start_broker_with(url);
}

static void start_consumer(void) {
	ck_assert_int_eq(broker_add_consumer(broker, config, &config->queues[0], &consumer_callbacks, &seen,
					     &consumer),
			 0);
	ck_assert_int_eq(consumer_consume(consumer, 8), 0);
}

static void start_second_consumer(void) {
	ck_assert_int_eq(broker_add_consumer(broker, config, &config->queues[1], &consumer_callbacks, &seen,
					     &second),
			 0);
	ck_assert_int_eq(consumer_consume(second, 8), 0);
}

static void settle(unsigned i, enum verdict verdict) {
	struct consumer *c = seen.held[i]->consumer == 0 ? consumer : second;

	ck_assert_int_eq(consumer_settle(c, seen.held[i], verdict), 0);
	seen.held[i] = NULL;
}

/* What is done in between, the thread finds all at once. */
static void hold_thread(void) {
	atomic_store(&held, false);
	atomic_store(&hold, true);
	/* Wakes it, and changes nothing. */
	ck_assert_int_eq(consumer_consume(consumer, 8), 0);
	ck_until_stalled(atomic_load(&held));
}

static void release_thread(void) {
	atomic_store(&hold, false);
}

static void acknowledge(const unsigned *numbers, size_t n) {
	for (size_t i = 0; i < n; i++)
		settle(numbers[i] - 1, VERDICT_ACK);
}
/* The messages that came first, second, ... */
#define ACKNOWLEDGE(...)                                                                                               \
	acknowledge((const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void setup(void) {
	fake = (struct fake_broker){0};
	memset(&seen, 0, sizeof(seen));
	atomic_store(&hold, false);
	atomic_store(&sends_left, -1);
	ck_assert_int_ge(sd_event_new(&event), 0);
}

static void teardown(void) {
	broker = broker_free(broker);
	for (unsigned i = 0; i < HELD_MAX; i++)
		message_free(seen.held[i]);
	config = config_unref(config);
	event = sd_event_unref(event);
}

static void setup_fake(void) {
	setup();
	fake_start(&fake);
}

static void teardown_fake(void) {
	teardown();
	fake_stop(&fake);
	ck_assert_uint_eq(atomic_load(&fake.unknown_tags), 0);
}

START_TEST(messages_are_delivered_and_settled) {
	fake.deliveries = 4;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 4);
	ck_assert_int_eq(seen.state, BROKER_UP);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_CONSUMING);
	ck_assert_uint_eq(seen.held[2]->delivery_tag, 3);
	settle(0, VERDICT_ACK);
	settle(1, VERDICT_REQUEUE);
	settle(2, VERDICT_RETURN);
	settle(3, VERDICT_REJECT);
	/* An orderly stop sends what was posted before it. */
	ck_assert_int_eq(broker_stop(broker, 5 * USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_eq(atomic_load(&fake.acks), 1);
	ck_assert_uint_eq(atomic_load(&fake.rejects), 1);
	ck_assert_uint_eq(atomic_load(&fake.nacks), 1);
	ck_assert_uint_eq(atomic_load(&fake.discards), 1);
	ck_assert(!atomic_load(&fake.is_publisher));
	ck_assert_uint_eq(atomic_load(&fake.closes), 1);
	ck_assert_uint_eq(seen.losts, 1);
	ck_assert_uint_eq(seen.unsettled, 0);
	ck_assert_int_eq(consumer_consume(consumer, 1), -ENOTCONN);
	ck_assert_uint_eq(seen.states[BROKER_STOPPED], 1);
}
END_TEST

START_TEST(settlements_of_a_lost_epoch_come_back) {
	uint64_t epoch;

	fake.deliveries = 2;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 2);
	epoch = seen.held[0]->epoch;
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.messages == 4);
	ck_assert_uint_eq(seen.losts, 1);
	ck_assert_uint_eq(seen.lost_epoch, epoch);
	ck_assert_uint_ge(seen.states[BROKER_WAITING], 1);
	ck_assert_uint_eq(seen.states[BROKER_UP], 2);
	ck_assert_uint_gt(seen.held[2]->epoch, epoch);
	ck_assert_uint_eq(seen.held[2]->delivery_tag, seen.held[0]->delivery_tag);
	settle(0, VERDICT_ACK);
	settle(1, VERDICT_REQUEUE);
	settle(2, VERDICT_ACK);
	ck_until(seen.unsettled == 2 && atomic_load(&fake.acks) == 1);
	ck_assert_uint_eq(atomic_load(&fake.rejects), 0);
}
END_TEST

START_TEST(messages_under_way_come_before_cancelled) {
	fake.deliveries = 1;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 1);
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_until(seen.cancelled == 1);
	ck_assert_uint_eq(seen.messages, 2);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_IDLE);
	/* The channel is still there. */
	settle(0, VERDICT_ACK);
	settle(1, VERDICT_RETURN);
	ck_until(atomic_load(&fake.acks) == 1 && atomic_load(&fake.nacks) == 1);
	ck_assert_int_eq(consumer_consume(consumer, 2), 0);
	ck_until(seen.messages == 3);
	ck_assert_uint_eq(seen.losts, 0);
	settle(2, VERDICT_ACK);
	ck_until(atomic_load(&fake.acks) == 2);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

/* What is settled in one turn, and what the broker is told of it. */
START_TEST(acks_of_one_turn_are_one) {
	fake.deliveries = 100;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 100);
	hold_thread();
	/* 38, 75, 11, ...: each once. */
	for (unsigned i = 0; i < 100; i++)
		settle((37 + 37 * i) % 100, VERDICT_ACK);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 100);
	ck_assert_str_eq(fake.told, "ack ..100");
	ck_assert_uint_eq(seen.unsettled, 0);
}
END_TEST

START_TEST(ack_beyond_a_gap_goes_by_itself) {
	fake.deliveries = 9;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 9);
	hold_thread();
	ACKNOWLEDGE(6, 2, 1, 5);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 4);
	ck_assert_str_eq(fake.told, "ack ..2, ack 6, ack 5");
	ACKNOWLEDGE(4);
	ck_until(atomic_load(&fake.settled) == 5);
	/* 4 to 6 are settled: the gap is 3. */
	hold_thread();
	ACKNOWLEDGE(7, 3, 9);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 8);
	ck_assert_str_eq(fake.told, "ack ..2, ack 6, ack 5, ack 4, ack ..7, ack 9");
	ACKNOWLEDGE(8);
	ck_until(atomic_load(&fake.settled) == 9);
	ck_assert_str_eq(fake.told, "ack ..2, ack 6, ack 5, ack 4, ack ..7, ack 9, ack 8");
}
END_TEST

START_TEST(everything_else_keeps_its_place_among_the_acks) {
	fake.deliveries = 12;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 12);
	hold_thread();
	ACKNOWLEDGE(2, 1);
	settle(2, VERDICT_REQUEUE);
	ACKNOWLEDGE(6, 4);
	settle(4, VERDICT_RETURN);
	settle(8, VERDICT_REJECT);
	ACKNOWLEDGE(7, 8, 10);
	settle(11, VERDICT_REQUEUE);
	ACKNOWLEDGE(11);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 12);
	ck_assert_str_eq(fake.told,
			 "ack ..2, reject 3, ack 4, ack 6, nack 5, discard 9, ack ..10, reject 12, ack 11");
}
END_TEST

START_TEST(channels_have_their_own_acks) {
	fake.deliveries = 5;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 5);
	start_second_consumer();
	ck_until(seen.messages == 10);
	hold_thread();
	ACKNOWLEDGE(6, 1, 7, 2, 3, 10);
	settle(3, VERDICT_REQUEUE);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 7);
	ck_assert_str_eq(fake.told, "ack ..3, reject 4, 2: ack ..2, 2: ack 5");
}
END_TEST

/* 16 bits bound the prefetch, and nothing else; what the first tag is, is nobody's business. */
START_TEST(tags_may_be_large) {
	static const uint64_t before[] = {65530, 131066, UINT32_MAX - 5, UINT64_MAX / 2 - 5};
	char expected[128];

	fake.tags_before = before[_i];
	fake.deliveries = 12;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 12);
	ck_assert_uint_eq(seen.held[11]->delivery_tag, before[_i] + 12);
	hold_thread();
	ACKNOWLEDGE(12, 3, 5, 8, 2, 4, 7, 6, 9, 1);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 10);
	(void)snprintf(expected, sizeof(expected), "ack ..%" PRIu64 ", ack %" PRIu64, before[_i] + 9, before[_i] + 12);
	ck_assert_str_eq(fake.told, expected);
}
END_TEST

START_TEST(acks_of_two_epochs_are_not_mixed) {
	fake.deliveries = 3;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 3);
	fake_close_channel(&fake, 1, 406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out.");
	ck_until(seen.messages == 6);
	ck_assert_uint_eq(seen.held[3]->delivery_tag, 1);
	hold_thread();
	ACKNOWLEDGE(4, 1, 5, 2);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 2 && seen.unsettled == 2);
	ck_assert_str_eq(fake.told, "ack ..2");
	/* The old 3 leaves no gap, the new one does. */
	ACKNOWLEDGE(3, 6);
	ck_until(atomic_load(&fake.settled) == 3 && seen.unsettled == 3);
	ck_assert_str_eq(fake.told, "ack ..2, ack 3");
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

START_TEST(acks_of_a_channel_that_is_being_closed_come_back) {
	fake.deliveries = 4;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 4);
	hold_thread();
	ACKNOWLEDGE(1, 2);
	fake_close_channel(&fake, 1, 406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out.");
	ACKNOWLEDGE(3);
	release_thread();
	ck_until(seen.unsettled == 3 && seen.messages == 8);
	ck_assert_str_eq(fake.told, "");
	ck_assert_uint_eq(seen.losts, 1);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

/* The connection breaks with so many methods sent: what one of them was about is done with, all else comes back, once. */
START_TEST(acks_that_cannot_be_sent_come_back) {
	static const struct {
		const char *told;
		unsigned unsettled;
	} expected[] = {
		{"", 9},
		{"ack ..3", 6},
		{"ack ..3, ack 6", 5},
		{"ack ..3, ack 6, reject 8", 4},
		{"ack ..3, ack 6, reject 8, ack ..5", 2},
		{"ack ..3, ack 6, reject 8, ack ..5, nack 7", 1},
	};
	unsigned settled;

	fake.deliveries = 11;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 11);
	hold_thread();
	ACKNOWLEDGE(1, 6, 3, 2);
	settle(7, VERDICT_REQUEUE);
	ACKNOWLEDGE(5, 4);
	settle(6, VERDICT_RETURN);
	ACKNOWLEDGE(11);
	atomic_store(&sends_left, _i);
	release_thread();
	ck_until(seen.losts == 1);
	atomic_store(&sends_left, -1);
	ck_until(seen.messages == 22);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.unsettled, expected[_i].unsettled);
	ck_assert_str_eq(fake.told, expected[_i].told);
	/* The account begins again. */
	settled = atomic_load(&fake.settled);
	hold_thread();
	ACKNOWLEDGE(13, 14, 12);
	release_thread();
	ck_until(atomic_load(&fake.settled) == settled + 3);
	ck_assert_str_eq(fake.told + strlen(expected[_i].told), _i == 0 ? "ack ..3" : ", ack ..3");
}
END_TEST

START_TEST(acks_are_sent_before_a_stop) {
	fake.deliveries = 6;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 6);
	hold_thread();
	ACKNOWLEDGE(2, 4, 1);
	ck_assert_int_eq(broker_stop(broker, 10 * USEC_PER_SEC), 0);
	release_thread();
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_str_eq(fake.told, "ack ..2, ack 4");
	ck_assert_uint_eq(seen.unsettled, 0);
	ck_assert_uint_eq(atomic_load(&fake.closes), 1);
}
END_TEST

/* A cancel is ahead of what is settled after it, and nothing else of the turn is. */
START_TEST(acks_and_a_cancel_in_one_turn) {
	fake.deliveries = 4;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 4);
	hold_thread();
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ACKNOWLEDGE(1, 2);
	settle(2, VERDICT_RETURN);
	ACKNOWLEDGE(4);
	ck_assert_int_eq(consumer_consume(consumer, 3), 0);
	release_thread();
	ck_until(seen.cancelled == 1 && seen.messages == 9);
	ck_until(atomic_load(&fake.settled) == 4);
	ck_assert_str_eq(fake.told, "cancel, ack ..2, nack 3, ack 4");
	/* The channel is the same, and its tags go on: 5 came before the cancel was done. */
	ck_assert_uint_eq(seen.held[8]->delivery_tag, 9);
	hold_thread();
	ACKNOWLEDGE(5, 6, 8);
	release_thread();
	ck_until(atomic_load(&fake.settled) == 7);
	ck_assert_str_eq(fake.told, "cancel, ack ..2, nack 3, ack 4, ack ..6, ack 8");
}
END_TEST

START_TEST(tags_that_repeat_drop_the_connection) {
	fake.repeat_tag = true;
	fake.deliveries = 3;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert_str_eq(seen.reason, "the broker sent delivery tag 1 out of turn");
	ck_until(seen.messages == 4);
	ck_assert_uint_eq(seen.losts, 1);
}
END_TEST

/* A consume right behind a cancel waits for it. */
START_TEST(wishes_may_follow_each_other_quickly) {
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.consumer_state == CONSUMER_CONSUMING);
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_assert_int_eq(consumer_consume(consumer, 3), 0);
	ck_until(seen.cancelled == 1 && seen.consumer_states[CONSUMER_CONSUMING] == 2);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(consumer_cancel(consumer), 0);
		ck_assert_int_eq(consumer_consume(consumer, 3), 0);
	}
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	/* Each cancel is confirmed, also those that found another one under way: whoever stops counts them. */
	ck_until(seen.cancelled >= 7 && seen.consumer_state == CONSUMER_IDLE);
	turn_for(200 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.cancelled, 7);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_IDLE);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

/* The mailbox is full, so nothing is read, and the answer to basic.cancel lies unread for longer than the broker has for it. */
START_TEST(main_thread_that_stalls_is_not_the_brokers_silence) {
	fake.deliveries = 200;
	start_broker(fake.port);
	start_consumer();
	ck_until_stalled(atomic_load(&fake.delivered) == 200);
	usleep(100000);
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_until_stalled(atomic_load(&fake.cancels) == 1);
	atomic_fetch_add(&clock_skew, 40);
	usleep(200000);
	ck_until(seen.cancelled == 1);
	ck_assert_uint_eq(seen.messages, 201);
	ck_assert_uint_eq(seen.losts, 0);
	/* It does not fall due afterwards either. */
	turn_for(200 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_IDLE);
}
END_TEST

/* The clock stands still only then. */
START_TEST(silence_of_the_broker_is_noticed) {
	fake.mute_on_cancel = true;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.consumer_state == CONSUMER_CONSUMING);
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_until(atomic_load(&fake.cancels) == 1);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.cancelled, 0);
	atomic_fetch_add(&clock_skew, 40);
	/* Wakes the thread, whose sleep the clock of the test does not shorten. */
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_until(seen.cancelled == 2);
	ck_assert_uint_eq(seen.losts, 1);
}
END_TEST

/* The thread waits for the login, and takes nothing out of its mailbox. */
START_TEST(wishes_are_not_lost_while_the_thread_is_stuck) {
	fake.mute = true;
	start_broker(fake.port);
	start_consumer();
	ck_until(atomic_load(&fake.connections) == 1);
	turn_for(100 * USEC_PER_MSEC);
	for (int i = 0; i < 200; i++) {
		if (i % 20 == 0)
			ck_assert_int_eq(consumer_cancel(consumer), 0);
		ck_assert_int_eq(consumer_consume(consumer, 3), 0);
	}
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.cancelled >= 11);
	turn_for(100 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.cancelled, 11);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_IDLE);
}
END_TEST

START_TEST(cancel_needs_no_connection) {
	start_broker(1);
	start_consumer();
	ck_assert_int_eq(consumer_cancel(consumer), 0);
	ck_until(seen.cancelled == 1);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_IDLE);
}
END_TEST

START_TEST(missing_queue_fails_alone_and_is_tried_again) {
	fake.missing_queue_once = true;
	fake.deliveries = 1;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.consumer_states[CONSUMER_FAILED] == 1);
	ck_assert_ptr_nonnull(strstr(seen.consumer_reason, "no queue 'work'"));
	ck_until(seen.messages == 1);
	/* Nothing had been consumed in the first epoch: nothing is lost with it. */
	ck_assert_uint_eq(seen.losts, 0);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 0);
}
END_TEST

/* What the second consumer saw. */
static struct {
	unsigned messages;
	unsigned losts;
	unsigned failures;
	bool consuming;
} other;

static void on_other_message(struct message *m, void *userdata) {
	other.messages++;
	message_free(m);
}

static void on_other_state(enum consumer_state state, const struct broker_report *report, void *userdata) {
	other.failures += state == CONSUMER_FAILED;
	other.consuming = state == CONSUMER_CONSUMING;
}

static void on_other_lost(uint64_t epoch, void *userdata) {
	other.losts++;
}

START_TEST(delivery_timeout_costs_one_consumer_its_channel_and_no_more) {
	const struct consumer_callbacks callbacks = {
		.message = on_other_message,
		.state = on_other_state,
		.lost = on_other_lost,
		.unsettled = on_unsettled,
		.cancelled = on_cancelled,
	};
	other = (typeof(other)){0};
	fake.deliveries = 2;
	start_broker(fake.port);
	start_consumer();
	ck_assert_int_eq(broker_add_consumer(broker, config, &config->queues[1], &callbacks, NULL, &second), 0);
	ck_assert_int_eq(consumer_consume(second, 1), 0);
	ck_until(seen.messages == 2 && other.messages == 2);
	fake_close_channel(&fake, 1, 406,
			   "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: "
			   "1800000 ms.");
	ck_until(seen.consumer_states[CONSUMER_FAILED] == 1);
	ck_assert_ptr_nonnull(strstr(seen.consumer_reason, "consumer_timeout"));
	ck_assert_uint_eq(seen.losts, 1);
	ck_until(seen.messages == 4);
	ck_assert_int_eq(seen.consumer_state, CONSUMER_CONSUMING);
	ck_assert_uint_gt(seen.held[2]->epoch, seen.held[0]->epoch);
	/* A tag of the channel that is gone is not settled on the one that took its number. */
	settle(0, VERDICT_ACK);
	settle(2, VERDICT_REJECT);
	ck_until(seen.unsettled == 1 && atomic_load(&fake.discards) == 1);
	ck_assert_uint_eq(atomic_load(&fake.acks), 0);
	ck_assert_uint_eq(other.losts + other.failures, 0);
	ck_assert_uint_eq(other.messages, 2);
	ck_assert(other.consuming);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

START_TEST(cancel_by_the_broker_leaves_messages_settleable) {
	fake.cancel_after_delivery = true;
	fake.deliveries = 1;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.consumer_states[CONSUMER_FAILED] == 1);
	ck_assert_uint_eq(seen.messages, 1);
	ck_assert_ptr_nonnull(strstr(seen.consumer_reason, "deleted"));
	settle(0, VERDICT_ACK);
	ck_until(atomic_load(&fake.acks) == 1);
	ck_until(seen.messages == 2);
	ck_assert_uint_eq(seen.losts, 0);
	ck_assert_uint_eq(atomic_load(&fake.connections), 1);
}
END_TEST

START_TEST(protocol_violation_drops_the_connection) {
	fake.garbage_after_delivery = true;
	fake.deliveries = 1;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert_str_eq(seen.reason, "the broker sent a body without a header");
	ck_until(seen.messages == 2);
	ck_assert_uint_eq(seen.losts, 1);
}
END_TEST

START_TEST(blocked_is_reported) {
	fake.block_after_consume = true;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.unblocked == 1);
	ck_assert_uint_eq(seen.blocked, 1);
	ck_assert_str_eq(seen.blocked_reason, "low on \\x1b memory");
}
END_TEST

START_TEST(refused_login_waits_for_the_longest_delay_and_keeps_the_secret) {
	unsigned shortened = 0;

	fake.refuse_login = true;
	start_broker(fake.port);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t max_usec = config->brokers[0].reconnect_max_usec;

		ck_until(seen.states[BROKER_WAITING] >= i + 1);
		ck_assert_ptr_nonnull(strstr(seen.reason, "refused the login"));
		ck_assert(seen.refused);
		ck_assert_ptr_null(strstr(seen.reason, "s3cret"));
		ck_assert_uint_le(seen.retry_usec, max_usec);
		ck_assert_uint_ge(seen.retry_usec, max_usec - max_usec / 4);
		shortened += seen.retry_usec < max_usec;
	}
	ck_assert_uint_eq(seen.failures[BROKER_FAILURE_LOGIN], seen.states[BROKER_WAITING]);
	/* Many daemons with the same wrong password do not come back in step. */
	ck_assert_uint_gt(shortened, 0);
}
END_TEST

START_TEST(refused_connection_is_tried_again_and_stopped_at_once) {
	uint64_t start;

	start_broker(1);
	ck_until(seen.states[BROKER_WAITING] >= 3);
	ck_assert_ptr_nonnull(strstr(seen.reason, "Connection refused"));
	ck_assert(!seen.refused);
	ck_assert_uint_eq(seen.failures[BROKER_FAILURE_UNREACHABLE], seen.states[BROKER_WAITING]);
	ck_assert_uint_le(seen.retry_usec, config->brokers[0].reconnect_max_usec);
	ck_assert_uint_eq(broker_overdue_usec(broker, clock_now_usec()), 0);
	start = clock_now_usec();
	ck_assert_int_eq(broker_stop(broker, 10 * USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_lt(clock_now_usec() - start, 2 * USEC_PER_SEC);
}
END_TEST

START_TEST(next_address_is_tried_at_once) {
	char urls[256];

	(void)snprintf(urls, sizeof(urls), "urls = [ \"amqp://127.0.0.1:1\", \"amqp://127.0.0.1:%u\" ]", fake.port);
	start_broker_with(urls);
	ck_until(seen.state == BROKER_UP);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 1);
	ck_assert_uint_eq(seen.retry_usec, 0);
	ck_assert_int_eq(seen.waited_for, 0);
	ck_assert_int_eq(seen.address, 1);
	/* The one that was lost is tried again after the other one, and after a while. */
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
	ck_until(seen.states[BROKER_UP] == 2);
	ck_assert_int_eq(seen.address, 1);
	ck_assert_uint_ge(seen.states[BROKER_WAITING], 3);
}
END_TEST

START_TEST(mute_broker_does_not_hold_up_a_stop) {
	uint64_t start;

	fake.mute = true;
	start_broker(fake.port);
	ck_until(atomic_load(&fake.connections) == 1);
	start = clock_now_usec();
	ck_assert_int_eq(broker_stop(broker, 10 * USEC_PER_SEC), 0);
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_lt(clock_now_usec() - start, 5 * USEC_PER_SEC);
}
END_TEST

START_TEST(stop_by_timeout_is_the_last_callback) {
	fake.deliveries = 200;
	start_broker(fake.port);
	start_consumer();
	ck_until_stalled(atomic_load(&fake.delivered) == 200);
	usleep(200000);
	seen.stop_in_callback = true;
	ck_until(seen.state == BROKER_STOPPED);
	ck_assert_uint_lt(seen.messages, 200);
	turn_for(200 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.after_stop, 0);
	ck_assert_uint_eq(seen.states[BROKER_STOPPED], 1);
}
END_TEST

START_TEST(mute_broker_is_overdue_one_day) {
	fake.mute = true;
	start_broker(fake.port);
	ck_until(atomic_load(&fake.connections) == 1);
	ck_assert_uint_eq(broker_overdue_usec(broker, clock_now_usec()), 0);
	/* As if the time for the login were long over: the socket is shut down, which ends the wait. */
	ck_assert_uint_gt(broker_overdue_usec(broker, clock_now_usec() + 1000 * USEC_PER_SEC), 0);
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert_uint_eq(seen.failures[BROKER_FAILURE_STUCK], 1);
}
END_TEST

/* How a connection that is up ends. */
static void end_by_close(void) {
	fake_close_connection(&fake, 320, "CONNECTION_FORCED - for the test");
}

static void end_by_loss(void) {
	(void)shutdown(atomic_load(&fake.client_fd), SHUT_RDWR);
}

/* The library keeps the time itself: two seconds. */
static void end_by_silence(void) {
}

static void end_by_violation(void) {
	fake_send_close(atomic_load(&fake.client_fd), 0, 500, "on the wrong channel");
}

static const struct {
	void (*end)(void);
	enum broker_failure failure;
} ends[] = {
	{end_by_close, BROKER_FAILURE_CLOSED},
	{end_by_loss, BROKER_FAILURE_LOST},
	{end_by_silence, BROKER_FAILURE_HEARTBEAT},
	{end_by_violation, BROKER_FAILURE_OTHER},
};

START_TEST(failures_have_their_kinds) {
	char keys[128];

	(void)snprintf(keys, sizeof(keys), "url = \"amqp://127.0.0.1:%u\"; heartbeat = %u", fake.port,
		       ends[_i].failure == BROKER_FAILURE_HEARTBEAT ? 1 : 0);
	start_broker_with(keys);
	start_consumer();
	ck_until(seen.consumer_state == CONSUMER_CONSUMING);
	ends[_i].end();
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert_msg(seen.failures[ends[_i].failure] == 1, "%s", seen.reason);
}
END_TEST

START_TEST(free_needs_no_stop) {
	uint64_t start;

	fake.deliveries = 5;
	start_broker(fake.port);
	start_consumer();
	ck_until(seen.messages == 5);
	settle(0, VERDICT_ACK);
	start = clock_now_usec();
	broker = broker_free(broker);
	ck_assert_uint_lt(clock_now_usec() - start, USEC_PER_SEC);
}
END_TEST

START_TEST(free_may_be_called_by_a_callback) {
	seen.free_in_callback = true;
	start_broker(1);
	start_consumer();
	ck_until(seen.states[BROKER_WAITING] == 1);
	ck_assert_ptr_null(broker);
	turn_for(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(seen.states[BROKER_WAITING], 1);
}
END_TEST

/* It ends by itself, later. One that can be waited for is: then nothing of it is left. */
START_TEST(thread_that_has_not_stopped_in_time_is_not_waited_for_again) {
	uint64_t begin, took;
	unsigned threads;

	atomic_store(&lookup_hangs, true);
	start_broker_with("url = \"amqp://guest:guest@slow:5672\"");
	ck_until(atomic_load(&lookup_begun));
	/* A sanitizer may have some of its own. */
	threads = count_threads();
	ck_assert_uint_ge(threads, 2);
	if (_i == 1)
		ck_assert_int_eq(broker_stop(broker, 100 * USEC_PER_MSEC), 0);
	if (_i == 1)
		ck_until(seen.state == BROKER_STOPPED);
	begin = clock_now_usec();
	broker = broker_free(broker);
	took = clock_now_usec() - begin;
	ck_assert_uint_eq(count_threads(), threads);
	if (_i == 1)
		ck_assert_uint_lt(took, USEC_PER_SEC);
	else
		ck_assert_uint_ge(took, 2 * USEC_PER_SEC);
	atomic_store(&lookup_hangs, false);
	ck_until_stalled(count_threads() == threads - 1);
}
END_TEST

START_TEST(states_have_names) {
	ck_assert_str_eq(broker_state_to_string(BROKER_WAITING), "waiting");
	ck_assert_str_eq(broker_state_to_string((enum broker_state)99), "unknown");
	for (unsigned i = 0; i < BROKER_FAILURES; i++)
		ck_assert_str_ne(broker_failure_to_string((enum broker_failure)i), "unknown");
	ck_assert_str_eq(broker_failure_to_string(BROKER_FAILURE_HEARTBEAT), "heartbeat");
	ck_assert_str_eq(broker_failure_to_string((enum broker_failure)99), "unknown");
	ck_assert_str_eq(consumer_state_to_string(CONSUMER_FAILED), "failed");
	ck_assert_str_eq(consumer_state_to_string((enum consumer_state)99), "unknown");
}
END_TEST

int main(void) {
	Suite *s = suite_create("broker");
	TCase *with = tcase_create("with a broker");
	TCase *without = tcase_create("without a broker");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(with, setup_fake, teardown_fake);
	tcase_set_timeout(with, 60);
	tcase_add_test(with, messages_are_delivered_and_settled);
	tcase_add_test(with, settlements_of_a_lost_epoch_come_back);
	tcase_add_test(with, messages_under_way_come_before_cancelled);
	tcase_add_test(with, acks_of_one_turn_are_one);
	tcase_add_test(with, ack_beyond_a_gap_goes_by_itself);
	tcase_add_test(with, everything_else_keeps_its_place_among_the_acks);
	tcase_add_test(with, channels_have_their_own_acks);
	tcase_add_loop_test(with, tags_may_be_large, 0, 4);
	tcase_add_test(with, acks_of_two_epochs_are_not_mixed);
	tcase_add_test(with, acks_of_a_channel_that_is_being_closed_come_back);
	tcase_add_loop_test(with, acks_that_cannot_be_sent_come_back, 0, 6);
	tcase_add_test(with, acks_are_sent_before_a_stop);
	tcase_add_test(with, acks_and_a_cancel_in_one_turn);
	tcase_add_test(with, tags_that_repeat_drop_the_connection);
	tcase_add_test(with, wishes_may_follow_each_other_quickly);
	tcase_add_test(with, wishes_are_not_lost_while_the_thread_is_stuck);
	tcase_add_test(with, main_thread_that_stalls_is_not_the_brokers_silence);
	tcase_add_test(with, silence_of_the_broker_is_noticed);
	tcase_add_test(with, missing_queue_fails_alone_and_is_tried_again);
	tcase_add_test(with, delivery_timeout_costs_one_consumer_its_channel_and_no_more);
	tcase_add_test(with, cancel_by_the_broker_leaves_messages_settleable);
	tcase_add_test(with, protocol_violation_drops_the_connection);
	tcase_add_test(with, blocked_is_reported);
	tcase_add_test(with, refused_login_waits_for_the_longest_delay_and_keeps_the_secret);
	tcase_add_test(with, next_address_is_tried_at_once);
	tcase_add_test(with, mute_broker_does_not_hold_up_a_stop);
	tcase_add_test(with, stop_by_timeout_is_the_last_callback);
	tcase_add_test(with, mute_broker_is_overdue_one_day);
	tcase_add_loop_test(with, failures_have_their_kinds, 0, ARRAY_SIZE(ends));
	tcase_add_test(with, free_needs_no_stop);
	tcase_add_checked_fixture(without, setup, teardown);
	tcase_set_timeout(without, 60);
	tcase_add_test(without, cancel_needs_no_connection);
	tcase_add_test(without, refused_connection_is_tried_again_and_stopped_at_once);
	tcase_add_test(without, free_may_be_called_by_a_callback);
	tcase_add_loop_test(without, thread_that_has_not_stopped_in_time_is_not_waited_for_again, 0, 2);
	tcase_add_test(without, states_have_names);
	suite_add_tcase(s, with);
	suite_add_tcase(s, without);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
