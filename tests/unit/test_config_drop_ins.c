/* SPDX-License-Identifier: MIT */
/* The files of include_dir. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/source.h"
#include "config_files.h"

#define HANDLER "handler = { command = [ \"/bin/true\" ]; };"
#define QUEUE(name) "queues = ( { name = \"" name "\"; " HANDLER " } );\n"

/* Writes the main file, whose first line names the folder "d" of the scratch folder, which is made if need be. */
static void write_main(const char *rest) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	ck_assert(mkdir("d", 0755) == 0 || errno == EEXIST);
	strbuf_printf(&b, "include_dir = \"%s/d\";\n%s", scratch_path, rest);
	scratch_write("a.conf", 0640, strbuf_str(&b));
}

/* Puts the scratch folder's path in place of each "@". */
static char *with_path(const char *text) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	for (; *text; text++) {
		if (*text == '@')
			strbuf_append_str(&b, scratch_path);
		else
			strbuf_append_char(&b, *text);
	}
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

static void refuse_main(const char *expected) {
	CLEANUP(free) char *text = with_path(expected);

	refuse("a.conf", text);
}

static struct config *load_main(const char *warnings) {
	CLEANUP(free) char *text = with_path(warnings);

	return load("a.conf", text);
}

static void assert_queue(const struct config *c, size_t index, const char *name, const char *broker) {
	ck_assert_uint_lt(index, c->n_queues);
	ck_assert_str_eq(c->queues[index].name, name);
	ck_assert_str_eq(c->queues[index].broker->name, broker);
	ck_assert_ptr_eq(c->queues[index].broker, &c->brokers[c->queues[index].broker - c->brokers]);
}

START_TEST(each_file_adds_brokers_and_queues) {
	struct config *c;

	write_main("broker = { url = \"amqp://main\"; };\n" QUEUE("q"));
	scratch_write("d/b.conf", 0640,
		      "queues = ( { name = \"b1\"; broker = \"z\"; " HANDLER " }, { name = \"b2\"; " HANDLER " } );\n");
	scratch_write("d/B.conf", 0640, QUEUE("B"));
	scratch_write("d/a-10.conf", 0640, "brokers = ( { name = \"z\"; }, { name = \"y\"; } );\n");
	scratch_write("d/a.conf", 0640, "");
	scratch_write("d/.hidden.conf", 0640, "what is this");
	scratch_write("d/b.conf.dpkg-old", 0640, "what is this");
	scratch_write("d/.conf", 0640, "what is this");
	c = load_main("");
	ck_assert_uint_eq(c->n_drop_ins, 4);
	ck_assert_ptr_nonnull(strstr(c->include_dir, "/d"));
	ck_assert_uint_eq(c->n_brokers, 3);
	ck_assert_str_eq(c->brokers[0].name, "default");
	ck_assert_str_eq(c->brokers[0].addresses[0].host, "main");
	ck_assert_str_eq(c->brokers[1].name, "z");
	ck_assert_str_eq(c->brokers[2].name, "y");
	ck_assert_uint_eq(c->n_queues, 4);
	assert_queue(c, 0, "q", "default");
	assert_queue(c, 1, "B", "default");
	assert_queue(c, 2, "b1", "z");
	assert_queue(c, 3, "b2", "default");
	config_unref(c);
}
END_TEST

START_TEST(a_queue_that_names_no_broker_is_on_the_default_one) {
	struct config *c;

	/* None at all: the local one. */
	write_main(QUEUE("q"));
	scratch_write("d/a.conf", 0640, QUEUE("a"));
	c = load_main("");
	ck_assert_uint_eq(c->n_brokers, 1);
	assert_queue(c, 0, "q", "default");
	assert_queue(c, 1, "a", "default");
	config_unref(c);
	/* The only one, wherever it is. */
	scratch_write("d/b.conf", 0640, "brokers = ( { name = \"b\"; } );\n");
	c = load_main("");
	ck_assert_uint_eq(c->n_brokers, 1);
	assert_queue(c, 0, "q", "b");
	config_unref(c);
	/* That of the group `broker`, wherever that is. */
	scratch_write("d/c.conf", 0640, "broker = { name = \"c\"; };\n");
	c = load_main("");
	ck_assert_uint_eq(c->n_brokers, 2);
	assert_queue(c, 0, "q", "c");
	assert_queue(c, 1, "a", "c");
	config_unref(c);
	scratch_write("d/c.conf", 0640, "brokers = ( { name = \"c\"; } );\n");
	refuse_main("a.conf:2: queues[0].broker: missing: expected the name of a broker, as there are several: \"b\", "
		    "\"c\"\n"
		    "@/d/a.conf:1: queues[0].broker: missing: expected the name of a broker, as there are several: "
		    "\"b\", \"c\"\n");
}
END_TEST

