/* SPDX-License-Identifier: MIT */
/* What a reload takes for the same. The table of keys says what there is to be told apart, so that no key is forgotten.
 */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/units.h"
#include "config_files.h"

/* Reads the file whatever it is warned of. */
static struct config *load_any(const char *path) {
	struct config_problems problems = {0};
	struct config *c = NULL;
	int r = config_load_for(path, &nobodys_privileges, &problems, &c);
	char *text = problems_text(&problems);

	ck_assert_msg(r == 0, "%s", text);
	free(text);
	config_problems_clear(&problems);
	return c;
}

/* Two values of a type that are not the same; the number is 0 or 1. */
static void append_text(const struct key *k, unsigned number, struct strbuf *b) {
	static const char *const texts[][2] = {
		[KEY_STRING] = {"\"a\"", "\"b\""},
		[KEY_PATH] = {"\"/a\"", "\"/b\""},
		[KEY_MODE] = {"\"022\"", "\"027\""},
		[KEY_STATUSES] = {"[ 3 ]", "[ 3, 4 ]"},
		[KEY_URL] = {"\"amqps://a\"", "\"amqps://b\""},
		[KEY_URLS] = {"[ \"amqps://a\", \"amqps://b\" ]", "[ \"amqps://b\", \"amqps://a\" ]"},
		[KEY_USERNAME] = {"\"a\"", "\"b\""},
		[KEY_PASSWORD] = {"\"a\"", "\"b\""},
		[KEY_CREDENTIAL] = {"\"a\"", "\"b\""},
		[KEY_BROKER] = {"\"main\"", "\"second\""},
		[KEY_TEMPLATE] = {"\"%{routing_key}\"", "\"%{queue}\""},
		[KEY_STRINGS] = {"[ \"a\", \"b\" ]", "[ \"b\", \"a\" ]"},
		[KEY_COMMAND] = {"[ \"/bin/a\", \"x\" ]", "[ \"/bin/a\" ]"},
		[KEY_ENVIRONMENT] = {"{ A = \"1\"; }", "{ A = \"2\"; }"},
		[KEY_TABLE] = {"{ a = ( 1, { b = 2; } ); }", "{ a = ( 1, { b = 3; } ); }"},
		[KEY_LIST] = {"( { exchange = \"a\"; } )", "( { exchange = \"a\"; }, { exchange = \"b\"; } )"},
	};
	union key_value value;

	switch (k->type) {
	case KEY_BOOL:
		strbuf_append_str(b, number ? "true" : "false");
		break;
	case KEY_INT:
		strbuf_printf(b, "%" PRId64, (int64_t)k->max - number);
		break;
	case KEY_UINT:
	case KEY_SIZE:
	case KEY_SECONDS:
		strbuf_printf(b, "%" PRIu64, k->min + 1 + number);
		break;
	case KEY_FLOAT:
	case KEY_DURATION: /* near the default, where it is in order with other keys */
		ck_assert_int_eq(key_parse(k, k->fallback, &value), 0);
		if (k->type == KEY_FLOAT)
			strbuf_printf(b, "%.1f", value.number + 0.5 * number);
		else
			strbuf_printf(b, "\"%" PRIu64 "us\"", value.u + number);
		break;
	case KEY_ENUM:
		strbuf_printf(b, "\"%s\"", k->names[k->min + number]);
		break;
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
	case KEY_SECRET_FILE:
	case KEY_PASSWORD_FILE:
		strbuf_printf(b, "\"%s/%s\"", scratch_path, number ? "b" : "a");
		break;
	default:
		ck_assert_msg(k->type < ARRAY_SIZE(texts) && texts[k->type][0], "no two values of the type of %s",
			      k->name);
		strbuf_append_str(b, texts[k->type][number]);
		break;
	}
}

/* What a group needs, beside the key. */
static void append_companions(const struct key *k, struct strbuf *b) {
	switch (k->section) {
	case SECTION_BROKER:
		if (!k->identity)
			strbuf_append_str(b, "name = \"main\"; ");
		if (k->type != KEY_URL && k->type != KEY_URLS)
			strbuf_append_str(b, "url = \"amqps://h\"; ");
		/* "external" needs a certificate. */
		if (k->type == KEY_ENUM)
			strbuf_printf(b, "tls = { cert_file = \"%s/a\"; }; ", scratch_path);
		break;
	case SECTION_TLS:
		if (strcmp(k->name, "cert_file") != 0)
			strbuf_printf(b, "cert_file = \"%s/a\"; ", scratch_path);
		break;
	case SECTION_QUEUE:
		if (!k->identity)
			strbuf_append_str(b, "name = \"q\"; ");
		if (k->type != KEY_BROKER)
			strbuf_append_str(b, "broker = \"main\"; ");
		break;
	case SECTION_BINDING:
		if (!k->required)
			strbuf_append_str(b, "exchange = \"x\"; ");
		break;
	case SECTION_DEAD_LETTER:
	case SECTION_FORWARD: /* the default exchange needs a queue's name */
		if (strcmp(k->name, "exchange") != 0)
			strbuf_append_str(b, "exchange = \"x\"; ");
		break;
	case SECTION_HANDLER:
		if (k->type != KEY_COMMAND)
			strbuf_append_str(b, "command = [ \"/bin/true\" ]; ");
		break;
	default:
		break;
	}
}

