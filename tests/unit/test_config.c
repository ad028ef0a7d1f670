/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "config/statuses.h"
#include "config_files.h"

static char *dump(const struct config *c) {
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(config_dump(c, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

START_TEST(the_shortest_configuration_gets_all_defaults) {
	struct config *c = load_text("broker = { url = \"amqp://localhost\"; };\n" QUEUES);
	const struct config_broker *b = &c->brokers[0];
	const struct config_queue *q = &c->queues[0];

	ck_assert_str_eq(c->path, "a.conf");
	ck_assert_int_eq(c->ready, CONFIG_READY_ATTEMPTED);
	ck_assert_uint_eq(c->drain_timeout_usec, USEC_PER_MINUTE);
	ck_assert_uint_eq(c->max_handlers, 64);
	ck_assert_uint_eq(c->max_message_size, 128U << 20);
	ck_assert_uint_eq(c->n_brokers, 1);
	ck_assert_str_eq(b->name, "default");
	ck_assert_str_eq(b->addresses[0].host, "localhost");
	ck_assert_uint_eq(b->addresses[0].port, 5672);
	ck_assert_str_eq(b->addresses[0].vhost, "/");
	ck_assert_str_eq(b->addresses[0].username, "guest");
	ck_assert_str_eq(b->addresses[0].password, "guest");
	ck_assert_ptr_null(b->connection_name);
	ck_assert_uint_eq(b->heartbeat, 30);
	ck_assert_uint_eq(b->connect_timeout_usec, 10 * USEC_PER_SEC);
	ck_assert_uint_eq(b->reconnect_min_usec, USEC_PER_SEC);
	ck_assert_uint_eq(b->reconnect_max_usec, 30 * USEC_PER_SEC);
	ck_assert_uint_eq(c->n_queues, 1);
	ck_assert_str_eq(q->name, "q");
	ck_assert_ptr_eq(q->broker, b);
	ck_assert_uint_eq(q->prefetch, 1);
	ck_assert_uint_eq(q->concurrency, 1);
	ck_assert(!q->has_priority && !q->exclusive && !q->declare.present);
	ck_assert_ptr_null(q->consumer_tag);
	ck_assert_uint_eq(q->arguments.n, 0);
	ck_assert_uint_eq(q->n_bindings, 0);
	ck_assert_str_eq(q->handler.command[0], "/bin/true");
	ck_assert_ptr_null(q->handler.command[1]);
	ck_assert_str_eq(q->handler.directory, "/");
	ck_assert_uint_eq(q->handler.timeout_usec, 25 * USEC_PER_MINUTE);
	ck_assert_uint_eq(q->handler.kill_grace_usec, 10 * USEC_PER_SEC);
	ck_assert_uint_eq(q->requeue_delay_usec, USEC_PER_SEC);
	ck_assert_uint_eq(q->requeue_max_delay_usec, USEC_PER_MINUTE);
	config_unref(c);
}
END_TEST

/* A set as text. Static. */
static const char *statuses_text(const struct config_statuses *s) {
	static char text[64];
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	statuses_format(s, &b);
	ck_assert_uint_lt(b.len, sizeof(text));
	(void)snprintf(text, sizeof(text), "%s", strbuf_str(&b));
	return text;
}

START_TEST(without_outcomes_only_success_is_acknowledged) {
	struct config *c = load_text(QUEUES);
	const struct config_broker *b = &c->brokers[0];
	const struct config_queue *q = &c->queues[0];

	ck_assert_uint_eq(b->n_addresses, 1);
	ck_assert(!b->addresses[0].tls);
	ck_assert_int_eq(b->auth, CONFIG_AUTH_PLAIN);
	ck_assert_uint_eq(b->confirm_timeout_usec, 30 * USEC_PER_SEC);
	ck_assert(b->tls.verify && !b->tls.ca_file && !b->tls.cert_file && !b->tls.key_file && !b->tls.key_password);
	ck_assert(!b->tls.server_name && b->tls.min_version == CONFIG_TLS_1_2);
	ck_assert_str_eq(statuses_text(&q->outcomes.ack), "0");
	ck_assert_str_eq(statuses_text(&q->outcomes.requeue), "");
	ck_assert_str_eq(statuses_text(&q->outcomes.retry), "");
	ck_assert_str_eq(statuses_text(&q->outcomes.reject), "");
	ck_assert_int_eq(q->outcomes.otherwise, OUTCOME_REQUEUE);
	ck_assert_int_eq(q->outcomes.on_timeout, OUTCOME_REQUEUE);
	ck_assert_int_eq(q->outcomes.on_signal, OUTCOME_REQUEUE);
	ck_assert_int_eq(q->outcomes.on_too_large, CONFIG_TOO_LARGE_REQUEUE);
	ck_assert_uint_eq(q->retry.delay_usec, 10 * USEC_PER_SEC);
	ck_assert(q->retry.multiplier == 2.0 && q->retry.jitter == 0.0);
	ck_assert_uint_eq(q->retry.max_delay_usec, 15 * USEC_PER_MINUTE);
	ck_assert_uint_eq(q->retry.max_attempts, 10);
	ck_assert_int_eq(q->retry.queue_type, CONFIG_QUEUE_QUORUM);
	ck_assert(!q->dead_letter.present);
	ck_assert_uint_eq(q->breaker.failures, 0);
	ck_assert_uint_eq(q->breaker.cooldown_usec, 30 * USEC_PER_SEC);
	ck_assert_uint_eq(q->results.keep, 1000);
	ck_assert_uint_eq(q->results.max_age_usec, 60 * USEC_PER_MINUTE);
	ck_assert(!config_queue_publishes(q));
	config_unref(c);
}
END_TEST

START_TEST(defaults_follow_other_keys) {
	struct config *c = load_text(
		"limits = { max_handlers = 4; };\n"
		"defaults = { handler = { command = [ \"/bin/true\" ]; }; dead_letter = { exchange = \"dead\"; }; };\n"
		"queues = (\n"
		"  { name = \"a\"; concurrency = 3; outcomes = { otherwise = \"retry\"; on_signal = \"reject\"; };\n"
		"    declare = { type = \"quorum\"; }; retry = { delay = \"20min\"; }; requeue = { delay = \"3min\"; "
		"}; },\n"
		"  { name = \"b\"; prefetch = 3; outcomes = { ack = []; otherwise = \"ack\"; };\n"
		"    declare = { arguments = { x-queue-type = \"quorum\"; }; }; },\n"
		"  { name = \"c\"; declare = { type = \"quorum\"; }; retry = { queue_type = \"classic\"; };\n"
		"    outcomes = { otherwise = \"reject\"; }; },\n"
		"  { name = \"d\"; declare = { type = \"classic\"; }; requeue = { delay = 2; max_delay = 2; }; }\n"
		");\n");
	const struct config_queue *q = c->queues;

	ck_assert_uint_eq(q[0].prefetch, 3);
	ck_assert_uint_eq(q[1].prefetch, 3);
	ck_assert_int_eq(q[0].outcomes.on_timeout, OUTCOME_RETRY);
	ck_assert_int_eq(q[0].outcomes.on_signal, OUTCOME_REJECT);
	ck_assert_int_eq(q[0].retry.queue_type, CONFIG_QUEUE_QUORUM);
	ck_assert_uint_eq(q[0].retry.max_delay_usec, 20 * USEC_PER_MINUTE);
	ck_assert_uint_eq(q[0].requeue_max_delay_usec, 3 * USEC_PER_MINUTE);
	ck_assert_str_eq(statuses_text(&q[1].outcomes.ack), "");
	ck_assert_int_eq(q[1].outcomes.on_timeout, OUTCOME_REQUEUE);
	ck_assert_int_eq(q[1].outcomes.on_signal, OUTCOME_REQUEUE);
	ck_assert_int_eq(q[1].retry.queue_type, CONFIG_QUEUE_QUORUM);
	ck_assert_int_eq(q[2].retry.queue_type, CONFIG_QUEUE_CLASSIC);
	ck_assert_int_eq(q[2].outcomes.on_timeout, OUTCOME_REJECT);
	ck_assert_int_eq(q[3].retry.queue_type, CONFIG_QUEUE_CLASSIC);
	ck_assert_uint_eq(q[3].requeue_max_delay_usec, 2 * USEC_PER_SEC);
	for (size_t i = 0; i < c->n_queues; i++)
		ck_assert(config_queue_publishes(&q[i]));
	config_unref(c);
}
END_TEST

START_TEST(no_more_is_prefetched_than_can_run) {
	struct config_problems problems = {0};
	struct config *c = NULL, *again;
	char *text;

	scratch_write("a.conf", 0640, "limits = { max_handlers = 4; };\ndefaults = { concurrency = 9; };\n" QUEUES);
	ck_assert_int_eq(config_load_for("a.conf", &nobodys_privileges, &problems, &c), 0);
	ck_assert_uint_eq(problems.n, 1); /* of concurrency */
	config_problems_clear(&problems);
	ck_assert_uint_eq(c->queues[0].prefetch, 4);
	text = dump(c);
	scratch_write("a.conf", 0640, text);
	ck_assert_int_eq(config_load_for("a.conf", &nobodys_privileges, &problems, &again), 0);
	ck_assert_uint_eq(problems.n, 1);
	ck_assert_uint_eq(again->queues[0].prefetch, 4);
	config_problems_clear(&problems);
	free(text);
	config_unref(c);
	config_unref(again);
}
END_TEST

START_TEST(without_a_broker_it_is_the_local_one) {
	struct config *c = load_text(QUEUES);

	ck_assert_uint_eq(c->n_brokers, 1);
	ck_assert_str_eq(c->brokers[0].name, "default");
	ck_assert_str_eq(c->brokers[0].addresses[0].host, "localhost");
	ck_assert_ptr_eq(c->queues[0].broker, &c->brokers[0]);
	config_unref(c);
}
END_TEST

/* Loads what is right and has one warning, which contains this. */
static struct config *load_warned(const char *content, const char *warning) {
	struct config_problems problems = {0};
	struct config *c = NULL;
	char *text;

	scratch_write("a.conf", 0640, content);
	ck_assert_int_eq(config_load_for("a.conf", &nobodys_privileges, &problems, &c), 0);
	text = problems_text(&problems);
	ck_assert_msg(problems.n == 1 && problems.items[0].warning && strstr(text, warning), "%s", text);
	free(text);
	config_problems_clear(&problems);
	return c;
}

#define ENDLESS "queues[0].handler.timeout: warning: infinity, and then requeue.max_delay (2h): the broker delivers"

static const char all_keys[] =
	"brokers = (\n"
	"  { name = \"main\"; url = \"amqp://u:p@[::1]:5673/v%2Fh\"; username = \"me\"; password = "
	"\"s\\x01\\\"\\\\ecret\";\n"
	"    heartbeat = \"1min\"; connect_timeout = 2.5; reconnect = { min_delay = \"250ms\"; max_delay = 5; };\n"
	"    connection_name = \"here \\\"quoted\\\" \\n caf\xc3\xa9\"; },\n"
	"  { name = \"second\"; url = \"amqp://second/\"; heartbeat = 0; },\n"
	"  { name = \"cluster\"; confirm_timeout = \"1500ms\"; tls = { server_name = \"rabbit\"; min_version = "
	"\"1.3\"; };\n"
	"    urls = [ \"amqps://a%40b:s1ecret@one/v\", \"amqp://two:5671\", \"amqps://c:s2ecret@[::2]:1\" ]; }\n"
	");\n"
	"limits = { max_handlers = 100; max_message_size = 4294967297; };\n"
	"ready = \"consuming\";\n"
	"drain_timeout = \"infinity\";\n"
	"queues = (\n"
	"  { name = \"a b  c\"; broker = \"second\"; prefetch = 20; concurrency = 10.0; priority = -5; exclusive = "
	"true;\n"
	"    consumer_tag = \"tag\";\n"
	"    arguments = { x-int = 5; x-long = 5L; x-big = 3000000000; x-hex = 0xFFFFFFFF; x-min = -2147483648;\n"
	"      x-float = 0.1; x-whole = 2.0; x-tiny = 1.0e-300; x-true = TRUE; x-text = \"t\\x7f\"; x-empty = \"\";\n"
	"      x-table = { a = 1; b = { c = \"d\"; }; e = { }; }; x-array = [ 1, 2 ]; x-list = ( 1, \"two\", { three = "
	"3; }, ( ) ); };\n"
	"    declare = { durable = false; auto_delete = true; type = \"classic\"; arguments = { x-message-ttl = 60000; "
	"x-dead-letter-exchange = \"\"; }; };\n"
	"    bindings = ( { exchange = \"x\"; exchange_type = \"topic\"; routing_keys = [ \"a.*\", \"#\" ]; },\n"
	"                 { exchange = \"h\"; routing_keys = \"one\"; arguments = { x-match = \"all\"; }; }, { "
	"exchange = \"f\"; } );\n"
	"    handler = { command = [ \"/bin/echo\", \"-n\", \"\", \"two words\" ]; environment = { A = \"1=2\"; B_2 = "
	"\"\"; };\n"
	"      directory = \"/var/tmp\"; timeout = \"infinity\"; kill_grace = 0; };\n"
	"    outcomes = { ack = ( \"0-3\", 99 ); requeue = [ 4, 6, 5 ]; retry = 75; reject = [ \"64-74\", \"76-78\", "
	"\"255\" ];\n"
	"      otherwise = \"reject\"; on_timeout = \"retry\"; on_signal = \"requeue\"; on_too_large = \"reject\"; };\n"
	"    requeue = { delay = \"1h 30min\"; max_delay = \"2h\"; };\n"
	"    retry = { delay = \"1.5s\"; multiplier = 1.1; max_delay = \"30d\"; jitter = 1; max_attempts = 0; "
	"queue_type = "
	"\"quorum\"; };\n"
	"    dead_letter = { exchange = \"dead \\\"x\\\"\"; routing_key = \"\"; };\n"
	"    breaker = { failures = 20; cooldown = \"90s\"; };\n"
	"    results = { keep = 0; max_age = \"1d\"; }; }\n"
	");\n";

static const struct field *argument(const struct table *t, const char *name, enum field_kind kind) {
	const struct field *f = table_find(t, name);

	ck_assert_msg(f != NULL, "%s", name);
	ck_assert_msg(f->kind == kind, "%s: %c", name, (char)f->kind);
	return f;
}

static void assert_arguments(const struct table *t) {
	const struct field *f;

	ck_assert_uint_eq(t->n, 14);
	ck_assert_int_eq(argument(t, "x-int", FIELD_I32)->i, 5);
	ck_assert_int_eq(argument(t, "x-long", FIELD_I64)->i, 5);
	ck_assert_int_eq(argument(t, "x-big", FIELD_I64)->i, INT64_C(3000000000));
	ck_assert_int_eq(argument(t, "x-hex", FIELD_I64)->i, INT64_C(0xFFFFFFFF));
	ck_assert_int_eq(argument(t, "x-min", FIELD_I32)->i, INT32_MIN);
	ck_assert(argument(t, "x-float", FIELD_F64)->f == 0.1);
	ck_assert(argument(t, "x-whole", FIELD_F64)->f == 2.0);
	ck_assert(argument(t, "x-tiny", FIELD_F64)->f == 1.0e-300);
	ck_assert(argument(t, "x-true", FIELD_BOOLEAN)->boolean);
	ck_assert_str_eq(argument(t, "x-text", FIELD_STRING)->text.data, "t\x7f");
	ck_assert_uint_eq(argument(t, "x-text", FIELD_STRING)->text.len, 2);
	ck_assert_uint_eq(argument(t, "x-empty", FIELD_STRING)->text.len, 0);
	f = argument(t, "x-table", FIELD_TABLE);
	ck_assert_uint_eq(f->table.n, 3);
	ck_assert_str_eq(argument(&argument(&f->table, "b", FIELD_TABLE)->table, "c", FIELD_STRING)->text.data, "d");
	ck_assert_uint_eq(argument(&f->table, "e", FIELD_TABLE)->table.n, 0);
	f = argument(t, "x-array", FIELD_ARRAY);
	ck_assert_uint_eq(f->table.n, 2);
	ck_assert_int_eq(f->table.fields[1].i, 2);
	ck_assert_ptr_null(f->table.fields[1].name.data);
	f = argument(t, "x-list", FIELD_ARRAY);
	ck_assert_uint_eq(f->table.n, 4);
	ck_assert_str_eq(f->table.fields[1].text.data, "two");
	ck_assert_int_eq(argument(&f->table.fields[2].table, "three", FIELD_I32)->i, 3);
	ck_assert_int_eq(f->table.fields[3].kind, FIELD_ARRAY);
}

static void assert_address(const struct config_address *a, const char *host, unsigned port, const char *vhost,
			   const char *username, bool tls) {
	ck_assert_str_eq(a->host, host);
	ck_assert_uint_eq(a->port, port);
	ck_assert_str_eq(a->vhost, vhost);
	ck_assert_str_eq(a->username, username);
	ck_assert(a->tls == tls);
}

static void assert_brokers(const struct config *c, const char *password) {
	const struct config_broker *b = c->brokers;

	ck_assert_uint_eq(c->n_brokers, 3);
	ck_assert_str_eq(b[0].name, "main");
	ck_assert_str_eq(b[0].addresses[0].host, "::1");
	ck_assert_uint_eq(b[0].addresses[0].port, 5673);
	ck_assert_str_eq(b[0].addresses[0].vhost, "v/h");
	ck_assert_str_eq(b[0].addresses[0].username, "me");
	ck_assert_str_eq(b[0].addresses[0].password, password);
	ck_assert_uint_eq(b[0].heartbeat, 60);
	ck_assert_uint_eq(b[0].connect_timeout_usec, 2500000);
	ck_assert_uint_eq(b[0].reconnect_min_usec, 250000);
	ck_assert_uint_eq(b[0].reconnect_max_usec, 5 * USEC_PER_SEC);
	ck_assert_str_eq(b[0].connection_name, "here \"quoted\" \n caf\xc3\xa9");
	ck_assert_str_eq(b[1].name, "second");
	ck_assert_str_eq(b[1].addresses[0].host, "second");
	ck_assert_str_eq(b[1].addresses[0].vhost, "");
	ck_assert_uint_eq(b[1].heartbeat, 0);
	ck_assert_uint_eq(b[1].reconnect_max_usec, 30 * USEC_PER_SEC);
	ck_assert_uint_eq(b[2].n_addresses, 3);
	assert_address(&b[2].addresses[0], "one", 5671, "v", "a@b", true);
	assert_address(&b[2].addresses[1], "two", 5671, "/", "guest", false);
	assert_address(&b[2].addresses[2], "::2", 1, "/", "c", true);
	ck_assert_uint_eq(b[2].confirm_timeout_usec, 1500000);
	ck_assert_str_eq(b[2].tls.server_name, "rabbit");
	ck_assert_int_eq(b[2].tls.min_version, CONFIG_TLS_1_3);
	ck_assert(b[2].tls.verify);
}

static void assert_queue(const struct config *c) {
	const struct config_queue *q = c->queues;

	ck_assert_uint_eq(c->n_queues, 1);
	ck_assert_str_eq(q->name, "a b  c");
	ck_assert_ptr_eq(q->broker, &c->brokers[1]);
	ck_assert_uint_eq(q->prefetch, 20);
	ck_assert_uint_eq(q->concurrency, 10);
	ck_assert(q->has_priority);
	ck_assert_int_eq(q->priority, -5);
	ck_assert(q->exclusive);
	ck_assert_str_eq(q->consumer_tag, "tag");
	ck_assert(q->declare.present && !q->declare.durable && q->declare.auto_delete);
	ck_assert_str_eq(q->declare.type, "classic");
	ck_assert_int_eq(argument(&q->declare.arguments, "x-message-ttl", FIELD_I32)->i, 60000);
	ck_assert_uint_eq(q->n_bindings, 3);
	ck_assert_str_eq(q->bindings[0].exchange, "x");
	ck_assert_str_eq(q->bindings[0].exchange_type, "topic");
	ck_assert_str_eq(q->bindings[0].routing_keys[0], "a.*");
	ck_assert_str_eq(q->bindings[0].routing_keys[1], "#");
	ck_assert_ptr_null(q->bindings[0].routing_keys[2]);
	ck_assert_ptr_null(q->bindings[1].exchange_type);
	ck_assert_str_eq(q->bindings[1].routing_keys[0], "one");
	ck_assert_str_eq(argument(&q->bindings[1].arguments, "x-match", FIELD_STRING)->text.data, "all");
	ck_assert_str_eq(q->bindings[2].routing_keys[0], "");
	ck_assert_ptr_null(q->bindings[2].routing_keys[1]);
	ck_assert_str_eq(q->handler.command[0], "/bin/echo");
	ck_assert_str_eq(q->handler.command[2], "");
	ck_assert_str_eq(q->handler.command[3], "two words");
	ck_assert_ptr_null(q->handler.command[4]);
	ck_assert_str_eq(q->handler.environment[0], "A=1=2");
	ck_assert_str_eq(q->handler.environment[1], "B_2=");
	ck_assert_ptr_null(q->handler.environment[2]);
	ck_assert_str_eq(q->handler.directory, "/var/tmp");
	ck_assert_uint_eq(q->handler.timeout_usec, USEC_INFINITY);
	ck_assert_uint_eq(q->handler.kill_grace_usec, 0);
	ck_assert_uint_eq(q->requeue_delay_usec, 90 * USEC_PER_MINUTE);
	ck_assert_uint_eq(q->requeue_max_delay_usec, 120 * USEC_PER_MINUTE);
}

static void assert_outcomes(const struct config_queue *q) {
	ck_assert_str_eq(statuses_text(&q->outcomes.ack), "0-3, 99");
	ck_assert_str_eq(statuses_text(&q->outcomes.requeue), "4-6");
	ck_assert_str_eq(statuses_text(&q->outcomes.retry), "75");
	ck_assert_str_eq(statuses_text(&q->outcomes.reject), "64-74, 76-78, 255");
	ck_assert_int_eq(q->outcomes.otherwise, OUTCOME_REJECT);
	ck_assert_int_eq(q->outcomes.on_timeout, OUTCOME_RETRY);
	ck_assert_int_eq(q->outcomes.on_signal, OUTCOME_REQUEUE);
	ck_assert_int_eq(q->outcomes.on_too_large, CONFIG_TOO_LARGE_REJECT);
	ck_assert_uint_eq(q->retry.delay_usec, 1500000);
	ck_assert(q->retry.multiplier == 1.1 && q->retry.jitter == 1.0);
	ck_assert_uint_eq(q->retry.max_delay_usec, UINT64_C(30) * 24 * 60 * USEC_PER_MINUTE);
	ck_assert_uint_eq(q->retry.max_attempts, 0);
	ck_assert_int_eq(q->retry.queue_type, CONFIG_QUEUE_QUORUM);
	ck_assert(q->dead_letter.present);
	ck_assert_str_eq(q->dead_letter.exchange, "dead \"x\"");
	ck_assert_str_eq(q->dead_letter.routing_key, "");
	ck_assert_uint_eq(q->breaker.failures, 20);
	ck_assert_uint_eq(q->breaker.cooldown_usec, 90 * USEC_PER_SEC);
	ck_assert_uint_eq(q->results.keep, 0);
	ck_assert_uint_eq(q->results.max_age_usec, 24 * 60 * USEC_PER_MINUTE);
}

static void assert_all(const struct config *c, const char *password) {
	ck_assert_int_eq(c->ready, CONFIG_READY_CONSUMING);
	ck_assert_uint_eq(c->drain_timeout_usec, USEC_INFINITY);
	ck_assert_uint_eq(c->max_handlers, 100);
	ck_assert_uint_eq(c->max_message_size, UINT64_C(4294967297));
	assert_brokers(c, password);
	assert_queue(c);
	assert_outcomes(c->queues);
	assert_arguments(&c->queues[0].arguments);
}

START_TEST(every_key_is_read) {
	struct config *c = load_warned(all_keys, ENDLESS);

	assert_all(c, "s\x01\"\\ecret");
	ck_assert_str_eq(c->brokers[2].addresses[0].password, "s1ecret");
	ck_assert_str_eq(c->brokers[2].addresses[1].password, "guest");
	ck_assert_str_eq(c->brokers[2].addresses[2].password, "s2ecret");
	config_unref(c);
}
END_TEST

START_TEST(a_dump_reads_back_as_the_same) {
	struct config *c = load_warned(all_keys, ENDLESS), *again;
	char *first = dump(c), *second;

	ck_assert_ptr_null(strstr(first, "\\ecret"));
	ck_assert_ptr_nonnull(strstr(first, "password = \"********\";"));
	ck_assert_ptr_nonnull(strstr(first, "delay = \"1h 30min\";"));
	ck_assert_ptr_nonnull(strstr(first, "ack = ( \"0-3\", 99 );"));
	ck_assert_ptr_nonnull(strstr(first, "multiplier = 1.1;"));
	/* Users who differ stand in the URLs, one who is the same everywhere is a key. */
	ck_assert_ptr_nonnull(strstr(first, "urls = [ \"amqps://a%40b@one:5671/v\", \"amqp://guest@two:5671/%2F\", "
					    "\"amqps://c@[::2]:1/%2F\" ];"));
	ck_assert_ptr_nonnull(strstr(first, "url = \"amqp://[::1]:5673/v%2Fh\";\n\tusername = \"me\";"));
	again = load_warned(first, ENDLESS);
	assert_all(again, "********");
	second = dump(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	config_unref(c);
	config_unref(again);
}
END_TEST

START_TEST(a_dump_tells_where_keys_are_and_not_what_they_are) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct config *c, *again;
	char *first, *second;

	scratch_write("file", 0600, "sEcReT\n");
	strbuf_printf(&b,
		      "broker = { urls = [ \"amqps://one\", \"amqps://two\" ]; username = \"u\"; auth = \"external\";\n"
		      "password_file = \"%s/file\"; tls = { ca_file = \"%s/file\"; cert_file = \"%s/file\";\n"
		      "key_file = \"%s/file\"; key_password_file = \"%s/file\"; }; };\n" QUEUES,
		      scratch_path, scratch_path, scratch_path, scratch_path, scratch_path);
	c = load_text(strbuf_str(&b));
	ck_assert_int_eq(c->brokers[0].auth, CONFIG_AUTH_EXTERNAL);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(c->brokers[0].addresses[i].username, "u");
		ck_assert_str_eq(c->brokers[0].addresses[i].password, "sEcReT");
	}
	first = dump(c);
	ck_assert_ptr_null(strstr(first, "sEcReT"));
	again = load_text(first);
	ck_assert_str_eq(again->brokers[0].tls.key_password, "sEcReT");
	ck_assert_str_eq(again->brokers[0].tls.key_file, c->brokers[0].tls.key_file);
	second = dump(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	config_unref(c);
	config_unref(again);
}
END_TEST

/* The files' names, without their folders. */
static void has_secret_files(const char *text, const char *const *names, size_t n) {
	struct config *c = load_text(text);

	ck_assert_uint_eq(c->n_secret_files, n);
	for (size_t i = 0; i < n; i++) {
		const char *slash = strrchr(c->secret_files[i], '/');

		ck_assert_str_eq(slash ? slash + 1 : c->secret_files[i], names[i]);
	}
	config_unref(c);
}
#define HAS_SECRET_FILES(text, ...)                                                                                    \
	has_secret_files(text, (const char *const[]){__VA_ARGS__}, ARRAY_SIZE(((const char *const[]){__VA_ARGS__})))

START_TEST(files_with_secrets_are_known) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	scratch_write("password", 0600, "p\n");
	scratch_write("key", 0600, "k\n");
	scratch_write("key-password", 0600, "p\n");
	scratch_write("cert", 0600, "c\n");
	scratch_write("broker.inc", 0600, "broker = { password = \"p\"; };\n");
	has_secret_files("broker = { url = \"amqp://user@host\"; };\n" QUEUES, NULL, 0);
	HAS_SECRET_FILES("broker = { url = \"amqp://user:p@host\"; };\n" QUEUES, "a.conf");
	HAS_SECRET_FILES("broker = { password = \"p\"; };\n" QUEUES, "a.conf");
	HAS_SECRET_FILES("@include \"broker.inc\"\n" QUEUES, "broker.inc");
	strbuf_printf(&b,
		      "broker = { url = \"amqps://user@host\"; password_file = \"%s/password\"; tls = { cert_file = \"%s/cert\";\n"
		      "key_file = \"%s/key\"; key_password_file = \"%s/key-password\"; }; };\n" QUEUES,
		      scratch_path, scratch_path, scratch_path, scratch_path);
	HAS_SECRET_FILES(strbuf_str(&b), "password", "key", "key-password");
	strbuf_reset(&b);
	strbuf_printf(&b, "broker = { url = \"amqps://user@host\"; tls = { cert_file = \"%s/cert\"; }; };\n" QUEUES, scratch_path);
	HAS_SECRET_FILES(strbuf_str(&b), "cert");
}
END_TEST

START_TEST(a_dump_that_cannot_be_written_is_an_error) {
	struct config *c = load_warned(all_keys, ENDLESS);
	FILE *f = fopen("/dev/full", "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(config_dump(c, f), -EIO);
	(void)fclose(f);
	config_unref(c);
}
END_TEST

START_TEST(defaults_are_merged_key_by_key) {
	struct config *c = load_text(
		"defaults = { concurrency = 4; exclusive = true; arguments = { a = 1; }; declare = { type = "
		"\"classic\"; };\n"
		"  bindings = ( { exchange = \"common\"; } );\n"
		"  handler = { command = [ \"/bin/common\", \"x\" ]; timeout = 5; environment = { A = \"1\"; B = "
		"\"2\"; }; };\n"
		"  requeue = { delay = 7; max_delay = 8; }; outcomes = { ack = [ 0, 1 ]; reject = [ 2, 3 ]; };\n"
		"  dead_letter = { exchange = \"dead\"; routing_key = \"common\"; }; };\n"
		"queues = (\n"
		"  { name = \"inherits\"; },\n"
		"  { name = \"overrides\"; concurrency = 2; exclusive = false; arguments = { b = 2; };\n"
		"    declare = { durable = false; }; bindings = ( { exchange = \"one\"; }, { exchange = \"two\"; } );\n"
		"    handler = { command = [ \"/bin/own\" ]; kill_grace = 3; environment = { B = \"3\"; C = \"4\"; }; "
		"};\n"
		"    requeue = { }; outcomes = { reject = 4; }; dead_letter = { routing_key = \"own\"; }; }\n"
		");\n");
	const struct config_queue *q = c->queues;

	ck_assert_uint_eq(q[0].concurrency, 4);
	ck_assert_uint_eq(q[0].prefetch, 4);
	ck_assert(q[0].exclusive && q[0].declare.present && q[0].declare.durable);
	ck_assert_str_eq(q[0].declare.type, "classic");
	ck_assert_uint_eq(q[0].arguments.n, 1);
	ck_assert_uint_eq(q[0].n_bindings, 1);
	ck_assert_str_eq(q[0].handler.command[1], "x");
	ck_assert_str_eq(q[0].handler.environment[1], "B=2");
	ck_assert_uint_eq(q[0].handler.timeout_usec, 5 * USEC_PER_SEC);
	ck_assert_uint_eq(q[0].requeue_delay_usec, 7 * USEC_PER_SEC);
	ck_assert_uint_eq(q[0].requeue_max_delay_usec, 8 * USEC_PER_SEC);
	ck_assert_str_eq(statuses_text(&q[0].outcomes.reject), "2-3");
	ck_assert_str_eq(q[0].dead_letter.routing_key, "common");

	ck_assert_uint_eq(q[1].concurrency, 2);
	ck_assert_uint_eq(q[1].prefetch, 2);
	ck_assert(!q[1].exclusive && q[1].declare.present && !q[1].declare.durable);
	ck_assert_str_eq(q[1].declare.type, "classic");
	ck_assert_uint_eq(q[1].arguments.n, 1);
	ck_assert_ptr_null(table_find(&q[1].arguments, "a"));
	ck_assert_uint_eq(q[1].n_bindings, 2);
	ck_assert_str_eq(q[1].handler.command[0], "/bin/own");
	ck_assert_ptr_null(q[1].handler.command[1]);
	ck_assert_uint_eq(q[1].handler.timeout_usec, 5 * USEC_PER_SEC);
	ck_assert_uint_eq(q[1].handler.kill_grace_usec, 3 * USEC_PER_SEC);
	ck_assert_str_eq(q[1].handler.environment[0], "A=1");
	ck_assert_str_eq(q[1].handler.environment[1], "B=3");
	ck_assert_str_eq(q[1].handler.environment[2], "C=4");
	ck_assert_ptr_null(q[1].handler.environment[3]);
	ck_assert_uint_eq(q[1].requeue_delay_usec, 7 * USEC_PER_SEC);
	ck_assert_str_eq(statuses_text(&q[1].outcomes.ack), "0-1");
	ck_assert_str_eq(statuses_text(&q[1].outcomes.reject), "4");
	ck_assert(q[1].dead_letter.present);
	ck_assert_str_eq(q[1].dead_letter.exchange, "dead");
	ck_assert_str_eq(q[1].dead_letter.routing_key, "own");
	config_unref(c);
}
END_TEST

START_TEST(the_same_name_is_another_queue_on_another_broker) {
	struct config *c = load_text("brokers = ( { name = \"a\"; }, { name = \"b\"; } );\n"
				     "defaults = { broker = \"b\"; handler = { command = [ \"/bin/true\" ]; }; };\n"
				     "queues = ( { name = \"q\"; broker = \"a\"; }, { name = \"q\"; } );\n");

	ck_assert_str_eq(c->queues[0].broker->name, "a");
	ck_assert_str_eq(c->queues[1].broker->name, "b");
	config_unref(c);
}
END_TEST

START_TEST(keys_win_over_the_url) {
	struct config *c =
		load_text("broker = { password = \"key\"; username = \"key\"; url = \"amqp://url:url@h\"; };\n" QUEUES);

	ck_assert_str_eq(c->brokers[0].addresses[0].username, "key");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "key");
	config_unref(c);
	c = load_text("broker = { password = \"key\"; urls = [ \"amqp://a:b@h\", \"amqp://i\" ]; };\n" QUEUES);
	ck_assert_str_eq(c->brokers[0].addresses[0].username, "a");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "key");
	ck_assert_str_eq(c->brokers[0].addresses[1].username, "guest");
	ck_assert_str_eq(c->brokers[0].addresses[1].password, "key");
	config_unref(c);
	c = load_text("broker = { url = \"amqp://url@h\"; };\n" QUEUES);
	ck_assert_str_eq(c->brokers[0].addresses[0].username, "url");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "guest");
	config_unref(c);
	c = load_text("broker = { url = \"amqp://:@h\"; };\n" QUEUES);
	ck_assert_str_eq(c->brokers[0].addresses[0].username, "");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "");
	config_unref(c);
}
END_TEST