START_TEST(no_queue_is_enough_where_others_may_come) {
	struct config *c;

	write_main("");
	c = load_main("");
	ck_assert_uint_eq(c->n_queues, 0);
	ck_assert_uint_eq(c->n_drop_ins, 0);
	ck_assert_uint_eq(c->n_brokers, 1);
	config_unref(c);
	write_main("queues = ();\n");
	scratch_write("d/a.conf", 0640, "queues = [];\n");
	config_unref(load_main(""));
	refuse_text("queues = ();\n", "a.conf:1: queues: expected a list of at least one group, found an empty list\n");
}
END_TEST

START_TEST(defaults_hold_for_all_files) {
	struct config *c;

	write_main("defaults = { concurrency = 3;\nhandler = { timeout = \"1h\"; }; };\n");
	scratch_write("d/a.conf", 0640, "\nqueues = ( { name = \"a\"; concurrency = 2; " HANDLER " } );\n");
	scratch_write("d/b.conf", 0640, QUEUE("b"));
	c = load_main("a.conf:3: queues[0].handler.timeout: warning: 1h, and then requeue.max_delay (1min): the broker "
		      "delivers a "
		      "message again that is not settled within 30 minutes, unless its consumer_timeout is longer\n"
		      "a.conf:3: queues[0].handler.timeout: warning: 1h, and then requeue.max_delay (1min): the broker "
		      "delivers a "
		      "message again that is not settled within 30 minutes, unless its consumer_timeout is longer\n");
	ck_assert_uint_eq(c->queues[0].concurrency, 2);
	ck_assert_uint_eq(c->queues[1].concurrency, 3);
	config_unref(c);
}
END_TEST

START_TEST(everything_that_is_wrong_is_said_in_order) {
	write_main("\nbrokers = ( { name = \"m\"; heartbeat = \"x\"; } );\n"
		   "queues = ( { name = \"q\"; broker = \"nobody\"; prefech = 3; " HANDLER " } );\n");
	scratch_write(
		"d/a.conf", 0640,
		"queues = (\n{ name = \"a\"; broker = \"m\"; handler = { command = []; }; },\n7 );\nbrokers = { };\n");
	scratch_write("d/b.conf", 0640, "queues = (\n{ name = \"b\"\n\nlimits = { };\n");
	scratch_write("d/c.conf", 0640, "ready = \"started\";\nqueus = ();\n@include \"c.inc\"\nlimits = { };\n");
	scratch_write("d/c.inc", 0640, "\ninclude_dir = \"/x\";");
	scratch_write("d/d.conf", 0640, "queues = 1;\n\"");
	scratch_write("d/e.conf", 0640, "a = 1; a = 2;\n");
	refuse_main(
		"a.conf:3: brokers[0].heartbeat: expected a duration in whole seconds from 0 to 65535 (seconds, or a "
		"string such as "
		"\"250ms\", \"90s\", \"1h 30min\"), found the string \"x\"\n"
		"a.conf:4: queues[0].prefech: unknown key; did you mean \"prefetch\"?\n"
		"@/d/a.conf:2: queues[0].handler.command: expected an array of strings, the first of them an absolute "
		"path, found an "
		"empty array\n"
		"@/d/a.conf:3: queues[1]: expected a group, found 7\n"
		"@/d/a.conf:4: brokers: expected a list of groups, found a group\n"
		"@/d/b.conf:2: this { is never closed (expected })\n"
		"@/d/c.conf:1: ready: belongs into the main file, a.conf: here may only be brokers and queues\n"
		"@/d/c.conf:2: queus: unknown key; did you mean \"queues\"?\n"
		"@/d/c.inc:2: include_dir: belongs into the main file, a.conf: here may only be brokers and queues\n"
		"@/d/c.conf:4: limits: belongs into the main file, a.conf: here may only be brokers and queues\n"
		"@/d/d.conf:2: this string is never closed (expected \")\n"
		"@/d/e.conf:1: this group has \"a\" already: on line 1\n");
}
END_TEST

START_TEST(names_are_unique_over_all_files) {
	write_main("broker = { };\n" QUEUE("q"));
	scratch_write("d/a.conf", 0640, "\nbrokers = ( { name = \"x\"; },\n{ name = \"default\"; } );\n");
	scratch_write("d/b.conf", 0640,
		      "brokers = ( { name = \"y\"; },\n{ name = \"x\"; } );\n"
		      "queues = ( { name = \"r\"; " HANDLER " },\n{ name = \"q\"; " HANDLER " },\n"
		      "{ name = \"q\"; broker = \"y\"; " HANDLER " } );\n");
	refuse_main("@/d/a.conf:3: brokers[1].name: a broker has this name already: broker, a.conf:2\n"
		    "@/d/b.conf:2: brokers[1].name: a broker has this name already: brokers[0], @/d/a.conf:2\n"
		    "@/d/b.conf:4: queues[1].name: a queue of the same broker has this name already: queues[0], "
		    "a.conf:3\n");
}
END_TEST

