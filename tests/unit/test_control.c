/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "check_main.h"
#include "http_client.h"
#include "scratch.h"
#include "service/control.h"
#include "service/control_json.h"

/* A manager of three queues, two of which have the same name, and one that leaves. */
static struct snapshot_queue queues[] = {
	{.name = "mail",
	 .broker = "main",
	 .view = {.state = QUEUE_CONSUMING, .running = 2, .waiting = 3},
	 .prefetch = 8,
	 .concurrency = 4},
	{.name = "a/b",
	 .broker = "main",
	 .view = {.state = QUEUE_DEGRADED, .reason = "no queue \"a/b\"", .publishing = 1}},
	{.name = "mail", .broker = "backup", .view = {.state = QUEUE_CONSUMING}},
	{.name = "print", .broker = "main", .leaving = true, .view = {.state = QUEUE_STOPPING}},
};
static const struct snapshot_broker brokers[] = {
	{.name = "main",
	 .host = "mq1",
	 .port = 5672,
	 .state = "up",
	 .has_publisher = true,
	 .publishing_state = "waiting",
	 .publishing_reason = "refused",
	 .blocked = true,
	 .consuming = {.connects = 3, .failures = {[BROKER_FAILURE_CLOSED] = 2}},
	 .publishing = {.connects = 1, .failures = {[BROKER_FAILURE_UNREACHABLE] = 4, [BROKER_FAILURE_OTHER] = 5}}},
	{.name = "backup", .host = "mq2", .port = 5671, .state = "waiting", .reason = "connection refused"},
};
static const char *state = "running";
static int order_result, look_result, reload_result;
static struct strbuf orders;
static unsigned reloads;
static sd_event *event;
static struct control *control;

static int on_look(void *userdata, struct snapshot *ret) {
	*ret = (struct snapshot){.version = "1.2.3",
				 .pid = 77,
				 .state = state,
				 .ready = true,
				 .started_usec = 1769860800 * USEC_PER_SEC,
				 .config_path = "/etc/x.conf",
				 .config_loaded_usec = 1769860801 * USEC_PER_SEC + 999999,
				 .max_handlers = 16,
				 .running = 2,
				 .brokers = brokers,
				 .n_brokers = ARRAY_SIZE(brokers),
				 .queues = queues,
				 .n_queues = ARRAY_SIZE(queues)};
	return look_result;
}

static int on_reload(void *userdata) {
	reloads++;
	return reload_result;
}

static int on_order(void *userdata, enum control_order order, const char *queue, const char *broker) {
	strbuf_printf(&orders, "%s %s@%s;", order == CONTROL_PAUSE ? "pause" : "resume", queue, broker);
	for (size_t i = 0; i < ARRAY_SIZE(queues); i++) {
		if (strcmp(queues[i].name, queue) == 0 && strcmp(queues[i].broker, broker) == 0) {
			queues[i].paused_by_operator = order == CONTROL_PAUSE;
			queues[i].view.state = order == CONTROL_PAUSE ? QUEUE_PAUSED : QUEUE_CONSUMING;
		}
	}
	return order_result;
}

/* One process of each kind. */
static char text_r[] = "r\xff", text_id[] = "m\"1";
static struct message messages[] = {
	{.delivery_tag = 7,
	 .redelivered = true,
	 .body_size = 12,
	 .routing_key = {text_r, 2},
	 .properties = {.message_id = {text_id, 3}}},
	{.delivery_tag = 9, .routing_key = {NULL, 0}},
};
static struct queue_handler handlers[] = {
	{.queue = "mail", .broker = "main", .message = &messages[0], .pid = 4711, .attempt = 2},
	{.queue = "print", .broker = "main", .message = &messages[1], .pid = 12, .worker = true, .stopping = true},
};
static struct control_target target;

static int on_handlers(void *userdata, const struct queue_handler **ret, size_t *ret_n) {
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		handlers[i].started_usec = clock_now_usec() - 90 * USEC_PER_SEC;
	*ret = handlers;
	*ret_n = ARRAY_SIZE(handlers);
	return look_result;
}