START_TEST(integers_are_not_cut) {
	struct config *c = load_text("limits = { max_message_size = 0x100000001; max_handlers = 0x10; };\n" QUEUES);

	ck_assert_uint_eq(c->max_message_size, UINT64_C(0x100000001));
	ck_assert_uint_eq(c->max_handlers, 16);
	config_unref(c);
	refuse_text("limits = { max_handlers = 4294967297; };\n" QUEUES,
		    "a.conf:1: limits.max_handlers: expected an integer from 1 to 65535, found 4294967297\n");
	refuse_text("limits = { max_handlers = 9223372036854775808L; };\n" QUEUES,
		    "a.conf:1: this integer is too large (64 bits with a sign)\n");
}
END_TEST

START_TEST(leading_zeros_mean_nothing) {
	struct config *c = load_text("limits = { max_handlers = 010; max_message_size = 08; };\n"
				     "defaults = { priority = -007; concurrency = "
				     "0000000000000000000000000000000000000000000003; };\n" QUEUES);

	ck_assert_uint_eq(c->max_handlers, 10);
	ck_assert_uint_eq(c->max_message_size, 8);
	ck_assert_int_eq(c->queues[0].priority, -7);
	ck_assert_uint_eq(c->queues[0].concurrency, 3);
	config_unref(c);
}
END_TEST

