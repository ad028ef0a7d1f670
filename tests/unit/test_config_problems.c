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
	warn_of("", "timeout = \"28min 59s\";", "", "");
	warn_of("", "timeout = \"29min\";", "",
		"a.conf:5: queues[0].handler.timeout: warning: 29min, and then requeue.max_delay (1min): " AGAIN);
	warn_of("", "timeout = \"infinity\";", "requeue = { delay = 0; };",
		"a.conf:5: queues[0].handler.timeout: warning: infinity, and then requeue.delay (0s): " AGAIN);
	/* A delay of nothing does not grow. */
	warn_of("", "timeout = \"29min\";", "requeue = { delay = 0; };", "");
	warn_of("", "", "requeue = { delay = \"4min 59s\"; };", "");
	warn_of("", "", "requeue = { delay = \"5min\"; };",
		"a.conf:6: queues[0].requeue.delay: warning: 5min, after handler.timeout (25min): " AGAIN);
	warn_of("", "", "requeue = {\nmax_delay = \"4min 59s\"; };", "");
	warn_of("", "", "requeue = {\nmax_delay = \"5min\"; };",
		"a.conf:7: queues[0].requeue.max_delay: warning: 5min, after handler.timeout (25min): " AGAIN);
	warn_of("", "timeout = \"20min\";", "requeue = { delay = \"1h\"; };",
		"a.conf:6: queues[0].requeue.delay: warning: 1h, after handler.timeout (20min): " AGAIN);
	/* Where the value was given counts. */
	warn_of("handler = { timeout = \"1h\"; };", "", "",
		"a.conf:1: queues[0].handler.timeout: warning: 1h, and then requeue.max_delay (1min): " AGAIN);
	warn_of("handler = { timeout = \"1h\"; };", "timeout = \"1min\";", "", "");
}
END_TEST

#define DISCARDED "rejected messages are discarded, unless the queue has a dead-letter exchange at the broker\n"

START_TEST(rejected_messages_that_go_nowhere_are_a_warning) {
	static const char possible[] = "a.conf:6: queues[0].outcomes: warning: \"reject\" is possible, and there is no "
				       "dead_letter: " DISCARDED;
	static const char too_large[] =
		"a.conf:6: queues[0].outcomes.on_too_large: warning: dead_letter never gets bodies above limits.max_message_size: " DISCARDED;

	warn_of("", "", "outcomes = { reject = 65; };", possible);
	warn_of("", "", "outcomes = { otherwise = \"reject\"; };", possible);
	warn_of("", "", "outcomes = { on_timeout = \"reject\"; };", possible);
	warn_of("", "", "outcomes = { on_signal = \"reject\"; };", possible);
	warn_of("", "", "outcomes = { on_too_large = \"reject\"; };", too_large);
	warn_of("", "", "outcomes = { reject = 65; on_too_large = \"reject\"; }; dead_letter = { exchange = \"dead\"; };", too_large);
	warn_of("", "",
		"outcomes = { on_too_large = \"reject\"; }; declare = { arguments = { x-dead-letter-exchange = \"dead\"; }; };", "");
	warn_of("", "", "outcomes = { reject = []; };", "");
	warn_of("outcomes = { reject = 65; };", "", "",
		"a.conf:1: queues[0].outcomes: warning: \"reject\" is possible, and there is no "
		"dead_letter: " DISCARDED);
	warn_of("", "", "outcomes = { retry = 75; };",
		"a.conf:6: queues[0].outcomes: warning: after retry.max_attempts (10) a message is rejected, and there "
		"is "
		"no dead_letter: " DISCARDED);
	warn_of("", "", "outcomes = { retry = 75; }; retry = { max_attempts = 0; };", "");
	warn_of("", "", "outcomes = { reject = 65; }; dead_letter = { exchange = \"dead\"; };", "");
	warn_of("dead_letter = { routing_key = \"dead\"; };", "", "outcomes = { retry = 75; };", "");
	warn_of("", "",
		"outcomes = { reject = 65; }; declare = { arguments = { x-dead-letter-exchange = \"dead\"; }; };", "");
}
END_TEST

