/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
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
	config_unref(c);
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
	ck_assert_int_eq(config_load("a.conf", &problems, &c), 0);
	text = problems_text(&problems);
	ck_assert_msg(problems.n == 1 && problems.items[0].warning && strstr(text, warning), "%s", text);
	free(text);
	config_problems_clear(&problems);
	return c;
}

#define ENDLESS "queues[0].handler.timeout: warning: infinity, and then requeue.delay (1h 30min): the broker delivers"

static const char all_keys[] =
	"brokers = (\n"
	"  { name = \"main\"; url = \"amqp://u:p@[::1]:5673/v%2Fh\"; username = \"me\"; password = "
	"\"s\\x01\\\"\\\\ecret\";\n"
	"    heartbeat = \"1min\"; connect_timeout = 2.5; reconnect = { min_delay = \"250ms\"; max_delay = 5; };\n"
	"    connection_name = \"here \\\"quoted\\\" \\n caf\xc3\xa9\"; },\n"
	"  { name = \"second\"; url = \"amqp://second/\"; heartbeat = 0; }\n"
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
	"}; };\n"
	"    bindings = ( { exchange = \"x\"; exchange_type = \"topic\"; routing_keys = [ \"a.*\", \"#\" ]; },\n"
	"                 { exchange = \"h\"; routing_keys = \"one\"; arguments = { x-match = \"all\"; }; }, { "
	"exchange = \"f\"; } );\n"
	"    handler = { command = [ \"/bin/echo\", \"-n\", \"\", \"two words\" ]; environment = { A = \"1=2\"; B_2 = "
	"\"\"; };\n"
	"      directory = \"/var/tmp\"; timeout = \"infinity\"; kill_grace = 0; };\n"
	"    requeue = { delay = \"1h 30min\"; }; }\n"
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

static void assert_brokers(const struct config *c, const char *password) {
	const struct config_broker *b = c->brokers;

	ck_assert_uint_eq(c->n_brokers, 2);
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
}

static void assert_all(const struct config *c, const char *password) {
	ck_assert_int_eq(c->ready, CONFIG_READY_CONSUMING);
	ck_assert_uint_eq(c->drain_timeout_usec, USEC_INFINITY);
	ck_assert_uint_eq(c->max_handlers, 100);
	ck_assert_uint_eq(c->max_message_size, UINT64_C(4294967297));
	assert_brokers(c, password);
	assert_queue(c);
	assert_arguments(&c->queues[0].arguments);
}

START_TEST(every_key_is_read) {
	struct config *c = load_warned(all_keys, ENDLESS);

	assert_all(c, "s\x01\"\\ecret");
	config_unref(c);
}
END_TEST

START_TEST(a_dump_reads_back_as_the_same) {
	struct config *c = load_warned(all_keys, ENDLESS), *again;
	char *first = dump(c), *second;

	ck_assert_ptr_null(strstr(first, "ecret"));
	ck_assert_ptr_nonnull(strstr(first, "password = \"********\";"));
	ck_assert_ptr_nonnull(strstr(first, "delay = \"1h 30min\";"));
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
		"  requeue = { delay = 7; }; };\n"
		"queues = (\n"
		"  { name = \"inherits\"; },\n"
		"  { name = \"overrides\"; concurrency = 2; exclusive = false; arguments = { b = 2; };\n"
		"    declare = { durable = false; }; bindings = ( { exchange = \"one\"; }, { exchange = \"two\"; } );\n"
		"    handler = { command = [ \"/bin/own\" ]; kill_grace = 3; environment = { B = \"3\"; C = \"4\"; }; "
		"};\n"
		"    requeue = { }; }\n"
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

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "values", the_shortest_configuration_gets_all_defaults,
			 without_a_broker_it_is_the_local_one, every_key_is_read, defaults_are_merged_key_by_key,
			 the_same_name_is_another_queue_on_another_broker, keys_win_over_the_url, integers_are_not_cut,
			 leading_zeros_mean_nothing, a_file_may_begin_and_end_as_editors_leave_it,
			 references_are_counted, the_installed_example_is_right);
	ADD_SCRATCH_CASE(suite, "dump", a_dump_reads_back_as_the_same, a_dump_that_cannot_be_written_is_an_error);
}

CHECK_MAIN("config", add_cases)