START_TEST(one_file_gives_the_default_broker) {
	write_main("broker = { };\n");
	scratch_write("d/a.conf", 0640, "\nbroker = { url = 1; };\n");
	refuse_main(
		"@/d/a.conf:2: broker: is given already: a.conf:2; several are given by \"brokers\", each with a name\n"
		"@/d/a.conf:2: broker.url: expected a URL such as \"amqp://host:5672/vhost\", found an integer\n");
	scratch_write("d/a.conf", 0640, "broker = { };\nbrokers = ( { name = \"a\"; } );\n");
	refuse_main("@/d/a.conf:1: broker: give either this or \"brokers\", not both\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_hides_no_broker) {
	/* Whoever corrects the file is told of brokers that nobody has then. */
	write_main("queues = ( { name = \"q\"; broker = \"a\"; " HANDLER " } );\n");
	scratch_write("d/a.conf", 0640, "brokers = ( { name = \"a\"; } ;\n");
	refuse_main("@/d/a.conf:1: this ( is never closed (expected ))\n");
	scratch_write("d/a.conf", 0640, "brokers = ( { name = \"b\"; } );\n");
	refuse_main("a.conf:2: queues[0].broker: there is no broker \"a\"; did you mean \"b\"?\n");
}
END_TEST

START_TEST(the_folder_must_be_trusted) {
	refuse_text("include_dir = \"conf.d\";\n",
		    "a.conf:1: include_dir: expected the absolute path of a folder, found the string "
		    "\"conf.d\"\n");
	refuse_text("include_dir = true;\n",
		    "a.conf:1: include_dir: expected the absolute path of a folder, found true\n");
	write_main(QUEUE("q"));
	scratch_write("d/a.conf", 0640, QUEUE("a"));
	ck_assert_int_eq(chmod("d", 0757), 0);
	refuse_main("a.conf:1: include_dir: \"@/d\" is writable by everybody (mode 0757): take that right away with "
		    "chmod o-w\n");
	ck_assert_int_eq(chmod("d", 0755), 0);
	config_unref(load_main(""));
	if (geteuid() == 0) {
		ck_assert_int_eq(chown("d", 12345, 0), 0);
		refuse_main("a.conf:1: include_dir: \"@/d\" belongs to user 12345: expected root or the user this runs "
			    "as (0)\n");
		ck_assert_int_eq(chown("d", 0, 12345), 0);
		ck_assert_int_eq(chmod("d", 0775), 0);
		refuse_main("a.conf:1: include_dir: \"@/d\" is writable by group 12345 (mode 0775): take that right "
			    "away with chmod "
			    "g-w\n");
		ck_assert_int_eq(chmod("d", 0755), 0);
	}
	ck_assert_int_eq(remove("d/a.conf"), 0);
	ck_assert_int_eq(rmdir("d"), 0);
	scratch_write("d", 0640, "");
	refuse_main("a.conf:1: include_dir: \"@/d\" cannot be opened: Not a directory\n");
	ck_assert_int_eq(remove("d"), 0);
	refuse_main("a.conf:1: include_dir: \"@/d\" cannot be opened: No such file or directory\n");
}
END_TEST

START_TEST(each_file_must_be_trusted) {
	write_main(QUEUE("q"));
	scratch_write("d/a.conf", 0646, QUEUE("a"));
	ck_assert_int_eq(mkdir("d/b.conf", 0755), 0);
	scratch_write("d/c.conf", 0640, "queues = 5;\n");
	refuse_main("@/d/a.conf: the file is writable by everybody (mode 0646): take that right away with chmod o-w\n"
		    "@/d/b.conf: the file is a directory, not a regular file\n"
		    "@/d/c.conf:1: queues: expected a list of groups, found 5\n");
}
END_TEST

START_TEST(a_file_may_be_a_link_or_gone) {
	CLEANUP(source_clear) struct source gone = {0};
	struct config_problems problems = {0};
	struct config *c;

	write_main("");
	scratch_write("elsewhere", 0640, QUEUE("a"));
	ck_assert_int_eq(symlink("../elsewhere", "d/a.conf"), 0);
	c = load_main("");
	ck_assert_uint_eq(c->n_queues, 1);
	ck_assert_uint_eq(c->n_drop_ins, 1);
	config_unref(c);
	ck_assert_int_eq(chmod("elsewhere", 0642), 0);
	refuse_main("@/d/a.conf: the file is writable by everybody (mode 0642): take that right away with chmod o-w\n");
	ck_assert_int_eq(remove("elsewhere"), 0);
	refuse_main("@/d/a.conf: the file cannot be opened: No such file or directory\n");
	ck_assert_int_eq(remove("d/a.conf"), 0);
	/* What has been there when the folder was listed. */
	ck_assert_int_eq(source_read(&gone, "d/a.conf", 0, true, &problems), -ENOENT);
	ck_assert_uint_eq(problems.n, 0);
}
END_TEST

START_TEST(a_hundred_files_are_read) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char name[64];
	struct config *c;

	write_main("");
	for (unsigned i = 0; i < 100; i++) {
		strbuf_reset(&b);
		strbuf_printf(&b,
			      "brokers = ( { name = \"b%u\"; } );\n"
			      "queues = ( { name = \"q\"; broker = \"b%u\"; " HANDLER
			      " }, { name = \"r\"; broker = \"b%u\"; " HANDLER " } );\n",
			      i, i, 99 - i);
		(void)snprintf(name, sizeof(name), "d/%02u.conf", i);
		scratch_write(name, 0640, strbuf_str(&b));
	}
	c = load_main("");
	ck_assert_uint_eq(c->n_drop_ins, 100);
	ck_assert_uint_eq(c->n_brokers, 100);
	ck_assert_uint_eq(c->n_queues, 200);
	assert_queue(c, 99, "r", "b50");
	assert_queue(c, 198, "q", "b99");
	assert_queue(c, 199, "r", "b0");
	config_unref(c);
}
END_TEST