static int on_kill(void *userdata, const struct control_target *t, struct queue_handler *ret) {
	target = *t;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		if (handlers[i].pid != t->pid)
			continue;
		*ret = handlers[i];
		return t->delivery_tag && t->delivery_tag != ret->message->delivery_tag ? -ESTALE : 0;
	}
	return -ESRCH;
}

static const struct control_callbacks callbacks = {
	.look = on_look, .reload = on_reload, .order = on_order, .handlers = on_handlers, .kill = on_kill};

static void setup(void) {
	scratch_setup();
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(control_new(event, &callbacks, NULL, &control), 0);
	ck_assert_int_eq(control_listen(control, client_listener("socket", 128), (gid_t)-1), 0);
}

static void teardown(void) {
	control = control_free(control);
	event = sd_event_unref(event);
	strbuf_free(&orders);
	scratch_teardown();
}

/* Too long for a message of Check's. */
static void ck_long(const char *text, const char *expected) {
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "expected: %s\ngot:      %s\n", expected, text);
	ck_assert_int_eq(strcmp(text, expected), 0);
}

static void ck_ask(const char *method, const char *path, unsigned status, const char *body) {
	CLEANUP(strbuf_free) struct strbuf request = STRBUF_INIT, got = STRBUF_INIT;
	CLEANUP(fd_close) int fd = client_connect("socket");

	strbuf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path);
	ck_assert_uint_eq(client_ask(event, fd, strbuf_str(&request), &got), status);
	ck_long(strbuf_str(&got), body);
}

/* --- handlers --- */

/* The JSON of an answer; the caller's. */
static json_t *ask(const char *method, const char *path, unsigned status) {
	CLEANUP(strbuf_free) struct strbuf request = STRBUF_INIT, got = STRBUF_INIT;
	CLEANUP(fd_close) int fd = client_connect("socket");
	json_t *body;

	strbuf_printf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path);
	ck_assert_uint_eq(client_ask(event, fd, strbuf_str(&request), &got), status);
	body = json_loads(strbuf_str(&got), 0, NULL);
	ck_assert_ptr_nonnull(body);
	return body;
}

START_TEST(handlers_are_listed) {
	json_t *answer = ask("GET", "/v1/handlers", 200), *list = json_object_get(answer, "handlers"), *first, *second;
	CLEANUP(free) char *text = NULL;
	double seconds;

	ck_assert_uint_eq(json_array_size(list), 2);
	first = json_array_get(list, 0);
	second = json_array_get(list, 1);
	seconds = json_real_value(json_object_get(first, "seconds"));
	ck_assert(seconds >= 90 && seconds < 200);
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(first, "started"))), strlen("2026-01-31T12:00:00Z"));
	json_object_del(first, "seconds");
	json_object_del(first, "started");
	text = json_dumps(first, JSON_COMPACT);
	ck_long(text,
		"{\"pid\":4711,\"queue\":\"mail\",\"broker\":\"main\",\"message_id\":\"m\\\"1\",\"delivery_tag\":7,"
		"\"attempt\":2,\"redelivered\":true,\"routing_key\":\"r\\\\xff\",\"body_size\":12,\"worker\":false,"
		"\"stopping\":false}");
	ck_assert(json_is_null(json_object_get(second, "message_id")));
	ck_assert_str_eq(json_string_value(json_object_get(second, "routing_key")), "");
	ck_assert(json_is_true(json_object_get(second, "worker")) && json_is_true(json_object_get(second, "stopping")));
	json_decref(answer);
	/* Those of a queue, also of one that leaves. */
	answer = ask("GET", "/v1/handlers?queue=print&broker=main", 200);
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "handlers")), 1);
	json_decref(answer);
	ck_ask("GET", "/v1/handlers?queue=mail&broker=backup", 200, "{\"handlers\":[]}\n");
	ck_ask("GET", "/v1/handlers?queue=mial", 404,
	       "{\"error\":\"there is no queue \\\"mial\\\"; did you mean \\\"mail\\\"?\"}\n");
	look_result = -ENOMEM;
	ck_ask("GET", "/v1/handlers", 500, "{\"error\":\"out of memory\"}\n");
}
END_TEST

