/* SPDX-License-Identifier: MIT */
/* The files that a configuration is made of, and what is said about those that are wrong. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "config/config.h"
#include "config_files.h"

#define BAD TEST_SRCDIR "/tests/config/bad"

START_TEST(included_files_are_found_beside_the_file_that_includes_them) {
	struct config *c;

	ck_assert_int_eq(mkdir("conf.d", 0755), 0);
	scratch_write("conf.d/queues.inc", 0640, "# queues\nqueues = (\n@include \"one.inc\"\n);");
	scratch_write("conf.d/one.inc", 0640,
		      "{ name = \"q\";\n  handler = { command = [ \"/bin/true\" ]; }; } # no newline");
	scratch_write("a.conf", 0640,
		      "# @include \"nothing\"\n/*\n@include \"nothing\"\n*/\n"
		      "broker = { connection_name = \"\n@include \\\"nothing\\\"\n\"; };\n"
		      "  @include\t\"conf.d/queues.inc\" ready = \"started\";\n");
	c = load("a.conf", "");
	ck_assert_uint_eq(c->n_queues, 1);
	ck_assert_str_eq(c->brokers[0].connection_name, "\n@include \"nothing\"\n");
	ck_assert_int_eq(c->ready, CONFIG_READY_STARTED);
	config_unref(c);

	scratch_write("conf.d/one.inc", 0640, "{ name = \"q\";\n  handlr = { };\n}");
	refuse("a.conf", "conf.d/one.inc:1: queues[0].handler: missing: expected a group (the process that "
			 "is run for each message)\n"
			 "conf.d/one.inc:2: queues[0].handlr: unknown key; did you mean \"handler\"?\n");
	ck_assert_int_eq(chmod("conf.d/one.inc", 0646), 0);
	refuse("a.conf",
	       "conf.d/queues.inc:3: the included file \"conf.d/one.inc\" is writable by everybody (mode 0646): "
	       "take that right away with chmod o-w\n");
}
END_TEST

START_TEST(only_regular_files_of_trusted_owners_are_read) {
	refuse("none.conf", "none.conf: the file cannot be opened: No such file or directory\n");
	refuse(".", ".: the file is a directory, not a regular file\n");
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	refuse("fifo", "fifo: the file is not a regular file\n");
	refuse("/dev/null", "/dev/null: the file is not a regular file\n");
	scratch_write("a.conf", 0602, QUEUES);
	refuse("a.conf",
	       "a.conf: the file is writable by everybody (mode 0602): take that right away with chmod o-w\n");
	scratch_write("a.conf", 0664, QUEUES);
	config_unref(load("a.conf", ""));
	ck_assert_int_eq(symlink("a.conf", "link.conf"), 0);
	config_unref(load("link.conf", ""));
	if (geteuid() == 0) {
		ck_assert_int_eq(chown("a.conf", 0, 12345), 0);
		ck_assert_int_eq(chmod("a.conf", 0664), 0);
		refuse("a.conf", "a.conf: the file is writable by group 12345 (mode 0664): take that right away with "
				 "chmod g-w\n");
		ck_assert_int_eq(chmod("a.conf", 0644), 0);
		config_unref(load("a.conf", ""));
		ck_assert_int_eq(chown("a.conf", 12345, 0), 0);
		refuse("a.conf",
		       "a.conf: the file belongs to user 12345: expected root or the user this runs as (0)\n");
	}
}
END_TEST

START_TEST(a_file_that_is_too_large_is_refused) {
	FILE *f = fopen("a.conf", "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(QUEUES "#", f), 0);
	for (unsigned i = 0; i < 4096; i++)
		ck_assert_int_gt(fprintf(f, "%01024u", i), 0);
	ck_assert_int_eq(fclose(f), 0);
	refuse("a.conf", "a.conf: the file is larger than 4194304 bytes\n");
}
END_TEST

/* A configuration with this broker group and the password file "secret" of the scratch folder. */
static void write_broker(const char *rest) {
	struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "broker = {\n\tpassword_file = \"%s/secret\";\n%s};\n" QUEUES, scratch_path, rest);
	scratch_write("a.conf", 0640, strbuf_str(&b));
	strbuf_free(&b);
}

static void refuse_secret(const char *what) {
	struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "a.conf:2: broker.password_file: \"%s/secret\" %s\n", scratch_path, what);
	refuse("a.conf", strbuf_str(&b));
	strbuf_free(&b);
}

