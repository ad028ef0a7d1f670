/* SPDX-License-Identifier: MIT */
/* The exposition of metrics: escapes, sums, a whole one, and how long a large one takes. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "check_main.h"
#include "metrics_golden.h"
#include "service/metrics.h"

static struct strbuf text;

static void setup(void) {
	text = STRBUF_INIT;
}

static void teardown(void) {
	strbuf_free(&text);
}

static const struct process_figures process = {
	.has_times = true,
	.cpu_seconds = 1.25,
	.started_seconds = 1700000000.5,
	.resident_bytes = 8192,
	.virtual_bytes = 16384,
	.has_open_fds = true,
	.open_fds = 21,
	.has_max_fds = true,
	.max_fds = 1024,
};

static const char *format(const struct snapshot *s) {
	strbuf_reset(&text);
	metrics_format(s, &process, &text);
	ck_assert(!text.failed);
	return strbuf_str(&text);
}

/* The one sample that begins like that: the text of its value. */
static const char *value_of(const char *exposition, const char *sample, char *buf, size_t size) {
	CLEANUP(strbuf_free) struct strbuf start = STRBUF_INIT;
	const char *at;

	strbuf_printf(&start, "\n%s ", sample);
	at = strstr(exposition, strbuf_str(&start));
	ck_assert_msg(at != NULL, "%s is not there:\n%s", sample, exposition);
	ck_assert_msg(!strstr(at + 1, strbuf_str(&start)), "%s is there twice", sample);
	(void)snprintf(buf, size, "%.*s", (int)strcspn(at + start.len, "\n"), at + start.len);
	return buf;
}

#define ASSERT_SAMPLE(exposition, sample, value)                                                                       \
	do {                                                                                                           \
		char buf_[64];                                                                                         \
                                                                                                                       \
		ck_assert_str_eq(value_of((exposition), (sample), buf_, sizeof(buf_)), (value));                       \
	} while (0)

static struct snapshot_queue queue_of(const char *broker, const char *name) {
	return (struct snapshot_queue){
		.name = name, .broker = broker, .prefetch = 10, .concurrency = 4, .view = {.state = QUEUE_CONSUMING}};
}

static struct snapshot snapshot_of(const struct snapshot_queue *queues, size_t n) {
	return (struct snapshot){
		.version = "1.2.3", .state = "running", .ready = true, .queues = queues, .n_queues = n};
}

/* --- labels --------------------------------------------------------------------------------------------------------
 */

static void assert_label(const char *value, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	exposition_label(&b, "queue", value);
	ck_assert_str_eq(strbuf_str(&b), expected);
}

START_TEST(labels_are_escaped) {
	assert_label("mail", "queue=\"mail\"");
	assert_label("", "queue=\"\"");
	assert_label("a\"b", "queue=\"a\\\"b\"");
	assert_label("a\\b", "queue=\"a\\\\b\"");
	assert_label("a\nb", "queue=\"a\\nb\"");
	assert_label("a\"} 1\nfake 2", "queue=\"a\\\"} 1\\nfake 2\"");
	assert_label("\\\"\n", "queue=\"\\\\\\\"\\n\"");
	assert_label("größe {x,y=z}\t\r", "queue=\"größe {x,y=z}\t\r\"");
}
END_TEST

/* Prometheus refuses a whole scrape for one byte that is not UTF-8. */
START_TEST(labels_are_utf8) {
	assert_label("a\xff", "queue=\"a\\\\xff\"");
	assert_label("a\xc3", "queue=\"a\\\\xc3\"");
	assert_label("\xed\xa0\x80", "queue=\"\\\\xed\\\\xa0\\\\x80\"");
}
END_TEST

START_TEST(labels_are_separated) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	exposition_label(&b, "broker", "a,b");
	exposition_label(&b, "queue", "c");
	ck_assert_str_eq(strbuf_str(&b), "broker=\"a,b\",queue=\"c\"");
}
END_TEST

/* A name that looks like the escaped form of another one would make two series of the same labels. */
START_TEST(names_that_look_alike_are_one_series) {
	struct snapshot_queue queues[] = {queue_of("main", "a\xff"), queue_of("main", "a\\xff")};
	struct snapshot s = snapshot_of(queues, ARRAY_SIZE(queues));

	queues[0].view.counters.delivered = 1;
	queues[1].view.counters.delivered = 2;
	ASSERT_SAMPLE(format(&s), "amqp_execd_deliveries_total{broker=\"main\",queue=\"a\\\\xff\"}", "3");
}
END_TEST

