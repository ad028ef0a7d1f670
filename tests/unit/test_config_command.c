/* SPDX-License-Identifier: MIT */
/* Templates in commands: what is wrong with them, and where they would let a message choose what is executed. */
#include <check.h>

#include "base/strbuf.h"
#include "config/config.h"
#include "config_files.h"

/* A queue with this command, in the lines from 4 on. */
static void write_command(const char *command, const char *handler) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "queues = ( {\nname = \"q\";\nhandler = { command = [\n%s ]; %s }; } );\n", command, handler);
	scratch_write("a.conf", 0640, strbuf_str(&b));
}

static void accept(const char *command) {
	write_command(command, "");
	config_unref(load("a.conf", ""));
}

static void refuse_command(const char *command, const char *handler, const char *expected) {
	write_command(command, handler);
	refuse("a.conf", expected);
}

START_TEST(templates_are_read) {
	struct config *c;

	accept("\"/bin/x\", \"%{queue}\", \"a%{header:x-y z}b%%\", \"%{routing_key}%{message_id}\", \"\", "
	       "\"%%{queue}\"");
	refuse_command(
		"\"/bin/x\", \"%{quue}\",\n\"%{Message_id} %{message-id}\",\n\"%{frobnicate}\"", "",
		"a.conf:4: queues[0].handler.command[1]: there is no %{quue}; did you mean %{queue}?\n"
		"a.conf:5: queues[0].handler.command[2]: there is no %{Message_id}; did you mean %{message_id}?\n"
		"a.conf:6: queues[0].handler.command[3]: there is no %{frobnicate}; the names are queue, exchange, "
		"routing_key, consumer_tag, delivery_tag, redelivered, attempt, body_size, content_type, "
		"content_encoding, delivery_mode, priority, correlation_id, reply_to, expiration, message_id, "
		"timestamp, type, user_id, app_id, header:NAME\n");
	/* A percent sign in the program's path is one. */
	write_command("\"/bin/100%\"", "");
	c = load("a.conf", "");
	ck_assert_str_eq(c->queues[0].handler.command[0], "/bin/100%");
	config_unref(c);
	refuse_command(
		"\"/bin/%{type}\"", "",
		"a.conf:4: queues[0].handler.command[0]: the program cannot have a template: nothing that a message "
		"says may choose what is executed\n");
	scratch_write("a.conf", 0640,
		      "defaults = { forward = { exchange = \"%{exchang}\"; }; };\n"
		      "queues = ( { name = \"q\"; forward = { routing_key = \"%{quee}\"; };\n"
		      "handler = { command = [ \"/bin/true\" ]; }; } );\n");
	refuse("a.conf", "a.conf:1: defaults.forward.exchange: there is no %{exchang}; did you mean %{exchange}?\n"
			 "a.conf:2: queues[0].forward.routing_key: there is no %{quee}; did you mean %{queue}?\n");
}
END_TEST

START_TEST(a_template_must_be_whole) {
	static const char *const bad[] = {"%", "a%b", "%{", "%{queue", "%{}", "%{header:}", "%{queue}%"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct config_problems problems = {0};
		struct config *c = NULL;
		char command[64];

		(void)snprintf(command, sizeof(command), "\"/bin/x\", \"%s\"", bad[i]);
		write_command(command, "");
		ck_assert_msg(config_load_for("a.conf", &nobodys_privileges, &problems, &c) == -EINVAL, "%s", bad[i]);
		ck_assert_uint_eq(problems.n, 1);
		ck_assert_str_eq(problems.items[0].key, "queues[0].handler.command[1]");
		ck_assert_uint_eq(problems.items[0].line, 4);
		config_problems_clear(&problems);
	}
}
END_TEST

#define T "%{header:x}"

/* Commands by what a message would choose there: the argument that is wrong (0: none), and the program that would
 * execute it. */
