/* SPDX-License-Identifier: MIT */
/* What a handler gets, and what becomes of what it writes, as the configuration says it: values, and what means nothing
 * together. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/config.h"
#include "config/statuses.h"
#include "config_files.h"

/* What is right, with these warnings. */
static void warn_of(const char *defaults, const char *handler, const char *rest, const char *warnings) {
	write_queue(defaults, handler, rest);
	config_unref(load("a.conf", warnings));
}

/* What is refused with these messages. */
static void refuse_queue(const char *defaults, const char *handler, const char *rest, const char *expected) {
	write_queue(defaults, handler, rest);
	refuse("a.conf", expected);
}

START_TEST(the_handler_has_defaults) {
	struct config *c = load_text(QUEUES);
	const struct config_queue *q = c->queues;
	const struct config_handler *h = &q->handler;

	ck_assert_int_eq(q->compat, CONFIG_COMPAT_NONE);
	ck_assert_int_eq(h->mode, CONFIG_MODE_EXEC);
	ck_assert_uint_eq(h->max_messages, 0);
	ck_assert_int_eq(h->input, CONFIG_INPUT_BODY);
	ck_assert_int_eq(h->metadata, CONFIG_METADATA_ENV);
	ck_assert(!h->compress && !h->user && !h->group && !h->has_umask && !h->has_nice && h->protect_secrets);
	ck_assert(!h->limits.has_memory && !h->limits.has_cpu && !h->limits.has_files && !h->limits.has_processes &&
		  !h->limits.has_file_size && !h->limits.has_core);
	ck_assert_str_eq(h->path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	ck_assert_int_eq(h->descendants, CONFIG_DESCENDANTS_KILL);
	ck_assert_int_eq(h->output, CONFIG_OUTPUT_LOG);
	ck_assert_uint_eq(h->max_output, 1 << 20);
	ck_assert_uint_eq(q->rate.messages, 0);
	ck_assert(!q->reply.present && !q->forward.present);
	ck_assert_int_eq(q->outcomes.on_large_output, OUTCOME_REQUEUE);
	config_unref(c);
}
END_TEST

START_TEST(every_key_of_a_handler_is_read) {
	struct config *c = load_text(
		"queues = ( { name = \"q\"; rate = { messages = 100; per = \"1min\"; };\n"
		"outcomes = { on_large_output = \"retry\"; }; retry = { max_attempts = 0; };\n"
		"reply = { content_type = \"text/plain\"; errors = true; unroutable = \"ack\"; };\n"
		"forward = { exchange = \"x\"; routing_key = \"%{routing_key}\"; content_type = \"a/b\"; };\n"
		"handler = { command = [ \"/bin/true\" ]; input = \"argument-json\"; compress = true; metadata = "
		"\"both\";\n"
		"path = \"/bin\"; user = \"nobody\"; group = \"65534\"; umask = \"027\"; nice = 5; protect_secrets = "
		"false;\n"
		"limits = { memory = \"1G\"; cpu = \"2min\"; files = 10; processes = 20; file_size = 30; core = 0; };\n"
		"descendants = \"leave\"; output = \"discard\"; max_output = \"2M\"; }; } );\n");
	const struct config_queue *q = c->queues;
	const struct config_handler *h = &q->handler;

	ck_assert_uint_eq(q->rate.messages, 100);
	ck_assert_uint_eq(q->rate.per_usec, 60000000);
	ck_assert_int_eq(q->outcomes.on_large_output, OUTCOME_RETRY);
	ck_assert(q->reply.present && q->reply.errors);
	ck_assert_str_eq(q->reply.content_type, "text/plain");
	ck_assert_int_eq(q->reply.unroutable, OUTCOME_ACK);
	ck_assert(q->forward.present);
	ck_assert_str_eq(q->forward.exchange, "x");
	ck_assert_str_eq(q->forward.routing_key, "%{routing_key}");
	ck_assert_str_eq(q->forward.content_type, "a/b");
	ck_assert_int_eq(h->input, CONFIG_INPUT_ARGUMENT_JSON);
	ck_assert_int_eq(h->metadata, CONFIG_METADATA_BOTH);
	ck_assert(h->compress && !h->protect_secrets);
	ck_assert_str_eq(h->path, "/bin");
	ck_assert_str_eq(h->user, "nobody");
	ck_assert_str_eq(h->group, "65534");
	ck_assert(h->has_umask && h->umask == 027);
	ck_assert(h->has_nice && h->nice == 5);
	ck_assert(h->limits.has_memory && h->limits.memory == 1 << 30);
	ck_assert(h->limits.has_cpu && h->limits.cpu == 120);
	ck_assert(h->limits.has_files && h->limits.files == 10);
	ck_assert(h->limits.has_processes && h->limits.processes == 20);
	ck_assert(h->limits.has_file_size && h->limits.file_size == 30);
	ck_assert(h->limits.has_core && h->limits.core == 0);
	ck_assert_int_eq(h->descendants, CONFIG_DESCENDANTS_LEAVE);
	ck_assert_int_eq(h->output, CONFIG_OUTPUT_DISCARD);
	ck_assert_uint_eq(h->max_output, 2 << 20);
	config_unref(c);
}
END_TEST

static char *dump(const struct config *c) {
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(config_dump(c, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

/* What is dumped is read as the same, without a warning. */
static void assert_dump(const char *handler, const char *rest) {
	char *first, *second;
	struct config *c;

	write_queue("", handler, rest);
	c = load("a.conf", "");
	first = dump(c);
	config_unref(c);
	c = load_text(first);
	second = dump(c);
	ck_assert_str_eq(first, second);
	config_unref(c);
	free(first);
	free(second);
}

START_TEST(a_dumped_handler_reads_back_as_the_same) {
	assert_dump("", "");
	assert_dump("mode = \"worker\"; max_messages = 5;", "");
	assert_dump("umask = \"002\"; nice = 1; limits = { cpu = 90; memory = \"3M\"; };",
		    "compat = \"rabbitmq-cli-consumer\";");
	assert_dump("", "reply = true; rate = { messages = 5; per = 1; };");
	assert_dump("max_output = 5;", "forward = { routing_key = \"%{type}.%%\"; };");
	assert_dump("input = \"argument\"; compress = true;",
		    "compat = \"rabbitmq-cli-consumer-strict\"; dead_letter = { exchange = \"dead\"; };");
}
END_TEST

static void assert_statuses(const struct config_statuses *set, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	statuses_format(set, &b);
	ck_assert_str_eq(strbuf_str(&b), expected);
}

/* A queue with these keys, and dead letters so that nothing is warned of. */
static struct config *load_queue(const char *defaults, const char *handler, const char *rest) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "dead_letter = { exchange = \"dead\"; }; %s", defaults);
	write_queue(strbuf_str(&b), handler, rest);
	return load("a.conf", "");
}

START_TEST(a_preset_gives_defaults) {
	struct config *c = load_queue("", "", "compat = \"rabbitmq-cli-consumer\";");
	const struct config_outcomes *o = &c->queues[0].outcomes;

	ck_assert_int_eq(c->queues[0].handler.metadata, CONFIG_METADATA_FD3);
	ck_assert_int_eq(c->queues[0].handler.input, CONFIG_INPUT_BODY);
	assert_statuses(&o->ack, "0");
	assert_statuses(&o->reject, "");
	assert_statuses(&o->requeue, "");
	ck_assert_int_eq(o->otherwise, OUTCOME_REQUEUE);
	config_unref(c);
	c = load_queue("compat = \"rabbitmq-cli-consumer-strict\";", "", "");
	o = &c->queues[0].outcomes;
	ck_assert_int_eq(c->queues[0].handler.metadata, CONFIG_METADATA_FD3);
	assert_statuses(&o->ack, "0");
	assert_statuses(&o->reject, "3, 5");
	assert_statuses(&o->requeue, "4, 6");
	ck_assert_int_eq(o->otherwise, OUTCOME_REQUEUE);
	ck_assert_int_eq(o->on_signal, OUTCOME_REQUEUE);
	config_unref(c);
	/* A queue can take it back. */
	c = load_queue("compat = \"rabbitmq-cli-consumer-strict\";", "", "compat = \"none\";");
	ck_assert_int_eq(c->queues[0].handler.metadata, CONFIG_METADATA_ENV);
	assert_statuses(&c->queues[0].outcomes.reject, "");
	config_unref(c);
}
END_TEST

#define STRICT "compat = \"rabbitmq-cli-consumer-strict\"; "

START_TEST(what_is_given_goes_before_a_preset) {
	struct config *c =
		load_queue("", "metadata = \"env\";", STRICT "outcomes = { reject = 65; otherwise = \"reject\"; };");

	ck_assert_int_eq(c->queues[0].handler.metadata, CONFIG_METADATA_ENV);
	assert_statuses(&c->queues[0].outcomes.reject, "65");
	assert_statuses(&c->queues[0].outcomes.requeue, "4, 6");
	ck_assert_int_eq(c->queues[0].outcomes.otherwise, OUTCOME_REJECT);
	config_unref(c);
	c = load_queue("handler = { metadata = \"both\"; }; outcomes = { requeue = [ 1, 2 ]; };", "", STRICT);
	ck_assert_int_eq(c->queues[0].handler.metadata, CONFIG_METADATA_BOTH);
	assert_statuses(&c->queues[0].outcomes.reject, "3, 5");
	assert_statuses(&c->queues[0].outcomes.requeue, "1-2");
	config_unref(c);
	/* A status that is given elsewhere is not in the preset's set any more. */
	c = load_queue("", "", STRICT "outcomes = { retry = [ 4, 5 ]; ack = [ 0, 3 ]; };");
	assert_statuses(&c->queues[0].outcomes.ack, "0, 3");
	assert_statuses(&c->queues[0].outcomes.retry, "4-5");
	assert_statuses(&c->queues[0].outcomes.reject, "");
	assert_statuses(&c->queues[0].outcomes.requeue, "6");
	config_unref(c);
}
END_TEST

#define FORM "has no effect: workers get each message in a form of its own\n"
#define ANSWERS "a worker's standard output is its answers, which cannot be published\n"

START_TEST(workers_use_no_input_and_publish_nothing) {
	warn_of("", "mode = \"worker\"; max_messages = 10;", "", "");
	warn_of("", "mode = \"worker\";\ninput = \"json\";\ncompress = true;\nmetadata = \"none\";", "",
		"a.conf:6: queues[0].handler.input: warning: " FORM
		"a.conf:7: queues[0].handler.compress: warning: " FORM
		"a.conf:8: queues[0].handler.metadata: warning: " FORM);
	/* What is for all queues need not be for each, and a default may be repeated. */
	warn_of("handler = { input = \"json\"; metadata = \"none\"; };", "mode = \"worker\";", "", "");
	warn_of("", "mode = \"worker\"; input = \"body\"; metadata = \"env\"; compress = false;", "", "");
	refuse_queue("", "mode = \"worker\";", "reply = true;", "a.conf:6: queues[0].reply: " ANSWERS);
	refuse_queue("", "mode = \"worker\";", "forward = { exchange = \"x\"; };",
		     "a.conf:6: queues[0].forward: " ANSWERS);
	refuse_queue("reply = { errors = true; };", "mode = \"worker\";", "", "a.conf:1: queues[0].reply: " ANSWERS);
	warn_of("reply = { errors = true; };", "mode = \"worker\";", "reply = false;", "");
	warn_of("", "max_messages = 10;", "",
		"a.conf:5: queues[0].handler.max_messages: warning: has no effect: handler.mode is not \"worker\"\n");
	warn_of("handler = { max_messages = 10; };", "", "", "");
}
END_TEST

START_TEST(only_arguments_are_compressed) {
	static const char useless[] =
		"a.conf:5: queues[0].handler.compress: warning: has no effect: only what input = \"argument\" or "
		"\"argument-json\" adds is compressed\n";

	warn_of("", "compress = true;", "", useless);
	warn_of("", "compress = true; input = \"json\";", "", useless);
	warn_of("", "compress = true; input = \"argument\";", "", "");
	warn_of("", "compress = true; input = \"argument-json\";", "", "");
}
END_TEST

#define NOTHING "has no effect: nothing is published here, by reply or by forward, of what the handler writes\n"

START_TEST(output_is_published_or_inherited) {
	warn_of("", "output = \"inherit\";", "", "");
	warn_of("", "output = \"discard\";", "reply = true; forward = { exchange = \"x\"; };", "");
	refuse_queue("", "output = \"inherit\";", "reply = true;",
		     "a.conf:5: queues[0].handler.output: \"inherit\" leaves nothing of standard output for reply to "
		     "publish\n");
	refuse_queue("handler = { output = \"inherit\"; };", "", "forward = { exchange = \"x\"; };",
		     "a.conf:1: queues[0].handler.output: \"inherit\" leaves nothing of standard output for forward to "
		     "publish\n");
	warn_of("", "max_output = 10;", "", "a.conf:5: queues[0].handler.max_output: warning: " NOTHING);
	warn_of("", "max_output = 1048576;", "", "");
	warn_of("handler = { max_output = 10; };", "", "", "");
	warn_of("", "max_output = 10;", "reply = true;", "");
	warn_of("", "",
		"dead_letter = { exchange = \"dead\"; }; reply = true; outcomes = { on_large_output = \"reject\"; };",
		"");
	warn_of("", "", "outcomes = { on_large_output = \"requeue\"; };", "");
	warn_of("", "", "outcomes = { on_large_output = \"retry\"; };",
		"a.conf:6: queues[0].outcomes.on_large_output: warning: " NOTHING);
}
END_TEST

#define ATTEMPTS                                                                                                       \
	"a.conf:6: queues[0].outcomes: warning: after retry.max_attempts (10) a message is rejected, and there is no " \
	"dead_letter: rejected messages are discarded, unless the queue has a dead-letter exchange at the broker\n"

/* Whether what is published, and what workers answer, counts among the outcomes that there can be. */
START_TEST(outcomes_are_possible_by_output_and_answers) {
	struct config *c;

	warn_of("", "", "reply = true; outcomes = { on_large_output = \"retry\"; };", ATTEMPTS);
	warn_of("", "", "reply = { unroutable = \"retry\"; };\nretry = { delay = 5; };", "");
	warn_of("", "", "reply = true;\ndead_letter = { exchange = \"dead\"; };", "");
	warn_of("", "", "reply = { unroutable = \"ack\"; };\ndead_letter = { exchange = \"dead\"; };",
		"a.conf:7: queues[0].dead_letter: warning: has no effect: no outcome here leads to \"reject\"\n");
	warn_of("", "mode = \"worker\";", "retry = { delay = 5; }; dead_letter = { exchange = \"dead\"; };", "");
	warn_of("", "mode = \"worker\";", "outcomes = { ack = [ ]; };", "");
	c = load_text(QUEUES);
	ck_assert(config_queue_can(c->queues, OUTCOME_ACK) && config_queue_can(c->queues, OUTCOME_REQUEUE));
	ck_assert(!config_queue_can(c->queues, OUTCOME_RETRY) && !config_queue_can(c->queues, OUTCOME_REJECT));
	ck_assert(!config_queue_publishes(c->queues));
	c->queues[0].handler.mode = CONFIG_MODE_WORKER;
	ck_assert(config_queue_can(c->queues, OUTCOME_RETRY) && config_queue_publishes(c->queues));
	c->queues[0].handler.mode = CONFIG_MODE_EXEC;
	c->queues[0].outcomes.on_large_output = OUTCOME_REJECT;
	ck_assert(!config_queue_can(c->queues, OUTCOME_REJECT));
	c->queues[0].forward.present = true;
	ck_assert(config_queue_can(c->queues, OUTCOME_REJECT) && config_queue_publishes(c->queues));
	c->queues[0].forward.present = false;
	c->queues[0].reply.present = true;
	c->queues[0].reply.unroutable = OUTCOME_RETRY;
	ck_assert(config_queue_can(c->queues, OUTCOME_RETRY) && config_queue_publishes(c->queues));
	config_unref(c);
}
END_TEST

START_TEST(output_must_have_somewhere_to_go) {
	warn_of("", "", "forward = { exchange = \"x\"; };", "");
	warn_of("", "", "forward = { routing_key = \"other\"; };", "");
	warn_of("", "", "forward = { routing_key = \"%{reply_to}\"; };", "");
	refuse_queue("", "", "forward = { };",
		     "a.conf:6: queues[0].forward.routing_key: missing: expected the name of a queue, as exchange is "
		     "\"\" by "
		     "default\n");
	refuse_queue("", "", "forward = { exchange = \"\";\nrouting_key = \"\"; };",
		     "a.conf:7: queues[0].forward.routing_key: expected the name of a queue, as exchange is \"\"\n");
	refuse_queue("forward = { routing_key = \"q\"; };", "", "",
		     "a.conf:1: queues[0].forward.routing_key: what the handler writes would come to this very queue "
		     "for ever\n");
}
END_TEST

START_TEST(one_key_sets_the_path) {
	warn_of("", "path = \"/bin\"; environment = { A = \"\"; };", "", "");
	warn_of("", "environment = { PATH = \"/bin\"; };", "", "");
	refuse_queue("", "path = \"/bin\";\nenvironment = { PATH = \"/bin\"; };", "",
		     "a.conf:6: queues[0].handler.environment.PATH: is what \"path\" sets: give one of them\n");
	refuse_queue("handler = { environment = { PATH = \"/bin\"; }; };", "path = \"/bin\";", "",
		     "a.conf:1: queues[0].handler.environment.PATH: is what \"path\" sets: give one of them\n");
}
END_TEST

#define AGAIN                                                                                                          \
	"the broker delivers a message again that is not settled within 30 minutes, unless its consumer_timeout is "   \
	"longer\n"

START_TEST(a_rate_that_is_too_low_is_a_warning) {
	warn_of("", "", "rate = { per = \"1min\"; };",
		"a.conf:6: queues[0].rate.per: warning: has no effect: rate.messages is 0\n");
	warn_of("", "", "rate = { per = 1; };", "");
	warn_of("rate = { per = \"1min\"; };", "", "", "");
	warn_of("", "", "rate = { messages = 1; per = \"1min\"; };\nprefetch = 29;", "");
	warn_of("", "", "rate = { messages = 1; per = \"1min\"; };\nprefetch = 30;",
		"a.conf:6: queues[0].rate.messages: warning: prefetch (30) at this rate takes 30min: " AGAIN);
	warn_of("", "", "rate = { messages = 2; per = \"1min\"; };\nprefetch = 59;", "");
	/* The prefetch that follows from other keys counts, too. */
	warn_of("", "", "concurrency = 3; rate = { messages = 1; per = \"10min\"; };",
		"a.conf:6: queues[0].rate.messages: warning: prefetch (3) at this rate takes 30min: " AGAIN);
	warn_of("rate = { messages = 1; per = \"1d\"; };", "", "prefetch = 65535;",
		"a.conf:1: queues[0].rate.messages: warning: prefetch (65535) at this rate takes 9362w 1d: " AGAIN);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "keys", the_handler_has_defaults, every_key_of_a_handler_is_read,
			 a_dumped_handler_reads_back_as_the_same, a_preset_gives_defaults,
			 what_is_given_goes_before_a_preset);
	ADD_SCRATCH_CASE(suite, "together", workers_use_no_input_and_publish_nothing, only_arguments_are_compressed,
			 output_is_published_or_inherited, outcomes_are_possible_by_output_and_answers,
			 output_must_have_somewhere_to_go, one_key_sets_the_path, a_rate_that_is_too_low_is_a_warning);
}

CHECK_MAIN("config handler", add_cases)