START_TEST(retries_into_a_queue_that_refuses_are_a_warning) {
	static const char lost[] =
		"a.conf:7: queues[0].declare.arguments: warning: x-overflow: a message that comes back from a classic "
		"delay queue while this queue is full is lost; retry.queue_type = \"quorum\" keeps it\n";

	warn_of("", "",
		"outcomes = { retry = 75; }; retry = { max_attempts = 0; queue_type = \"classic\"; };\n"
		"declare = { arguments = { x-overflow = \"reject-publish\"; }; };",
		lost);
	warn_of("", "",
		"outcomes = { retry = 75; }; retry = { max_attempts = 0; };\n"
		"declare = { type = \"classic\"; arguments = { x-overflow = \"reject-publish-dlx\"; }; };",
		lost);
	warn_of("", "",
		"outcomes = { retry = 75; }; retry = { max_attempts = 0; };\n"
		"declare = { arguments = { x-overflow = \"reject-publish\"; }; };",
		"");
	warn_of("", "",
		"outcomes = { retry = 75; }; retry = { max_attempts = 0; queue_type = \"classic\"; };\n"
		"declare = { arguments = { x-overflow = \"drop-head\"; }; };",
		"");
}
END_TEST

START_TEST(an_outcome_without_ack_is_a_warning) {
	warn_of("", "", "outcomes = { ack = []; };",
		"a.conf:6: queues[0].outcomes.ack: warning: no exit status leads to \"ack\": every message fails\n");
	warn_of("", "", "outcomes = { ack = []; otherwise = \"ack\"; };", "");
	warn_of("", "", "outcomes = { ack = [3]; };", "");
}
END_TEST

START_TEST(keys_without_effect_are_warnings) {
	warn_of("", "", "dead_letter = { exchange = \"dead\"; };",
		"a.conf:6: queues[0].dead_letter: warning: has no effect: no outcome here leads to \"reject\"\n");
	warn_of("", "",
		"outcomes = { retry = 75; };\nretry = { max_attempts = 0; };\ndead_letter = { exchange = \"x\"; };",
		"a.conf:8: queues[0].dead_letter: warning: has no effect: no outcome here leads to \"reject\"\n");
	warn_of("dead_letter = { exchange = \"dead\"; };", "", "", "");
	warn_of("", "",
		"outcomes = { on_too_large = \"reject\"; }; dead_letter = { exchange = \"x\"; };\n"
		"declare = { arguments = { x-dead-letter-exchange = \"dead\"; }; };",
		"");
	warn_of("", "", "retry = { multiplier = 2;\njitter = 0.5; };",
		"a.conf:7: queues[0].retry.jitter: warning: has no effect: no outcome here is \"retry\"\n");
	/* What a default says may be repeated, as --dump-config does; what is for all queues need not be for each. */
	warn_of("", "", "retry = { multiplier = 2; max_attempts = 10; delay = 10; jitter = 0.0; };", "");
	warn_of("retry = { jitter = 0.5; };", "", "", "");
	warn_of("", "", "breaker = { cooldown = 5; };",
		"a.conf:6: queues[0].breaker.cooldown: warning: has no effect: breaker.failures is 0\n");
	warn_of("", "", "breaker = { cooldown = 5; failures = 1; };", "");
	warn_of("", "", "breaker = { cooldown = 30; };", "");
	scratch_write("a.conf", 0640, "broker = { tls = { verify = true;\nserver_name = \"x\"; }; };\n" QUEUES);
	config_unref(load("a.conf",
			  "a.conf:2: broker.tls.server_name: warning: has no effect: no URL of this broker begins "
			  "with amqps://\n"));
}
END_TEST

START_TEST(a_broker_that_is_not_verified_is_a_warning) {
	scratch_write("a.conf", 0640, "broker = { url = \"amqps://h\";\ntls = {\nverify = false; }; };\n" QUEUES);
	config_unref(load("a.conf",
			  "a.conf:3: broker.tls.verify: warning: false: whoever is between here and the broker can "
			  "read and change everything, the password included\n"));
	scratch_write("a.conf", 0640, "broker = { url = \"amqps://h\"; tls = { verify = true; }; };\n" QUEUES);
	config_unref(load("a.conf", ""));
}
END_TEST