/* --- sums ----------------------------------------------------------------------------------------------------------
 */

START_TEST(a_queue_that_leaves_is_part_of_its_successor) {
	struct statistics old = {.start_failures = 5}, new = {.start_failures = 1};
	struct snapshot_queue queues[] = {queue_of("main", "mail"), queue_of("backup", "mail"),
					  queue_of("main", "mail")};
	struct snapshot s = snapshot_of(queues, ARRAY_SIZE(queues));
	const char *t;

	queues[0].concurrency = 8;
	queues[0].view = (struct queue_view){.state = QUEUE_PAUSED,
					     .cause = PAUSE_BREAKER,
					     .failures = 3,
					     .running = 1,
					     .unacknowledged = 2,
					     .counters = {.acked = 10},
					     .statistics = &new};
	queues[0].oldest_usec = USEC_PER_SEC;
	queues[1].view.counters.acked = 7;
	queues[2].leaving = true;
	queues[2].view = (struct queue_view){.state = QUEUE_STOPPING,
					     .running = 2,
					     .unacknowledged = 2,
					     .counters = {.acked = 100},
					     .statistics = &old};
	queues[2].oldest_usec = 90 * USEC_PER_SEC;
	old.ends[HANDLER_END_SIGNAL] = 1;
	histogram_observe(&old.duration, &statistics_duration_bounds, USEC_PER_SEC);
	histogram_observe(&new.duration, &statistics_duration_bounds, 2 * USEC_PER_SEC);
	t = format(&s);
#define MAIN "broker=\"main\",queue=\"mail\""
	ASSERT_SAMPLE(t, "amqp_execd_settlements_total{" MAIN ",outcome=\"ack\"}", "110");
	ASSERT_SAMPLE(t, "amqp_execd_settlements_total{broker=\"backup\",queue=\"mail\",outcome=\"ack\"}", "7");
	ASSERT_SAMPLE(t, "amqp_execd_handler_start_failures_total{" MAIN "}", "6");
	ASSERT_SAMPLE(t, "amqp_execd_handler_exits_total{" MAIN ",status=\"signal\"}", "1");
	ASSERT_SAMPLE(t, "amqp_execd_handler_duration_seconds_bucket{" MAIN ",le=\"0.5\"}", "0");
	ASSERT_SAMPLE(t, "amqp_execd_handler_duration_seconds_bucket{" MAIN ",le=\"1\"}", "1");
	ASSERT_SAMPLE(t, "amqp_execd_handler_duration_seconds_bucket{" MAIN ",le=\"+Inf\"}", "2");
	ASSERT_SAMPLE(t, "amqp_execd_handler_duration_seconds_sum{" MAIN "}", "3.000000");
	ASSERT_SAMPLE(t, "amqp_execd_handler_duration_seconds_count{" MAIN "}", "2");
	ASSERT_SAMPLE(t, "amqp_execd_handlers_running{" MAIN "}", "3");
	ASSERT_SAMPLE(t, "amqp_execd_handlers_max{" MAIN "}", "8");
	ASSERT_SAMPLE(t, "amqp_execd_messages_unacknowledged{" MAIN "}", "4");
	ASSERT_SAMPLE(t, "amqp_execd_oldest_unacknowledged_seconds{" MAIN "}", "90.000000");
	ASSERT_SAMPLE(t, "amqp_execd_queue_state{" MAIN ",state=\"paused\"}", "1");
	ASSERT_SAMPLE(t, "amqp_execd_queue_state{" MAIN ",state=\"stopping\"}", "0");
	ASSERT_SAMPLE(t, "amqp_execd_queue_paused{" MAIN ",cause=\"breaker\"}", "1");
	ASSERT_SAMPLE(t, "amqp_execd_queue_paused{" MAIN ",cause=\"operator\"}", "0");
	ASSERT_SAMPLE(t, "amqp_execd_breaker_failures{" MAIN "}", "3");
}
END_TEST

/* Two of them, and no successor. */
START_TEST(queues_that_leave_alone_are_summed) {
	struct snapshot_queue queues[] = {queue_of("main", "mail"), queue_of("main", "mail")};
	struct snapshot s = snapshot_of(queues, ARRAY_SIZE(queues));
	const char *t;

	for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
		queues[i].leaving = true;
		queues[i].view.state = QUEUE_STOPPING;
		queues[i].view.counters.delivered = 2;
	}
	t = format(&s);
	ASSERT_SAMPLE(t, "amqp_execd_deliveries_total{" MAIN "}", "4");
	ASSERT_SAMPLE(t, "amqp_execd_queue_state{" MAIN ",state=\"stopping\"}", "1");
}
END_TEST