START_TEST(a_handler_is_killed) {
	static const char *const bad[] = {"0", "-1", "-4711", "4711x", "99999999999999999999", "0x10", "+1"};

	ck_ask("POST", "/v1/handlers/4711/kill", 200,
	       "{\"pid\":4711,\"queue\":\"mail\",\"broker\":\"main\",\"message_id\":\"m\\\"1\",\"delivery_tag\":7,"
	       "\"already_stopping\":false}\n");
	ck_assert(target.pid == 4711 && target.delivery_tag == 0 && !target.queue && !target.broker);
	ck_ask("POST", "/v1/handlers/12/kill?delivery_tag=9&queue=print", 200,
	       "{\"pid\":12,\"queue\":\"print\",\"broker\":\"main\",\"message_id\":null,\"delivery_tag\":9,"
	       "\"already_stopping\":true}\n");
	ck_ask("POST", "/v1/handlers/12/kill?delivery_tag=8", 404,
	       "{\"error\":\"the process 12 has another message by now: its delivery tag is 9, not 8\"}\n");
	ck_ask("POST", "/v1/handlers/13/kill", 404,
	       "{\"error\":\"no handler with the process id 13 has a message\"}\n");
	ck_ask("POST", "/v1/handlers/13/kill?queue=mail", 404,
	       "{\"error\":\"no handler of the queue \\\"mail\\\" with the process id 13 has a message\"}\n");
	/* Nothing is signalled by mistake: not everybody, not a group. */
	target.pid = -7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;

		strbuf_printf(&path, "/v1/handlers/%s/kill", bad[i]);
		json_decref(ask("POST", strbuf_str(&path), 400));
		ck_assert_int_eq(target.pid, -7);
	}
	ck_ask("POST", "/v1/handlers/4711/kill?delivery_tag=0", 400, "{\"error\":\"\\\"0\\\" is no delivery tag\"}\n");
	ck_ask("GET", "/v1/handlers/4711/kill", 405, "{\"error\":\"only POST is possible here\"}\n");
}
END_TEST

/* --- status --- */