/* Wraps the text of a setting in the groups around the key, up to the broker or queue that it is of. */
static void append_nested(const struct key *k, const char *text, struct strbuf *b) {
	CLEANUP(strbuf_free) struct strbuf outer = STRBUF_INIT;
	const struct key *group = key_parent(k->section);

	append_companions(k, &outer);
	strbuf_append_str(&outer, text);
	if (k->section == SECTION_BROKER || k->section == SECTION_QUEUE) {
		strbuf_append_str(b, strbuf_str(&outer));
	} else {
		CLEANUP(strbuf_free) struct strbuf whole = STRBUF_INIT;

		strbuf_printf(&whole, group->type == KEY_LIST ? "%s = ( { %s } );" : "%s = { %s };", group->name,
			      strbuf_str(&outer));
		append_nested(group, strbuf_str(&whole), b);
	}
}

static bool is_of_broker(const struct key *k) {
	while (k->section != SECTION_BROKER && k->section != SECTION_QUEUE)
		k = key_parent(k->section);
	return k->section == SECTION_BROKER;
}

/* Writes a configuration in which this setting (its text) of the key is the first broker's or the only queue's. */
static void write_setting(const char *path, const struct key *k, const char *text) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT, group = STRBUF_INIT;
	bool broker = is_of_broker(k), handler = false;

	append_nested(k, text, &group);
	for (const struct key *up = k; up && up->section != SECTION_QUEUE; up = key_parent(up->section))
		handler = handler || up->section == SECTION_HANDLER;
	if (broker)
		strbuf_printf(&b,
			      "brokers = ( { %s }, { name = \"other\"; } );\n"
			      "queues = ( { name = \"q\"; broker = \"other\"; handler = { command = [ \"/bin/true\" ]; "
			      "}; } );\n",
			      strbuf_str(&group));
	else
		strbuf_printf(&b,
			      "brokers = ( { name = \"main\"; }, { name = \"second\"; } );\nqueues = ( { %s%s } );\n",
			      strbuf_str(&group), handler ? "" : " handler = { command = [ \"/bin/true\" ]; };");
	scratch_write(path, 0640, strbuf_str(&b));
}

/* Whether the two files' brokers and queues are the same, each with each, in both directions. */
static bool same(const char *a_path, const char *b_path) {
	struct config *a = load_any(a_path), *b = load_any(b_path);
	bool brokers = config_broker_is_same(&a->brokers[0], &b->brokers[0]);
	bool queues = config_queue_is_same(&a->queues[0], &b->queues[0]);

	ck_assert_int_eq(config_broker_is_same(&b->brokers[0], &a->brokers[0]), brokers);
	ck_assert_int_eq(config_queue_is_same(&b->queues[0], &a->queues[0]), queues);
	ck_assert(config_broker_is_same(&a->brokers[1], &b->brokers[1]));
	config_unref(a);
	config_unref(b);
	/* What is of the one changes nothing of the other. */
	ck_assert(brokers || queues);
	return brokers && queues;
}

static void assert_told_apart(const struct key *k, const char *first, const char *second) {
	write_setting("a.conf", k, first);
	write_setting("same.conf", k, first);
	write_setting("b.conf", k, second);
	ck_assert_msg(same("a.conf", "same.conf"), "%s: %s", k->name, first);
	ck_assert_msg(!same("a.conf", "b.conf"), "%s: %s and %s", k->name, first, second);
}

/* All keys of the section, and of those below. Returns how many. */
static unsigned walk(enum section section) {
	unsigned n = 0;

	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
		CLEANUP(strbuf_free) struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;

		n++;
		if (k->child != SECTION_ROOT)
			n += walk(k->child);
		if (k->type == KEY_GROUP) {
			/* A group without a flag says nothing by being there. */
			if (k->present_offset == KEY_NO_OFFSET)
				continue;
			strbuf_printf(&second, "%s = { ", k->name);
			append_companions(&(struct key){.section = k->child, .name = ""}, &second);
			strbuf_append_str(&second, "};");
			assert_told_apart(k, "", strbuf_str(&second));
			continue;
		}
		strbuf_printf(&first, "%s = ", k->name);
		append_text(k, 0, &first);
		strbuf_append_str(&first, ";");
		strbuf_printf(&second, "%s = ", k->name);
		append_text(k, 1, &second);
		strbuf_append_str(&second, ";");
		assert_told_apart(k, strbuf_str(&first), strbuf_str(&second));
		/* Whether it is given at all. */
		if (!k->required && !k->identity && !k->fallback && !k->fallback_note && k->type != KEY_URLS &&
		    k->type != KEY_STATUSES && strcmp(k->name, "cert_file") != 0)
			assert_told_apart(k, "", strbuf_str(&second));
	}
	return n;
}