START_TEST(a_file_may_begin_and_end_as_editors_leave_it) {
	config_unref(load_text("\xef\xbb\xbf" QUEUES "# a comment without a newline"));
	config_unref(load_text(QUEUES "// likewise"));
	config_unref(load_text(QUEUES "#"));
	config_unref(load_text("queues = (\r\n{ name = \"q\"; handler = { command = [ \"/bin/true\" ]; }; } );\r\n"));
}
END_TEST

START_TEST(references_are_counted) {
	struct config *c = load_text(QUEUES);

	ck_assert_ptr_eq(config_ref(c), c);
	ck_assert_ptr_null(config_unref(c));
	ck_assert_str_eq(c->queues[0].name, "q");
	ck_assert_ptr_null(config_unref(c));
	ck_assert_ptr_null(config_unref(NULL));
}
END_TEST

START_TEST(the_installed_example_is_right) {
	size_t len;
	char *content = read_file(TEST_SRCDIR "/conf/amqp-execd.conf", &len);
	struct config *c;

	ck_assert_uint_gt(len, 100);
	c = load_text(content);
	ck_assert_uint_ge(c->n_queues, 1);
	config_unref(c);
	free(content);
}
END_TEST

/* Takes the # from what is commented out: a # with a name or a bracket, and not a space, behind it. */
static char *uncomment(char *text) {
	char *to = text;

	for (const char *from = text; *from;) {
		const char *end = from + strcspn(from, "\n"), *p = from + strspn(from, "\t");

		if (*p == '#' && p[1] != ' ' && p[1] != '\n')
			from = p + 1;
		while (from < end)
			*to++ = *from++;
		if (*from)
			*to++ = *from++;
	}
	*to = '\0';
	return text;
}