START_TEST(certificates_and_keys_must_be_readable_files) {
	struct strbuf b = STRBUF_INIT;
	struct config *c;

	scratch_write("cert", 0644, "certificate\n");
	scratch_write("key", 0600, "key\n");
	scratch_write("key_password", 0600, "sEcReT two\n");
	strbuf_printf(&b,
		      "broker = { url = \"amqps://h\"; auth = \"external\"; tls = {\nca_file = \"%s/cert\";\n"
		      "cert_file = \"%s/cert\";\nkey_file = \"%s/key\";\nkey_password_file = \"%s/key_password\"; }; "
		      "};\n" QUEUES,
		      scratch_path, scratch_path, scratch_path, scratch_path);
	c = load_text(strbuf_str(&b));
	ck_assert_str_eq(c->brokers[0].tls.key_password, "sEcReT two");
	ck_assert_str_eq(strrchr(c->brokers[0].tls.key_file, '/'), "/key");
	ck_assert_str_eq(strrchr(c->brokers[0].tls.ca_file, '/'), "/cert");
	config_unref(c);
	ck_assert_int_eq(chmod("key", 0644), 0);
	config_unref(load("a.conf", "a.conf:4: broker.tls.key_file: warning: everybody can read this file (its mode is "
				    "0644): use chmod o-r\n"));
	ck_assert_int_eq(chmod("key", 0600), 0);
	ck_assert_int_eq(chmod("key_password", 0604), 0);
	config_unref(load("a.conf",
			  "a.conf:5: broker.tls.key_password_file: warning: everybody can read this file (its mode "
			  "is 0604): use chmod o-r\n"));
	strbuf_reset(&b);
	ck_assert_int_eq(remove("cert"), 0);
	ck_assert_int_eq(remove("key"), 0);
	ck_assert_int_eq(mkdir("key", 0755), 0);
	ck_assert_int_eq(chmod("key_password", 0602), 0);
	strbuf_printf(&b,
		      "a.conf:2: broker.tls.ca_file: \"%s/cert\" cannot be opened: No such file or directory\n"
		      "a.conf:3: broker.tls.cert_file: \"%s/cert\" cannot be opened: No such file or directory\n"
		      "a.conf:4: broker.tls.key_file: \"%s/key\" is not a regular file\n"
		      "a.conf:5: broker.tls.key_password_file: \"%s/key_password\" is writable by everybody (mode "
		      "0602): take "
		      "that right away with chmod o-w\n",
		      scratch_path, scratch_path, scratch_path, scratch_path);
	refuse("a.conf", strbuf_str(&b));
	strbuf_free(&b);
}
END_TEST

START_TEST(names_of_delay_queues_must_fit) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "queues = ( { name = \"%0224d\"; handler = { command = [ \"/bin/true\" ]; }; } );\n", 0);
	config_unref(load_text(strbuf_str(&b)));
	strbuf_reset(&b);
	strbuf_printf(
		&b,
		"queues = ( { name = \"%0223d\"; outcomes = { retry = 75; }; dead_letter = { exchange = \"x\"; };\n"
		"handler = { command = [ \"/bin/true\" ]; }; } );\n",
		0);
	config_unref(load_text(strbuf_str(&b)));
	strbuf_reset(&b);
	strbuf_printf(
		&b,
		"queues = ( {\nname = \"%0224d\"; outcomes = { otherwise = \"retry\"; };\ndead_letter = { exchange = "
		"\"x\"; }; handler = { command = [ \"/bin/true\" ]; }; } );\n",
		0);
	refuse_text(strbuf_str(&b),
		    "a.conf:2: queues[0].name: expected at most 223 bytes where \"retry\" is an outcome, "
		    "found 224: the names of the delay queues are made of this one\n");
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
			 a_password_that_everybody_can_read_is_a_warning, certificates_and_keys_must_be_readable_files);
	ADD_SCRATCH_CASE(suite, "warnings", reaching_the_delivery_timeout_is_a_warning,
			 rejected_messages_that_go_nowhere_are_a_warning, retries_into_a_queue_that_refuses_are_a_warning,
			 an_outcome_without_ack_is_a_warning, keys_without_effect_are_warnings,
			 a_broker_that_is_not_verified_is_a_warning, declarations_that_the_broker_refuses_are_warnings);
	ADD_SCRATCH_CASE(suite, "problems", names_of_delay_queues_must_fit, problems_are_formatted,
			 broken_files_are_refused_as_expected);
}

CHECK_MAIN("config problems", add_cases)