START_TEST(status_tells_everything) {
	static char how[] = "exit 65", words[] = "no \"disk\"";
	static const struct failure failure = {
		.time_usec = 1769860803 * USEC_PER_SEC, .how = how, .decision = "reject", .text = words};
	static const struct snapshot_queue queue = {.name = "a\"b",
						    .broker = "main",
						    .leaving = true,
						    .paused_by_operator = true,
						    .prefetch = 1,
						    .concurrency = 2,
						    .depth_known = true,
						    .messages_ready = 8,
						    .consumers = 9,
						    .rate = 1.23456,
						    .failure_rate = 0.25,
						    .oldest_usec = 1250999,
						    .view = {.state = QUEUE_PROBING,
							     .unacknowledged = 30,
							     .failures = 31,
							     .last_failure = &failure,
							     .reason = "r",
							     .attempted = true,
							     .copy_trouble = "c",
							     .worker_trouble = "w",
							     .waiting = 3,
							     .running = 4,
							     .publishing = 5,
							     .answering = 6,
							     .held = 7,
							     .counters = {.delivered = 10,
									  .acked = 11,
									  .requeued = 12,
									  .retried = 13,
									  .rejected = 14,
									  .replied = 15,
									  .replies_unroutable = 16,
									  .forwarded = 17,
									  .copies_failed = 18,
									  .reused = 19,
									  .returned = 20,
									  .lost = 21}}};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct snapshot s;

	on_look(NULL, &s);
	s.queues = &queue;
	s.n_queues = 1;
	s.last_reload_usec = 1769860802 * USEC_PER_SEC;
	s.last_reload_reason = "refused";
	control_json_status(&s, &b);
	ck_long(strbuf_str(&b),
		"{\"version\":\"1.2.3\",\"pid\":77,\"state\":\"running\",\"ready\":true,\"started\":\"2026-01-31T12:00:"
		"00Z\","
		"\"configuration\":{\"path\":\"/etc/x.conf\",\"loaded\":\"2026-01-31T12:00:01Z\"},"
		"\"last_reload\":{\"time\":\"2026-01-31T12:00:02Z\",\"ok\":false,\"reason\":\"refused\"},"
		"\"handlers\":{\"running\":2,\"max\":16},\"brokers\":["
		"{\"name\":\"main\",\"host\":\"mq1\",\"port\":5672,\"state\":\"up\",\"reason\":null,"
		"\"connects\":3,\"failures\":{\"closed\":2},"
		"\"publisher\":{\"state\":\"waiting\",\"reason\":\"refused\",\"blocked\":true,\"connects\":1,"
		"\"failures\":{\"unreachable\":4,\"other\":5}}},"
		"{\"name\":\"backup\",\"host\":\"mq2\",\"port\":5671,\"state\":\"waiting\",\"reason\":\"connection "
		"refused\",\"connects\":0,\"failures\":{},\"publisher\":null}],"
		"\"queues\":[{\"name\":\"a\\\"b\",\"broker\":\"main\",\"state\":\"probing\",\"reason\":\"r\",\"paused_"
		"by_operator\":true,"
		"\"leaving\":true,\"attempted\":true,\"consumed\":false,\"copy_trouble\":\"c\",\"worker_trouble\":"
		"\"w\",\"prefetch\":1,"
		"\"concurrency\":2,\"waiting\":3,\"running\":4,\"publishing\":5,\"answering\":6,\"held\":7,\"messages_ready\":8,\"consumers\":9,"
		"\"counters\":{\"delivered\":10,\"acked\":11,\"requeued\":12,\"retried\":13,\"rejected\":14,"
		"\"replied\":15,"
		"\"replies_unroutable\":16,\"forwarded\":17,\"copies_failed\":18,\"reused\":19,\"returned\":20,"
		"\"lost\":21},\"rate\":1.2346,\"failure_rate\":0.25,\"last_failure\":{\"time\":\"2026-01-31T12:00:03Z\","
		"\"message_id\":null,\"how\":\"exit 65\",\"decision\":\"reject\",\"text\":\"no \\\"disk\\\"\"},"
		"\"oldest_seconds\":1.25,\"unacknowledged\":30,\"breaker_failures\":31}]}\n");
}
END_TEST

START_TEST(status_of_little) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	control_json_status(&(struct snapshot){.version = "\xff\x01", .state = "starting"}, &b);
	ck_assert_str_eq(
		strbuf_str(&b),
		"{\"version\":\"\\\\xff\\\\x01\",\"pid\":0,\"state\":\"starting\",\"ready\":false,\"started\":null,"
		"\"configuration\":{\"path\":null,\"loaded\":null},\"last_reload\":null,\"handlers\":{\"running\":0,"
		"\"max\":0},"
		"\"brokers\":[],\"queues\":[]}\n");
}
END_TEST

START_TEST(status_by_socket) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct snapshot s;

	on_look(NULL, &s);
	control_json_status(&s, &b);
	ck_ask("GET", "/v1/status", 200, strbuf_str(&b));
	look_result = -ENOMEM;
	ck_ask("GET", "/v1/status", 500, "{\"error\":\"out of memory\"}\n");
}
END_TEST

/* --- orders --- */

#define QUEUE_JSON(name, broker, state, paused, running, waiting, publishing)                                          \
	"{\"name\":\"" name "\",\"broker\":\"" broker "\",\"state\":\"" state "\",\"paused_by_operator\":" paused      \
	",\"running\":" running ",\"waiting\":" waiting ",\"publishing\":" publishing "}"