/* --- what is not known ---------------------------------------------------------------------------------------------
 */

START_TEST(what_is_not_known_is_absent) {
	static const struct process_figures nothing;
	struct snapshot_queue queues[] = {queue_of("main", "mail"), queue_of("main", "known")};
	struct snapshot s = snapshot_of(queues, ARRAY_SIZE(queues));
	const char *t;

	queues[1].depth_known = true;
	queues[1].messages_ready = 12;
	queues[1].consumers = 2;
	t = format(&s);
	ASSERT_SAMPLE(t, "amqp_execd_queue_messages_ready{broker=\"main\",queue=\"known\"}", "12");
	ASSERT_SAMPLE(t, "amqp_execd_queue_consumers{broker=\"main\",queue=\"known\"}", "2");
	ck_assert_ptr_null(strstr(t, "amqp_execd_queue_messages_ready{" MAIN));
	ck_assert_ptr_null(strstr(t, "amqp_execd_queue_consumers{" MAIN));
	strbuf_reset(&text);
	metrics_format(&s, &nothing, &text);
	ck_assert_ptr_null(strstr(strbuf_str(&text), "\nprocess_"));
}
END_TEST

START_TEST(the_state_of_reloads) {
	struct snapshot s = snapshot_of(NULL, 0);
	const char *t = format(&s);

	ASSERT_SAMPLE(t, "amqp_execd_last_reload_successful", "1");
	s.last_reload_usec = 1;
	s.reloads_failed = 1;
	t = format(&s);
	ASSERT_SAMPLE(t, "amqp_execd_last_reload_successful", "0");
	ASSERT_SAMPLE(t, "amqp_execd_reloads_total{result=\"failure\"}", "1");
	s.last_reload_ok = true;
	s.reloads_taken = 3;
	t = format(&s);
	ASSERT_SAMPLE(t, "amqp_execd_last_reload_successful", "1");
	ASSERT_SAMPLE(t, "amqp_execd_reloads_total{result=\"success\"}", "3");
}
END_TEST

/* --- a whole one ---------------------------------------------------------------------------------------------------
 */

/* The first line that is another one is told; METRICS_SHOW=1 shows them all, for the golden ones. */
static void assert_is_golden(const char *t) {
	size_t at = 0, line = 0;

	if (getenv("METRICS_SHOW"))
		(void)fputs(t, stderr);
	while (t[at] && t[at] == METRICS_GOLDEN[at]) {
		if (t[at++] == '\n')
			line = at;
	}
	ck_assert_msg(t[at] == METRICS_GOLDEN[at], "found %.200s, expected %.200s", t + line, METRICS_GOLDEN + line);
}

START_TEST(a_whole_exposition) {
	static struct statistics statistics = {.start_failures = 4};
	struct snapshot_queue queues[] = {queue_of("main", "a \"quoted\\queue\nwith lines")};
	struct snapshot_broker brokers[] = {
		{.name = "main", .state = "up", .has_publisher = true, .publishing_state = "waiting", .blocked = true},
		{.name = "backup", .state = "connecting"},
	};
	struct snapshot s = snapshot_of(queues, ARRAY_SIZE(queues));

	brokers[0].consuming.connects = 2;
	brokers[0].publishing.failures[BROKER_FAILURE_LOGIN] = 3;
	s.brokers = brokers;
	s.n_brokers = ARRAY_SIZE(brokers);
	s.max_handlers = 16;
	s.config_loaded_usec = UINT64_C(1700000001250000);
	s.log_lines_dropped = 9;
	queues[0].view = (struct queue_view){.state = QUEUE_CONSUMING,
					     .running = 1,
					     .waiting = 2,
					     .held = 3,
					     .publishing = 4,
					     .unacknowledged = 10,
					     .failures = 5,
					     .counters = {.delivered = 30,
							  .acked = 1,
							  .requeued = 2,
							  .retried = 3,
							  .rejected = 4,
							  .returned = 5,
							  .lost = 6,
							  .copies_failed = 7,
							  .replied = 8,
							  .replies_unroutable = 9,
							  .forwarded = 10,
							  .reused = 11},
					     .statistics = &statistics};
	queues[0].oldest_usec = 1500 * USEC_PER_MSEC;
	queues[0].depth_known = true;
	queues[0].messages_ready = UINT64_MAX;
	statistics.ends[HANDLER_END_SUCCESS] = 12;
	statistics.ends[HANDLER_END_PROTOCOL] = 13;
	statistics.pauses[PAUSE_HANDLER] = 1;
	histogram_observe(&statistics.duration, &statistics_duration_bounds, 5 * USEC_PER_MSEC);
	histogram_observe(&statistics.duration, &statistics_duration_bounds, 2 * 3600 * USEC_PER_SEC);
	histogram_observe(&statistics.age, &statistics_age_bounds, 0);
	assert_is_golden(format(&s));
}
END_TEST