static const struct {
	const char *command;
	unsigned script;
	unsigned option;
	const char *program;
	const char *instead;
} commands[] = {
	{"\"/bin/x\", \"-c\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/sh\", \"-c\", \"echo $1\", \"sh\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/sh\", \"-c\", \"echo " T "\"", 2, 0, "sh", "\"$1\""},
	{"\"/bin/sh\", \"-c\", \"echo 100%%\"", 0, 0, NULL, NULL},
	{"\"/bin/bash\", \"-ec\", \"echo " T "\"", 2, 0, "bash", "\"$1\""},
	{"\"/bin/bash\", \"-lc\", \"--\", \"echo " T "\"", 3, 0, "bash", "\"$1\""},
	{"\"/bin/bash\", \"-o\", \"pipefail\", \"-c\", \"echo " T "\"", 4, 0, "bash", "\"$1\""},
	{"\"/bin/bash\", \"-o\", \"pipefail\", \"-c\", \"echo\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/bash\", \"-eo\", \"" T "\", \"-c\", \"echo\"", 0, 2, "bash", NULL},
	{"\"/bin/dash\", \"-c\", \"-e\", \"echo " T "\"", 3, 0, "dash", "\"$1\""},
	{"\"/bin/sh\", \"" T "\"", 1, 0, "sh", "\"$1\""},
	{"\"/bin/sh\", \"-e" T "\", \"x\"", 0, 1, "sh", NULL},
	{"\"/bin/sh\", \"/x\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/zsh\", \"+x\", \"-c\", \"" T "\"", 3, 0, "zsh", "\"$1\""},
	{"\"/usr/bin/fish\", \"--command=echo " T "\"", 0, 1, "fish", NULL},
	{"\"/usr/bin/fish\", \"--command\", \"echo " T "\"", 2, 0, "fish", "$argv[1]"},
	{"\"/bin/busybox\", \"sh\", \"-c\", \"echo " T "\"", 3, 0, "sh", "\"$1\""},
	{"\"/usr/bin/perl\", \"-e\", \"print " T "\"", 2, 0, "perl", "$ARGV[0]"},
	{"\"/usr/bin/perl\", \"-wne\", \"print " T "\"", 2, 0, "perl", "$ARGV[0]"},
	{"\"/usr/bin/perl5.36\", \"-eprint " T "\"", 0, 1, "perl5.36", NULL},
	{"\"/usr/bin/perl\", \"-e\", \"print\", \"" T "\"", 0, 3, "perl", NULL},
	{"\"/usr/bin/perl\", \"-e\", \"print\", \"--\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/perl\", \"-e\", \"print\", \"x" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/python3\", \"-c\", \"print(" T ")\"", 2, 0, "python3", "sys.argv[1]"},
	{"\"/usr/bin/python3.11\", \"-Ic\", \"print(" T ")\"", 2, 0, "python3.11", "sys.argv[1]"},
	{"\"/usr/bin/python3\", \"-X\", \"dev\", \"-c\", \"x\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/python3\", \"-m\", \"" T "\"", 2, 0, "python3", "sys.argv[1]"},
	{"\"/usr/bin/python3\", \"-m\", \"x\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/python3\", \"/x.py\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/ruby\", \"-r\", \"json\", \"-e\", \"p " T "\"", 4, 0, "ruby", "ARGV[0]"},
	{"\"/usr/bin/php\", \"-r\", \"echo " T ";\"", 2, 0, "php", "$argv[1]"},
	{"\"/usr/bin/php8.2\", \"-d\", \"" T "\", \"x.php\"", 0, 2, "php8.2", NULL},
	{"\"/usr/bin/php\", \"-f\", \"x.php\", \"--\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/php\", \"x.php\", \"--message=" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/node\", \"-e\", \"" T "\"", 2, 0, "node", "process.argv[1]"},
	{"\"/usr/bin/nodejs\", \"-pe\", \"1 + " T "\"", 2, 0, "nodejs", "process.argv[1]"},
	{"\"/usr/bin/node\", \"--eval\", \"1 + " T "\"", 2, 0, "node", "process.argv[1]"},
	{"\"/usr/bin/awk\", \"{ print " T " }\"", 1, 0, "awk", "ARGV[1]"},
	{"\"/usr/bin/gawk\", \"-F\", \",\", \"-v\", \"x=" T "\", \"{ print x }\", \"-\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/mawk\", \"-vx=" T "\", \"{ print x }\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/mawk\", \"-f\", \"" T "\"", 2, 0, "mawk", "ARGV[1]"},
	{"\"/bin/sed\", \"s/x/" T "/\"", 1, 0, "sed", NULL},
	{"\"/bin/sed\", \"-n\", \"-e\", \"s/x/" T "/\"", 3, 0, "sed", NULL},
	{"\"/bin/sed\", \"-e\", \"p\", \"" T "\"", 0, 3, "sed", NULL},
	{"\"/bin/sed\", \"p\", \"" T "\"", 0, 2, "sed", NULL},
	{"\"/bin/sed\", \"p\", \"--\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/sed\", \"-e\", \"p\", \"--\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/bin/sed\", \"-e\", \"p\", \"/spool/" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/env\", \"A=" T "\", \"/bin/x\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/env\", \"PATH=" T "\", \"x\"", 1, 0, "env", NULL},
	{"\"/usr/bin/env\", \"LD_PRELOAD=" T "\", \"x\"", 1, 0, "env", NULL},
	{"\"/usr/bin/env\", \"PATH=/bin\", \"" T "\"", 2, 0, "env", NULL},
	{"\"/usr/bin/env\", \"PATH=/bin\", \"x\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/env\", \"A=1\", \"" T "\"", 2, 0, "env", NULL},
	{"\"/usr/bin/env\", \"-i\", \"sh\", \"-c\", \"" T "\"", 4, 0, "sh", "\"$1\""},
	{"\"/usr/bin/nice\", \"-n\", \"5\", \"/bin/sh\", \"-c\", \"" T "\"", 5, 0, "sh", "\"$1\""},
	{"\"/usr/bin/timeout\", \"5\", \"" T "\"", 2, 0, "timeout", NULL},
	{"\"/usr/bin/sudo\", \"-u\", \"mail\", \"/usr/bin/perl\", \"" T "\"", 4, 0, "perl", "$ARGV[0]"},
	{"\"/bin/su\", \"mail\", \"-c\", \"x " T "\"", 3, 0, "su", NULL},
	{"\"/bin/su\", \"-c\", \"x\", \"mail\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/setsid\", \"sh\", \"" T "\"", 2, 0, "sh", "\"$1\""},
	/* Behind a program that is not known a word may be any word, unless an option says what it is. */
	{"\"/usr/local/bin/lock\", \"sh\", \"-c\", \"echo " T "\"", 3, 0, "sh", "\"$1\""},
	{"\"/usr/bin/logger\", \"-t\", \"node\", \"" T "\"", 0, 0, NULL, NULL},
	{"\"/usr/bin/logger\", \"-t\", \"sh\", \"-p\", \"" T "\"", 0, 0, NULL, NULL},
};