START_TEST(orders_for_all) {
	ck_ask("POST", "/v1/pause", 200,
	       "{\"queues\":[" QUEUE_JSON("mail", "main", "paused", "true", "2", "3", "0") "," QUEUE_JSON(
		       "a/b", "main", "paused", "true", "0", "0", "1") "," QUEUE_JSON("mail", "backup", "paused",
										      "true", "0", "0", "0") "]}\n");
	/* Not the one that leaves. */
	ck_assert_str_eq(strbuf_str(&orders), "pause mail@main;pause a/b@main;pause mail@backup;");
	strbuf_reset(&orders);
	ck_ask("POST", "/v1/resume?broker=backup", 200,
	       "{\"queues\":[" QUEUE_JSON("mail", "backup", "consuming", "false", "0", "0", "0") "]}\n");
	ck_assert_str_eq(strbuf_str(&orders), "resume mail@backup;");
	strbuf_reset(&orders);
	ck_ask("POST", "/v1/drain?broker=nowhere", 200, "{\"queues\":[]}\n");
	ck_assert_str_eq(strbuf_str(&orders), "");
}
END_TEST

START_TEST(orders_for_one) {
	ck_ask("POST", "/v1/queues/a%2Fb/pause", 200,
	       "{\"queues\":[" QUEUE_JSON("a/b", "main", "paused", "true", "0", "0", "1") "]}\n");
	ck_ask("POST", "/v1/queues/a%2Fb/resume", 200,
	       "{\"queues\":[" QUEUE_JSON("a/b", "main", "consuming", "false", "0", "0", "1") "]}\n");
	ck_ask("POST", "/v1/queues/mail/drain?broker=backup", 200,
	       "{\"queues\":[" QUEUE_JSON("mail", "backup", "paused", "true", "0", "0", "0") "]}\n");
	ck_assert_str_eq(strbuf_str(&orders), "pause a/b@main;resume a/b@main;pause mail@backup;");
}
END_TEST

START_TEST(orders_that_make_no_sense) {
	ck_ask("POST", "/v1/queues/mail/pause", 409,
	       "{\"error\":\"there are 2 queues \\\"mail\\\": ?broker=NAME says which\"}\n");
	ck_ask("POST", "/v1/queues/mial/pause", 404,
	       "{\"error\":\"there is no queue \\\"mial\\\"; did you mean \\\"mail\\\"?\"}\n");
	ck_ask("POST", "/v1/queues/something/pause", 404, "{\"error\":\"there is no queue \\\"something\\\"\"}\n");
	ck_ask("POST", "/v1/queues/a%2Fb/pause?broker=backup", 404,
	       "{\"error\":\"there is no queue \\\"a/b\\\" at a broker \\\"backup\\\"\"}\n");
	ck_ask("POST", "/v1/queues/print/resume", 404, "{\"error\":\"there is no queue \\\"print\\\"\"}\n");
	ck_ask("POST", "/v1/queues/a/b/pause", 404, "{\"error\":\"there is nothing of this path\"}\n");
	ck_ask("GET", "/v1/queues/mail/pause", 405, "{\"error\":\"only POST is possible here\"}\n");
	ck_ask("POST", "/v1/status", 405, "{\"error\":\"only GET, HEAD is possible here\"}\n");
	ck_ask("POST", "/v2/pause", 404, "{\"error\":\"there is nothing of this path\"}\n");
	ck_assert_str_eq(strbuf_str(&orders), "");
}
END_TEST

START_TEST(orders_that_fail) {
	order_result = -ENOMEM;
	ck_ask("POST", "/v1/pause", 500, "{\"error\":\"Cannot allocate memory\"}\n");
	order_result = -ESHUTDOWN;
	ck_ask("POST", "/v1/pause", 503, "{\"error\":\"the daemon is stopping\"}\n");
	order_result = 0;
	strbuf_reset(&orders);
	state = "stopping";
	ck_ask("POST", "/v1/pause", 503, "{\"error\":\"the daemon is stopping\"}\n");
	ck_ask("POST", "/v1/queues/mail/resume", 503, "{\"error\":\"the daemon is stopping\"}\n");
	ck_assert_str_eq(strbuf_str(&orders), "");
}
END_TEST

/* --- reload --- */

/* Requests of several clients, each with what has come back so far. */
static struct asking {
	int fd;
	struct strbuf got;
} asking[16];