/* --- a large one ---------------------------------------------------------------------------------------------------
 */

static uint64_t cpu_usec(void) {
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* The event loop does nothing else meanwhile. */
START_TEST(two_thousand_queues) {
	enum { N = 2000 };
	static struct snapshot_queue queues[N];
	static struct statistics statistics[N];
	static char names[N][64];
	struct snapshot s = snapshot_of(queues, N);
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "orders.europe.incoming.%zu", (i * 7919) % N);
		queues[i] = queue_of("main", names[i]);
		queues[i].view.counters = (struct queue_counters){.delivered = 123456789, .acked = 123456789};
		for (size_t k = 0; k < 100; k++)
			histogram_observe(&statistics[i].duration, &statistics_duration_bounds, k * k * USEC_PER_MSEC);
		queues[i].view.statistics = &statistics[i];
	}
	for (unsigned i = 0; i < 5; i++) {
		uint64_t begun = cpu_usec(), took;

		strbuf_free(&text);
		metrics_format(&s, &process, &text);
		took = cpu_usec() - begun;
		ck_assert(!text.failed);
		best = took < best ? took : best;
	}
	printf("%d queues: %zu bytes of metrics in %.1f ms of CPU time\n", N, text.len, (double)best / 1e3);
	/* Far more than it takes, for sanitizers and slow machines; that it is not seconds says that nothing is quadratic. */
	ck_assert_uint_lt(best, 2 * USEC_PER_SEC);
}
END_TEST

/* --- the process ---------------------------------------------------------------------------------------------------
 */

/* The name of a program may look like the rest of the line. */
START_TEST(the_process_is_parsed) {
	const char *stat = "42 (a) R 1 (b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1000 16384 2 "
			   "18446744073709551615 1 1";
	struct process_figures f = {0};
	double ticks = (double)sysconf(_SC_CLK_TCK);

	ck_assert(process_figures_parse(stat, 1e9, &f));
	ck_assert_double_eq_tol(f.cpu_seconds, 300 / ticks, 1e-9);
	ck_assert_double_eq_tol(f.started_seconds, 1e9 + 1000 / ticks, 1e-6);
	ck_assert_uint_eq(f.virtual_bytes, 16384);
	ck_assert_uint_eq(f.resident_bytes, 2 * (uint64_t)sysconf(_SC_PAGESIZE));
	ck_assert(!process_figures_parse("", 0, &f));
	ck_assert(!process_figures_parse("1 (x) S 1 2", 0, &f));
}
END_TEST

START_TEST(the_process_is_told) {
	struct process_figures f, again;

	process_figures_read(&f);
	ck_assert(f.has_times && f.has_open_fds && f.has_max_fds);
	ck_assert_uint_gt(f.resident_bytes, 0);
	ck_assert_uint_ge(f.virtual_bytes, f.resident_bytes);
	ck_assert_uint_gt(f.open_fds, 2);
	ck_assert_double_le(f.started_seconds, (double)clock_realtime_usec() / 1e6 + 1);
	ck_assert_double_gt(f.started_seconds, (double)clock_realtime_usec() / 1e6 - 3600);
	process_figures_read(&again);
	ck_assert_double_eq(f.started_seconds, again.started_seconds);
	ck_assert_uint_eq(f.open_fds, again.open_fds);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_FIXTURE_CASE(suite, "labels", setup, teardown, labels_are_escaped, labels_are_utf8, labels_are_separated,
			 names_that_look_alike_are_one_series);
	ADD_FIXTURE_CASE(suite, "sums", setup, teardown, a_queue_that_leaves_is_part_of_its_successor,
			 queues_that_leave_alone_are_summed);
	ADD_FIXTURE_CASE(suite, "exposition", setup, teardown, what_is_not_known_is_absent, the_state_of_reloads,
			 a_whole_exposition, two_thousand_queues);
	ADD_CASE(suite, "process", the_process_is_parsed, the_process_is_told);
}

CHECK_MAIN("metrics", add_cases)