START_TEST(nothing_in_a_message_chooses_what_is_executed) {
	unsigned at = commands[_i].script ? commands[_i].script : commands[_i].option;
	CLEANUP(strbuf_free) struct strbuf expected = STRBUF_INIT;

	if (at == 0) {
		accept(commands[_i].command);
		return;
	}
	strbuf_printf(&expected, "a.conf:4: queues[0].handler.command[%u]: %s \"%s\": ", at,
		      commands[_i].option ? "what a message says would be, or could be taken for, an option of"
					  : "a message would choose what is executed by",
		      commands[_i].program);
	if (commands[_i].option)
		strbuf_append_str(&expected, "put \"--\" before it, or take it out\n");
	else if (commands[_i].instead)
		strbuf_printf(&expected, "pass what it says as a further argument, and use %s in the script\n",
			      commands[_i].instead);
	else
		strbuf_append_str(&expected, "leave that to a program that gets what it says as an argument\n");
	refuse_command(commands[_i].command, "", strbuf_str(&expected));
}
END_TEST

START_TEST(a_body_that_is_an_argument_is_no_script) {
	refuse_command("\"/bin/sh\", \"-c\"", "input = \"argument\";",
		       "a.conf:4: queues[0].handler.input: a message would choose what is executed by \"sh\": pass "
		       "what it says "
		       "as a further argument, and use \"$1\" in the script\n");
	refuse_command("\"/usr/bin/php\"", "\ninput = \"argument-json\";",
		       "a.conf:5: queues[0].handler.input: a message would choose what is executed by \"php\": pass "
		       "what it says "
		       "as a further argument, and use $argv[1] in the script\n");
	write_command("\"/usr/bin/php\", \"/x.php\"", "input = \"argument\";");
	config_unref(load("a.conf", ""));
	write_command("\"/usr/bin/perl\", \"-e\", \"print\"", "input = \"argument\";");
	config_unref(load("a.conf", ""));
	write_command("\"/usr/bin/php\"", "input = \"json\";");
	config_unref(load("a.conf", ""));
}
END_TEST

START_TEST(a_worker_has_no_message_to_take_arguments_from) {
	write_command("\"/bin/x\", \"100%%\"", "mode = \"worker\";");
	config_unref(load("a.conf", ""));
	refuse_command(
		"\"/bin/x\", \"a\",\n\"%{queue}\"", "mode = \"worker\";",
		"a.conf:5: queues[0].handler.command[2]: a worker starts without a message: there is nothing to put in "
		"place of %{...}\n");
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tc = tcase_create("interpreters");

	ADD_SCRATCH_CASE(suite, "templates", templates_are_read, a_template_must_be_whole,
			 a_body_that_is_an_argument_is_no_script, a_worker_has_no_message_to_take_arguments_from);
	tcase_add_checked_fixture(tc, scratch_setup, scratch_teardown);
	tcase_add_loop_test(tc, nothing_in_a_message_chooses_what_is_executed, 0,
			    (int)(sizeof(commands) / sizeof(commands[0])));
	suite_add_tcase(suite, tc);
}

CHECK_MAIN("config command", add_cases)