START_TEST(more_than_a_thousand_files_are_refused) {
	char name[64];

	write_main("");
	for (unsigned i = 0; i < 1001; i++) {
		(void)snprintf(name, sizeof(name), "d/%04u.conf", i);
		scratch_write(name, 0640, "");
	}
	refuse_main("a.conf:1: include_dir: \"@/d\" has 1001 files: expected at most 1000\n");
}
END_TEST

START_TEST(secrets_are_looked_for_where_they_are) {
	struct config *c;
	CLEANUP(free) char *path = with_path("@/d/a.conf");

	write_main("brokers = ( { name = \"m\"; } );\n");
	scratch_write("d/a.conf", 0644, "\n\nbrokers = ( { name = \"a\";\nurl = \"amqp://u:sEcReT@h\"; } );\n");
	c = load_main("@/d/a.conf:4: brokers[0].url: warning: everybody can read this password (the file's mode is "
		      "0644): use chmod "
		      "o-r, or password_file\n");
	ck_assert_uint_eq(c->n_secret_files, 1);
	ck_assert_str_eq(c->secret_files[0], path);
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

START_TEST(a_dump_has_what_all_files_say) {
	CLEANUP(free) char *head = with_path("# Effective configuration of a.conf and 2 files in @/d\n");
	struct config *c, *again;
	char *first, *second;

	write_main("broker = { };\n" QUEUE("q"));
	scratch_write("d/a.conf", 0640, QUEUE("a"));
	scratch_write("d/b.conf", 0640, "brokers = ( { name = \"b\"; } );\n");
	c = load_main("");
	first = dump(c);
	ck_assert_int_eq(strncmp(first, head, strlen(head)), 0);
	/* As a file of its own it says the same. */
	scratch_write("a.conf", 0640, first);
	again = load("a.conf", "");
	second = dump(again);
	ck_assert_str_eq(strchr(first, '\n'), strchr(second, '\n'));
	ck_assert_uint_eq(again->n_queues, 2);
	ck_assert_uint_eq(again->n_brokers, 2);
	free(first);
	free(second);
	config_unref(c);
	config_unref(again);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "files", each_file_adds_brokers_and_queues,
			 a_queue_that_names_no_broker_is_on_the_default_one, no_queue_is_enough_where_others_may_come,
			 defaults_hold_for_all_files, a_hundred_files_are_read, secrets_are_looked_for_where_they_are,
			 a_dump_has_what_all_files_say);
	ADD_SCRATCH_CASE(suite, "problems", everything_that_is_wrong_is_said_in_order, names_are_unique_over_all_files,
			 one_file_gives_the_default_broker, a_file_that_cannot_be_read_hides_no_broker);
	ADD_SCRATCH_CASE(suite, "trust", the_folder_must_be_trusted, each_file_must_be_trusted,
			 a_file_may_be_a_link_or_gone, more_than_a_thousand_files_are_refused);
}

CHECK_MAIN("config drop-ins", add_cases)