START_TEST(the_password_is_the_first_line_of_its_file) {
	struct config *c;

	write_broker("url = \"amqp://me:other@h\";\n");
	scratch_write("secret", 0600, "two words\r\nsecond line\n");
	c = load("a.conf", "");
	ck_assert_str_eq(c->brokers[0].addresses[0].username, "me");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "two words");
	config_unref(c);
	scratch_write("secret", 0640, "no newline");
	c = load("a.conf", "");
	ck_assert_str_eq(c->brokers[0].addresses[0].password, "no newline");
	config_unref(c);
	scratch_write("secret", 0644, "x\n");
	config_unref(load("a.conf",
			  "a.conf:2: broker.password_file: warning: everybody can read this file (its mode is "
			  "0644): use chmod o-r\n"));
}
END_TEST

START_TEST(a_bad_password_file_is_refused) {
	char large[4098];

	write_broker("");
	refuse_secret("cannot be opened: No such file or directory");
	scratch_write("secret", 0606, "x\n");
	refuse_secret("is writable by everybody (mode 0606): take that right away with chmod o-w");
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	scratch_write("secret", 0600, large);
	refuse_secret("is larger than 4096 bytes");
	large[4096] = '\0';
	scratch_write("secret", 0600, large);
	config_unref(load("a.conf", ""));
	ck_assert_int_eq(remove("secret"), 0);
	ck_assert_int_eq(mkdir("secret", 0700), 0);
	refuse_secret("is a directory, not a regular file");
	ck_assert_int_eq(remove("secret"), 0);
	scratch_write("secret", 0600, "\nsecond line\n");
	refuse("a.conf", "a.conf:2: broker.password_file: the file's first line is empty: expected a password there\n");
	write_broker("password = \"both\";\n");
	scratch_write("secret", 0600, "x\n");
	refuse("a.conf", "a.conf:2: broker.password_file: give either this or \"password\", not both\n");
}
END_TEST

START_TEST(a_password_that_everybody_can_read_is_a_warning) {
	scratch_write("a.conf", 0644, "broker = { password = \"sEcReT\"; };\n" QUEUES);
	config_unref(load("a.conf",
			  "a.conf:1: broker.password: warning: everybody can read this password (the file's mode "
			  "is 0644): use chmod o-r, or password_file\n"));
	scratch_write("a.conf", 0644, "broker = { url = \"amqp://u:sEcReT@h\"; };\n" QUEUES);
	config_unref(load("a.conf", "a.conf:1: broker.url: warning: everybody can read this password (the file's mode "
				    "is 0644): use chmod o-r, or password_file\n"));
	/* It is the mode of the file that holds the password which counts. */
	scratch_write("password.inc", 0640, "broker = { password = \"sEcReT\"; };\n");
	scratch_write("a.conf", 0644, "@include \"password.inc\"\n" QUEUES);
	config_unref(load("a.conf", ""));
}
END_TEST

#define AGAIN                                                                                                          \
	"the broker delivers a message again that is not settled within 30 minutes, unless its consumer_timeout is "   \
	"longer\n"

/* A queue with these further keys is right, and gives these warnings. */
static void warn_of(const char *defaults, const char *handler, const char *rest, const char *warnings) {
	struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b,
		      "defaults = { %s };\n"
		      "queues = ( {\n"
		      "name = \"q\";\n"
		      "handler = { command = [ \"/bin/true\" ];\n"
		      "%s };\n"
		      "%s } );\n",
		      defaults, handler, rest);
	scratch_write("a.conf", 0640, strbuf_str(&b));
	config_unref(load("a.conf", warnings));
	strbuf_free(&b);
}

START_TEST(reaching_the_delivery_timeout_is_a_warning) {
	warn_of("", "timeout = \"29min 58s\";", "", "");
	warn_of("", "timeout = \"29min 59s\";", "",
		"a.conf:5: queues[0].handler.timeout: warning: 29min 59s, and then requeue.delay (1s): " AGAIN);
	warn_of("", "timeout = \"infinity\";", "requeue = { delay = 0; };",
		"a.conf:5: queues[0].handler.timeout: warning: infinity, and then requeue.delay (0s): " AGAIN);
	warn_of("", "", "requeue = { delay = \"4min 59s\"; };", "");
	warn_of("", "", "requeue = { delay = \"5min\"; };",
		"a.conf:6: queues[0].requeue.delay: warning: 5min, after handler.timeout (25min): " AGAIN);
	warn_of("", "timeout = \"20min\";", "requeue = { delay = \"1h\"; };",
		"a.conf:6: queues[0].requeue.delay: warning: 1h, after handler.timeout (20min): " AGAIN);
	/* Where the value was given counts. */
	warn_of("handler = { timeout = \"1h\"; };", "", "",
		"a.conf:1: queues[0].handler.timeout: warning: 1h, and then requeue.delay (1s): " AGAIN);
	warn_of("handler = { timeout = \"1h\"; };", "timeout = \"1min\";", "", "");
}
END_TEST