static void write_files(void) {
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", scratch_path, 1), 0);
	scratch_write("a", 0600, "first\n");
	scratch_write("b", 0600, "second\n");
}

START_TEST(each_key_of_a_broker_makes_a_difference) {
	write_files();
	ck_assert_uint_gt(walk(SECTION_BROKER), 20);
}
END_TEST

START_TEST(each_key_of_a_queue_makes_a_difference) {
	write_files();
	ck_assert_uint_gt(walk(SECTION_QUEUE), 80);
}
END_TEST

static void write_password_file(void) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b,
		      "brokers = ( { name = \"main\"; url = \"amqps://h\"; password_file = \"%s/password\";\n"
		      "tls = { cert_file = \"%s/a\"; key_password_file = \"%s/key\"; }; }, { name = \"x\"; } );\n"
		      "defaults = { broker = \"x\"; };\n" QUEUES,
		      scratch_path, scratch_path, scratch_path);
	scratch_write("a.conf", 0640, strbuf_str(&b));
}

START_TEST(secrets_count_by_what_is_in_their_files) {
	static const char *const files[] = {"password", "key"};
	struct config *a, *b;

	write_files();
	scratch_write("password", 0600, "first\n");
	scratch_write("key", 0600, "first\n");
	write_password_file();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		a = load_any("a.conf");
		scratch_write(files[i], 0600, "first\r\nand what is not read\n");
		b = load_any("a.conf");
		ck_assert(config_broker_is_same(&a->brokers[0], &b->brokers[0]));
		config_unref(b);
		scratch_write(files[i], 0600, "second\n");
		b = load_any("a.conf");
		ck_assert(!config_broker_is_same(&a->brokers[0], &b->brokers[0]));
		ck_assert(config_queue_is_same(&a->queues[0], &b->queues[0]));
		config_unref(a);
		config_unref(b);
	}
}
END_TEST

/* Whether a queue with these further keys is the same as one with the others. */
static bool same_queue(const char *first, const char *second) {
	struct config *a, *b;
	bool same_queues;

	write_queue("", "", first);
	a = load_any("a.conf");
	write_queue("", "", second);
	b = load_any("a.conf");
	same_queues = config_queue_is_same(&a->queues[0], &b->queues[0]);
	ck_assert_int_eq(config_queue_is_same(&b->queues[0], &a->queues[0]), same_queues);
	config_unref(a);
	config_unref(b);
	return same_queues;
}

START_TEST(what_counts_is_the_effective_value) {
	ck_assert(same_queue("", "concurrency = 1; requeue = { delay = \"1000ms\"; }; outcomes = { ack = 0; };"));
	ck_assert(same_queue("arguments = { };", ""));
	ck_assert(same_queue("reply = false;", ""));
	ck_assert(same_queue("reply = true;", "reply = { errors = false; };"));
	ck_assert(same_queue("bindings = ();", ""));
	ck_assert(!same_queue("priority = 0;", ""));
	ck_assert(!same_queue("declare = { };", ""));
}
END_TEST

START_TEST(tables_count_by_their_content) {
	ck_assert(same_queue("arguments = { a = 1; b = \"x\"; };", "arguments = { b = \"x\"; a = 1; };"));
	ck_assert(same_queue("arguments = { a = 1.5; b = true; c = { }; };",
			     "arguments = { a = 1.5; b = true; c = { }; };"));
	ck_assert(!same_queue("arguments = { a = 1; };", "arguments = { a = 1L; };"));
	ck_assert(!same_queue("arguments = { a = 1; };", "arguments = { b = 1; };"));
	ck_assert(!same_queue("arguments = { a = 1; };", "arguments = { a = 1; b = 1; };"));
	ck_assert(!same_queue("arguments = { a = 1L; };", "arguments = { a = 2L; };"));
	ck_assert(!same_queue("arguments = { a = 1.5; };", "arguments = { a = 2.5; };"));
	ck_assert(!same_queue("arguments = { a = true; };", "arguments = { a = false; };"));
	ck_assert(!same_queue("arguments = { a = \"x\"; };", "arguments = { a = \"xy\"; };"));
	ck_assert(!same_queue("arguments = { a = [ 1, 2 ]; };", "arguments = { a = [ 2, 1 ]; };"));
	ck_assert(!same_queue("arguments = { a = { b = 1; }; };", "arguments = { a = { b = 2; }; };"));
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "keys", each_key_of_a_broker_makes_a_difference,
			 each_key_of_a_queue_makes_a_difference);
	ADD_SCRATCH_CASE(suite, "content", secrets_count_by_what_is_in_their_files, what_counts_is_the_effective_value,
			 tables_count_by_their_content);
}

CHECK_MAIN("config compare", add_cases)