START_TEST(what_the_example_comments_out_is_right_and_the_default) {
	char *content = read_file(TEST_SRCDIR "/conf/amqp-execd.conf", NULL);
	char *defaults = strstr(content, "\n# Over all queues."), *queues = strstr(content, "\nqueues = (");
	char *handler_environment = strstr(content, "environment = {"), *expected, *found;
	struct strbuf b = STRBUF_INIT;
	struct config *c = load_text(content);

	ck_assert_ptr_nonnull(defaults);
	ck_assert_ptr_nonnull(queues);
	ck_assert_ptr_nonnull(handler_environment);
	expected = dump(c);
	config_unref(c);
	/* The only one of these that shows no default. */
	memset(handler_environment - 1, ' ', strcspn(handler_environment, "\n") + 1);
	defaults = strndup(defaults, (size_t)(queues - defaults));
	ck_assert_ptr_nonnull(defaults);
	strbuf_printf(&b, "%s%s", uncomment(defaults), queues);
	c = load_text(strbuf_str(&b));
	found = dump(c);
	ck_assert_str_eq(found, expected);
	config_unref(c);
	config_unref(load_text(uncomment(queues)));
	free(defaults);
	free(expected);
	free(found);
	free(content);
	strbuf_free(&b);
}
END_TEST