START_TEST(declarations_that_the_broker_refuses_are_warnings) {
	warn_of("", "", "declare = { type = \"quorum\"; };", "");
	warn_of("", "", "declare = { type = \"classic\"; durable = false; auto_delete = true; };", "");
	warn_of("", "", "declare = { durable = false; auto_delete = true; };", "");
	warn_of("", "", "declare = { type = \"quorum\"; durable = false; };",
		"a.conf:6: queues[0].declare.durable: warning: false: the broker refuses a queue of type \"quorum\" "
		"that "
		"is not durable\n");
	warn_of("", "", "declare = { type = \"stream\";\nauto_delete = true; };",
		"a.conf:7: queues[0].declare.auto_delete: warning: true: the broker refuses a queue of type \"stream\" "
		"that is deleted automatically\n");
	warn_of("declare = { durable = false; };", "", "declare = { arguments = { x-queue-type = \"quorum\"; }; };",
		"a.conf:1: queues[0].declare.durable: warning: false: the broker refuses a queue of type \"quorum\" "
		"that "
		"is not durable\n");
	/* No boolean, so it is not known to be false. */
	refuse_text("queues = ( { name = \"q\"; handler = { command = [ \"/bin/true\" ]; };\n"
		    "declare = { type = \"quorum\"; durable = 0; }; } );\n",
		    "a.conf:2: queues[0].declare.durable: expected true or false, found 0\n");
}
END_TEST

START_TEST(problems_are_formatted) {
	struct config_problem p = {
		.file = (char *)"a\nb", .line = 3, .key = (char *)"k", .text = (char *)"t", .warning = true};
	char *s;

	ck_assert_int_eq(config_problem_format(&p, &s), 0);
	ck_assert_str_eq(s, "a\\nb:3: k: warning: t");
	free(s);
	p = (struct config_problem){.file = (char *)"f", .text = (char *)"t"};
	ck_assert_int_eq(config_problem_format(&p, &s), 0);
	ck_assert_str_eq(s, "f: t");
	free(s);
	ck_assert_str_eq(config_ready_to_string(CONFIG_READY_ATTEMPTED), "attempted");
	ck_assert_str_eq(config_ready_to_string(CONFIG_READY_STARTED), "started");
}
END_TEST

/* Copies the folder's files into the scratch folder, as private files of our own, except for a mode that NAME.mode
 * (in octal) asks for. */
static void copy_bad_files(void) {
	DIR *d = opendir(BAD);
	char path[4096];

	ck_assert_msg(d != NULL, "%s", BAD);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		size_t len;
		char *content;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", BAD, e->d_name);
		content = read_file(path, &len);
		f = fopen(e->d_name, "w");
		ck_assert_ptr_nonnull(f);
		ck_assert_uint_eq(fwrite(content, 1, len, f), len);
		ck_assert_int_eq(fclose(f), 0);
		ck_assert_int_eq(chmod(e->d_name, 0600), 0);
		free(content);
	}
	(void)closedir(d);
}

static char *with_suffix(const char *conf, const char *suffix) {
	static char name[512];

	(void)snprintf(name, sizeof(name), "%.*s%s", (int)(strlen(conf) - strlen(".conf")), conf, suffix);
	return name;
}

static int is_conf(const struct dirent *e) {
	const char *dot = strrchr(e->d_name, '.');

	return dot && strcmp(dot, ".conf") == 0;
}

/* Each of tests/config/bad is refused with exactly the messages that are written beside it. */
START_TEST(broken_files_are_refused_as_expected) {
	struct dirent **files;
	int n;

	copy_bad_files();
	n = scandir(".", &files, is_conf, alphasort);
	ck_assert_int_ge(n, 24);
	for (int i = 0; i < n; i++) {
		const char *name = files[i]->d_name;
		char *expected;

		if (access(with_suffix(name, ".mode"), F_OK) == 0) {
			char *mode = read_file(with_suffix(name, ".mode"), NULL);

			ck_assert_int_eq(chmod(name, (mode_t)strtoul(mode, NULL, 8)), 0);
			free(mode);
		}
		expected = read_file(with_suffix(name, ".expected"), NULL);
		refuse(name, expected);
		ck_assert_ptr_null(strstr(expected, "sEc"));
		free(expected);
		free(files[i]);
	}
	free(files);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "files", included_files_are_found_beside_the_file_that_includes_them,
			 only_regular_files_of_trusted_owners_are_read, a_file_that_is_too_large_is_refused,
			 the_password_is_the_first_line_of_its_file, a_bad_password_file_is_refused,
			 a_password_that_everybody_can_read_is_a_warning);
	ADD_SCRATCH_CASE(suite, "warnings", reaching_the_delivery_timeout_is_a_warning,
			 declarations_that_the_broker_refuses_are_warnings);
	ADD_SCRATCH_CASE(suite, "problems", problems_are_formatted, broken_files_are_refused_as_expected);
}

CHECK_MAIN("config problems", add_cases)