static void ask_reload(size_t i) {
	unsigned before = reloads;

	asking[i].fd = client_connect("socket");
	ck_assert(client_send(event, asking[i].fd, "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
	while (reloads == before)
		client_turn(event);
}

static void ck_no_answer(size_t i) {
	for (int turns = 0; turns < 5; turns++)
		client_turn(event);
	ck_assert(!client_receive(asking[i].fd, &asking[i].got));
	ck_assert_uint_eq(asking[i].got.len, 0);
}

static void ck_answer(size_t i, unsigned status, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf head = STRBUF_INIT, body = STRBUF_INIT;

	ck_assert_uint_eq(client_answer(event, asking[i].fd, &asking[i].got, &head, &body), status);
	ck_assert_str_eq(strbuf_str(&body), expected);
	strbuf_free(&asking[i].got);
	asking[i].fd = fd_close(asking[i].fd);
}

/* Nobody frees these. */
#define PROBLEM(f, l, k, t, w)                                                                                         \
	((struct config_problem){                                                                                      \
		.file = (char *)(f), .line = (l), .key = (char *)(k), .text = (char *)(t), .warning = (w)})

static const struct control_reload_result nothing_new = {.unchanged = 3};
#define NOTHING_NEW                                                                                                    \
	"{\"result\":\"reloaded\",\"added\":[],\"removed\":[],\"changed\":[],\"unchanged\":3,\"warnings\":[]}\n"

START_TEST(a_reload_is_answered_when_it_is_done) {
	struct config_problem warning = PROBLEM("/etc/x.conf", 3, "queues[0].prefetch", "odd", true);
	struct config_problems problems = {.items = &warning, .n = 1};

	ask_reload(0);
	ck_no_answer(0);
	control_reload_done(control, &(struct control_reload_result){.problems = &problems,
								     .added = (const char *const[]){"a", "b"},
								     .n_added = 2,
								     .removed = (const char *const[]){"c"},
								     .n_removed = 1,
								     .changed = (const char *const[]){"d"},
								     .n_changed = 1,
								     .unchanged = 2});
	ck_answer(0, 200,
		  "{\"result\":\"reloaded\",\"added\":[\"a\",\"b\"],\"removed\":[\"c\"],\"changed\":[\"d\"],"
		  "\"unchanged\":2,\"warnings\":["
		  "{\"file\":\"/etc/x.conf\",\"line\":3,\"key\":\"queues[0].prefetch\",\"text\":\"odd\"}]}\n");
}
END_TEST

START_TEST(a_refused_configuration_is_told) {
	struct config_problem items[] = {PROBLEM("/etc/x.conf", 0, NULL, "cannot be read", false),
					 PROBLEM("/etc/y.conf", 7, "k", "w", true),
					 PROBLEM("/etc/y.conf", 8, "broker.url", "no URL", false)};
	struct config_problems problems = {.items = items, .n = 3, .n_errors = 2};

	ask_reload(0);
	control_reload_done(control, &(struct control_reload_result){.problems = &problems});
	ck_answer(0, 422,
		  "{\"error\":\"the configuration is refused\",\"problems\":["
		  "{\"file\":\"/etc/x.conf\",\"line\":null,\"key\":null,\"text\":\"cannot be read\"},"
		  "{\"file\":\"/etc/y.conf\",\"line\":8,\"key\":\"broker.url\",\"text\":\"no URL\"}],"
		  "\"warnings\":[{\"file\":\"/etc/y.conf\",\"line\":7,\"key\":\"k\",\"text\":\"w\"}]}\n");
}
END_TEST

START_TEST(a_reload_that_fails_is_told) {
	ask_reload(0);
	control_reload_done(control, &(struct control_reload_result){.failure = "out of memory"});
	ck_answer(0, 500, "{\"error\":\"out of memory\"}\n");
	reload_result = -ESHUTDOWN;
	ask_reload(1);
	ck_answer(1, 503, "{\"error\":\"the daemon is stopping\"}\n");
	reload_result = -EMFILE;
	ask_reload(1);
	ck_answer(1, 500, "{\"error\":\"Too many open files\"}\n");
}
END_TEST

/* The one that is under way may have read the file before they asked. */
START_TEST(who_asks_during_a_reload_waits_for_the_next) {
	ask_reload(0);
	reload_result = -EBUSY;
	ask_reload(1);
	ask_reload(2);
	control_reload_done(control, &nothing_new);
	ck_answer(0, 200, NOTHING_NEW);
	ck_no_answer(1);
	ck_no_answer(2);
	control_reload_done(control, &(struct control_reload_result){.failure = "the second"});
	ck_answer(1, 500, "{\"error\":\"the second\"}\n");
	ck_answer(2, 500, "{\"error\":\"the second\"}\n");
}
END_TEST

/* A SIGHUP has begun one that nobody waits for. */
START_TEST(who_asks_during_a_reload_of_others_waits_for_the_next) {
	reload_result = -EBUSY;
	ask_reload(0);
	control_reload_done(control, &nothing_new);
	ck_no_answer(0);
	control_reload_done(control, &nothing_new);
	ck_answer(0, 200, NOTHING_NEW);
	control_reload_done(control, &nothing_new);
}
END_TEST

/* Of those who ask and those who wait there are 16 in all. */
START_TEST(a_crowd_that_wants_a_reload_is_refused) {
	ask_reload(0);
	reload_result = -EBUSY;
	for (size_t i = 1; i < 16; i++)
		ask_reload(i);
	ck_ask("POST", "/v1/reload", 503, "{\"error\":\"too many requests for a reload\"}\n");
	ck_assert_uint_eq(reloads, 16);
	control_reload_done(control, &nothing_new);
	ck_answer(0, 200, NOTHING_NEW);
	/* There is one place again. */
	ask_reload(0);
	ck_ask("POST", "/v1/reload", 503, "{\"error\":\"too many requests for a reload\"}\n");
	control_reload_done(control, &nothing_new);
	for (size_t i = 1; i < 16; i++)
		ck_answer(i, 200, NOTHING_NEW);
	ck_no_answer(0);
	control_reload_done(control, &nothing_new);
	ck_answer(0, 200, NOTHING_NEW);
}
END_TEST

START_TEST(who_asked_for_a_reload_may_go) {
	ask_reload(0);
	fd_close(asking[0].fd);
	for (int turns = 0; turns < 5; turns++)
		client_turn(event);
	control_reload_done(control, &nothing_new);
	ck_ask("POST", "/v1/drain?broker=nowhere", 200, "{\"queues\":[]}\n");
}
END_TEST

START_TEST(the_daemon_may_go_while_somebody_waits) {
	ask_reload(0);
	reload_result = -EBUSY;
	ask_reload(1);
	control = control_free(control);
	client_receive_all(event, asking[0].fd, &asking[0].got);
	client_receive_all(event, asking[1].fd, &asking[1].got);
	ck_assert_uint_eq(asking[0].got.len + asking[1].got.len, 0);
	fd_close(asking[0].fd);
	fd_close(asking[1].fd);
}
END_TEST

/* A reload may come with another socket. */
START_TEST(another_socket_keeps_who_waits) {
	ask_reload(0);
	ck_assert_int_eq(control_listen(control, client_listener("other", 1), (gid_t)-1), 0);
	control_reload_done(control, &nothing_new);
	ck_answer(0, 200, NOTHING_NEW);
	ck_assert_int_eq(rename("other", "socket"), 0);
	ck_ask("POST", "/v1/drain?broker=nowhere", 200, "{\"queues\":[]}\n");
}
END_TEST

/* --- who may --- */

static bool may(const struct http_peer *peer, uid_t own, gid_t group) {
	return control_may(
		peer, &(struct control_rule){.own = own, .group = group, .overflow_uid = 65534, .overflow_gid = 65533});
}

START_TEST(who_may_give_orders) {
	static const gid_t groups[] = {30, 40};
	const struct http_peer anybody = {.known = true, .uid = 1000, .gid = 20, .groups = groups, .n_groups = 2};

	ck_assert(may(&(struct http_peer){.known = true}, 500, 10));
	ck_assert(may(&anybody, 1000, 10));
	ck_assert(may(&anybody, 500, 20));
	ck_assert(may(&anybody, 500, 40));
	ck_assert(!may(&anybody, 500, 10));
	ck_assert(!may(&anybody, 500, (gid_t)-1));
	ck_assert(!may(&(struct http_peer){.known = true, .uid = 1000, .gid = (gid_t)-1}, 500, (gid_t)-1));
	/* Not a user of number 0, but one that is not known. */
	ck_assert(!may(&(struct http_peer){0}, 0, 0));
}
END_TEST

/* As a daemon in a user namespace of its own sees users and groups that this does not have. */
START_TEST(nobody_in_particular_may_nothing) {
	static const gid_t groups[] = {65533, 40};
	const struct http_peer outsider = {.known = true, .uid = 65534, .gid = 65533, .groups = groups, .n_groups = 2};

	ck_assert(!may(&outsider, 500, 65533));
	ck_assert(!may(&outsider, 65534, 10));
	ck_assert(!may(&(struct http_peer){.known = true, .uid = 1000, .groups = groups, .n_groups = 1}, 500, 65533));
	/* By a group that is known, and root. */
	ck_assert(may(&outsider, 500, 40));
	ck_assert(may(&(struct http_peer){.known = true, .gid = 65533}, 65534, 65533));
	/* Of either kind there is one number. */
	ck_assert(may(&(struct http_peer){.known = true, .uid = 65533}, 65533, 10));
	ck_assert(may(&(struct http_peer){.known = true, .uid = 1000, .gid = 65534}, 500, 65534));
}
END_TEST

static void ask_as_nobody(void) {
	static const char request[] =
		"POST /v1/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	char answer[1024] = "";
	size_t len = 0;
	ssize_t n;
	int fd;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(2);
	fd = client_connect("socket");
	(void)fcntl(fd, F_SETFL, 0);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
		_exit(3);
	while ((n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
		len += (size_t)n;
	_exit(strncmp(answer, "HTTP/1.1 403 ", 13) == 0 && strstr(answer, "{\"error\":\"only root, ") ? 0 : 4);
}

START_TEST(strangers_are_refused) {
	int status = -1;
	pid_t pid;

	/* Only root can become somebody else. */
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(".", 0755), 0);
	ck_assert_int_eq(chmod("socket", 0666), 0);
	for (int i = 0; i < 2; i++) {
		uint64_t until = clock_now_usec() + CLIENT_PATIENCE_USEC;

		pid = fork();
		if (pid == 0)
			ask_as_nobody();
		while (waitpid(pid, &status, WNOHANG) == 0) {
			ck_assert_uint_lt(clock_now_usec(), until);
			client_turn(event);
		}
		ck_assert_int_eq(status, 0);
	}
	ck_assert_str_eq(strbuf_str(&orders), "");
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "pure", status_tells_everything, status_of_little, who_may_give_orders,
		 nobody_in_particular_may_nothing);
	ADD_FIXTURE_CASE(suite, "routes", setup, teardown, status_by_socket, orders_for_all, orders_for_one,
			 orders_that_make_no_sense, orders_that_fail, handlers_are_listed, a_handler_is_killed);
	ADD_FIXTURE_CASE(
		suite, "reload", setup, teardown, a_reload_is_answered_when_it_is_done, a_refused_configuration_is_told,
		a_reload_that_fails_is_told, who_asks_during_a_reload_waits_for_the_next,
		who_asks_during_a_reload_of_others_waits_for_the_next, a_crowd_that_wants_a_reload_is_refused,
		who_asked_for_a_reload_may_go, the_daemon_may_go_while_somebody_waits, another_socket_keeps_who_waits);
	ADD_FIXTURE_CASE(suite, "access", setup, teardown, strangers_are_refused);
}

CHECK_MAIN("control", add_cases)