START_TEST(a_url_alone_is_a_broker) {
	struct config *file = load_text("broker = { url = \"amqps://u:p@h:1/v\"; };\n" QUEUES), *c = NULL;
	const char *why = NULL;

	ck_assert_int_eq(config_from_url("amqps://u:p@h:1/v", &why, &c), 0);
	ck_assert_uint_eq(c->n_brokers, 1);
	ck_assert_uint_eq(c->n_queues, 0);
	ck_assert(config_broker_is_same(&c->brokers[0], &file->brokers[0]));
	config_unref(c);
	config_unref(file);
	ck_assert_int_eq(config_from_url("amqp://h", &why, &c), 0);
	ck_assert_str_eq(c->brokers[0].addresses[0].username, "guest");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "guest");
	ck_assert_str_eq(c->brokers[0].addresses[0].vhost, "/");
	config_unref(c);
	ck_assert_int_eq(config_from_url("h", &why, &c), -EINVAL);
	ck_assert_ptr_nonnull(why);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "values", the_shortest_configuration_gets_all_defaults,
			 without_outcomes_only_success_is_acknowledged, defaults_follow_other_keys,
			 no_more_is_prefetched_than_can_run, without_a_broker_it_is_the_local_one, every_key_is_read,
			 defaults_are_merged_key_by_key, the_same_name_is_another_queue_on_another_broker,
			 keys_win_over_the_url, a_url_alone_is_a_broker, integers_are_not_cut, leading_zeros_mean_nothing,
			 a_file_may_begin_and_end_as_editors_leave_it, references_are_counted,
			 the_installed_example_is_right, what_the_example_comments_out_is_right_and_the_default);
	ADD_SCRATCH_CASE(suite, "dump", a_dump_reads_back_as_the_same,
			 a_dump_tells_where_keys_are_and_not_what_they_are, a_dump_that_cannot_be_written_is_an_error);
	ADD_SCRATCH_CASE(suite, "secrets", files_with_secrets_are_known);
}

CHECK_MAIN("config", add_cases)
