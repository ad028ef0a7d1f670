/* SPDX-License-Identifier: MIT */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "check_main.h"
#include "ctl/client.h"
#include "ctl/columns.h"
#include "ctl/show.h"
#include "ctl/text.h"

/* 2026-01-31T12:00:00Z */
#define NOON 1769860800

static void ck_text(struct strbuf *b, const char *expected) {
	if (strcmp(strbuf_str(b), expected) != 0)
		fprintf(stderr, "expected:\n%sgot:\n%s", expected, strbuf_str(b));
	ck_assert_int_eq(strcmp(strbuf_str(b), expected), 0);
	ck_assert(!b->failed);
	strbuf_reset(b);
}

static json_t *parse(const char *text) {
	json_t *value = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(value);
	return value;
}

/* --- text --- */

START_TEST(width_is_what_a_terminal_shows) {
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	ck_assert_uint_eq(text_width(""), 0);
	ck_assert_uint_eq(text_width("abc"), 3);
	ck_assert_uint_eq(text_width("\xc3\xa4\xc3\xb6"), 2);
	ck_assert_uint_eq(text_width("\xe6\xbc\xa2"), 2);
	ck_assert_uint_eq(text_width("e\xcc\x81"), 1);
	ck_assert_uint_eq(text_width("\xff\xfe"), 2);
	ck_assert_uint_eq(text_width("\xf0\x9f\x90\x87x"), 3);
}
END_TEST

static void ck_age(uint64_t seconds, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append_age(&b, seconds);
	ck_text(&b, expected);
}

START_TEST(ages_are_short) {
	ck_age(0, "0s");
	ck_age(59, "59s");
	ck_age(60, "1min");
	ck_age(3599, "59min");
	ck_age(3600, "1h 00min");
	ck_age(47 * 3600 + 59 * 60, "47h 59min");
	ck_age(48 * 3600, "2d 0h");
	ck_age(100 * 86400 + 7 * 3600, "100d 7h");
}
END_TEST

START_TEST(nothing_acts_on_the_terminal) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append(&b, "a\033[2Jb\\n\n");
	ck_text(&b, "a\\x1b[2Jb\\\\n\\n");
	text_append_line(&b, "\\a\033b\\\\n\nc\\");
	ck_text(&b, "\\a\\x1bb\\\\n\\nc\\");
}
END_TEST

START_TEST(encodes_for_a_path) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	client_append_encoded(&b, "aZ09-._~ /?%&=+\xc3\xa4\n");
	ck_text(&b, "aZ09-._~%20%2F%3F%25%26%3D%2B%C3%A4%0A");
}
END_TEST

/* --- columns --- */

START_TEST(columns_are_aligned) {
	static const struct column columns[] = {{"NAME", false}, {"N", true}, {"LAST", false}};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(columns_free) struct columns *c = NULL;

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	ck_assert_int_eq(columns_new(columns, 3, &c), 0);
	columns_append(c, false, &b);
	ck_text(&b, "NAME  N  LAST\n");
	ck_assert_int_eq(columns_row(c), 0);
	ck_assert_int_eq(columns_cell(c, "\xe6\xbc\xa2\xe6\xbc\xa2", "<red>"), 0);
	ck_assert_int_eq(columns_number(c, 1234), 0);
	ck_assert_int_eq(columns_cell(c, "x", NULL), 0);
	ck_assert_int_eq(columns_note(c, "a note\n"), 0);
	ck_assert_int_eq(columns_row(c), 0);
	ck_assert_int_eq(columns_cell(c, "a\nlonger", NULL), 0);
	ck_assert_int_eq(columns_number(c, 5), 0);
	columns_append(c, false, &b);
	ck_text(&b, "NAME          N  LAST\n"
		    "\xe6\xbc\xa2\xe6\xbc\xa2       1234  x\n"
		    "    a note\\n\n"
		    "a\\nlonger     5\n");
	columns_append(c, true, &b);
	ck_text(&b, "\033[1mNAME\033[0m          \033[1mN\033[0m  \033[1mLAST\033[0m\n"
		    "<red>\xe6\xbc\xa2\xe6\xbc\xa2\033[0m       1234  x\n"
		    "    a note\\n\n"
		    "a\\nlonger     5\n");
}
END_TEST

/* --- what the daemon answers --- */

#define QUEUE_MAIL                                                                                                     \
	"{\"name\":\"mail\",\"broker\":\"main\",\"state\":\"consuming\",\"reason\":null,\"paused_by_operator\":false," \
	"\"leaving\":false,"                                                                                           \
	"\"concurrency\":4,\"waiting\":1,\"running\":3,\"held\":0,\"counters\":{\"acked\":120,\"requeued\":3,"         \
	"\"retried\":2,\"rejected\":1}}"
#define QUEUE_PRINT                                                                                                    \
	"{\"name\":\"print\",\"broker\":\"backup\",\"state\":\"paused\",\"reason\":\"cannot execute "                  \
	"\\\\n\",\"paused_by_operator\":true,"                                                                         \
	"\"leaving\":true,\"concurrency\":1,\"waiting\":0,\"running\":0,\"held\":7,\"copy_trouble\":\"no "             \
	"exchange\",\"worker_trouble\":\"too "                                                                         \
	"fast\",\"counters\":{}}"
#define STATUS_BEGIN                                                                                                   \
	"{\"version\":\"0.1.0\",\"pid\":42,\"state\":\"running\",\"ready\":true,\"started\":\"2026-01-31T10:55:00Z\"," \
	"\"configuration\":{"                                                                                          \
	"\"path\":\"/etc/a.conf\",\"loaded\":\"2026-01-31T11:59:30Z\"},\"handlers\":{\"running\":3,\"max\":8},"
#define BROKER_MAIN                                                                                                    \
	"{\"name\":\"main\",\"host\":\"mq1\",\"port\":5672,\"state\":\"up\",\"reason\":null,\"publisher\":{\"state\":" \
	"\"up\",\"reason\":null,\"blocked\":false}}"

START_TEST(status_of_a_daemon_that_is_well) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status =
		parse(STATUS_BEGIN "\"last_reload\":null,\"brokers\":[" BROKER_MAIN "],\"queues\":[" QUEUE_MAIL "]}");

	show_status(status, NOON, false, &b);
	ck_text(&b, "amqp-execd 0.1.0: running for 1h 05min, process 42; 3 of at most 8 handlers running\n"
		    "configuration /etc/a.conf, loaded 30s ago\n"
		    "broker main: up, mq1 port 5672\n"
		    "\n"
		    "QUEUE  STATE      RUNNING  WAITING  HELD  ACKED  REQUEUED  RETRIED  REJECTED\n"
		    "mail   consuming      3/4        1     0    120         3        2         1\n");
	json_decref(status);
}
END_TEST

START_TEST(status_of_one_that_is_not) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status =
		parse(STATUS_BEGIN
		      "\"last_reload\":{\"time\":\"2026-01-31T11:50:00Z\",\"ok\":false,\"reason\":\"refused\"},"
		      "\"brokers\":[" BROKER_MAIN ",{\"name\":\"backup\",\"host\":\"::1\",\"port\":5671,\"state\":"
						  "\"waiting\",\"reason\":\"connection refused\","
		      "\"publisher\":{\"state\":\"up\",\"reason\":null,\"blocked\":true}}],\"queues\":[" QUEUE_MAIL
		      "," QUEUE_PRINT "]}");

	json_object_set_new(status, "ready", json_false());
	show_status(status, NOON, false, &b);
	ck_text(&b, "amqp-execd 0.1.0: running for 1h 05min, not ready, process 42; 3 of at most 8 handlers running\n"
		    "configuration /etc/a.conf, loaded 30s ago\n"
		    "the last reload, 10min ago, has failed: refused\n"
		    "broker main: up, mq1 port 5672\n"
		    "broker backup: waiting, ::1 port 5671: connection refused\n"
		    "broker backup (publishing): up, ::1 port 5671, takes no publications for now\n"
		    "\n"
		    "QUEUE  BROKER  STATE      RUNNING  WAITING  HELD  ACKED  REQUEUED  RETRIED  REJECTED\n"
		    "mail   main    consuming      3/4        1     0    120         3        2         1\n"
		    "print  backup  paused         0/1        0     7      0         0        0         0\n"
		    "    is not in the configuration any more, or is started anew\n"
		    "    cannot execute \\n\n"
		    "    cannot publish: no exchange\n"
		    "    waits for workers: too fast\n");
	json_decref(status);
}
END_TEST

START_TEST(status_in_colours) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status =
		parse(STATUS_BEGIN "\"last_reload\":null,\"brokers\":[" BROKER_MAIN "],\"queues\":[" QUEUE_MAIL "]}");

	show_status(status, NOON, true, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "amqp-execd 0.1.0: \033[32mrunning\033[0m for"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "broker main: \033[32mup\033[0m, mq1"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\nmail   \033[32mconsuming\033[0m      3/4"));
	json_decref(status);
}
END_TEST

/* Of another version, or none of ours at all. */
START_TEST(status_with_holes) {
	static const char *const odd[] = {"{}", "[]", "{\"queues\":[1,null,{}],\"brokers\":[{},7],\"last_reload\":{}}",
					  "{\"queues\":{},\"brokers\":\"x\",\"started\":\"yesterday\",\"pid\":-1}"};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
		json_t *status = parse(odd[i]);

		show_status(status, NOON, true, &b);
		show_queues(status, &b);
		show_reload(status, &b);
		show_problems(json_object_get(status, "queues"), true, &b);
		ck_assert(!b.failed);
		json_decref(status);
	}
}
END_TEST

START_TEST(orders_and_reloads_are_told) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *queues = parse("{\"queues\":[{\"name\":\"a\\nb\",\"state\":\"paused\",\"running\":1},{\"name\":\"c\","
			       "\"state\":\"paused\"}]}");
	json_t *reload = parse("{\"added\":[\"a\",\"b\"],\"removed\":[\"c\"],\"changed\":[\"d\"],\"unchanged\":1}");
	json_t *problems =
		parse("[{\"file\":\"/etc/a.conf\",\"line\":3,\"key\":\"queues[0].x\",\"text\":\"unknown key \\\\x01\"},"
		      "{\"file\":\"/etc/b.conf\",\"line\":null,\"key\":null,\"text\":\"is a folder\"}]");

	show_queues(queues, &b);
	ck_text(&b, "a\\nb: paused, 1 handler running\nc: paused, 0 handlers running\n");
	show_reload(reload, &b);
	ck_text(&b, "added: a\nadded: b\nremoved: c\nchanged: d\nreloaded; 1 queue unchanged\n");
	show_problems(problems, false, &b);
	ck_text(&b, "/etc/a.conf:3: queues[0].x: unknown key \\x01\n/etc/b.conf: is a folder\n");
	show_problems(problems, true, &b);
	ck_text(&b, "/etc/a.conf:3: queues[0].x: warning: unknown key \\x01\n/etc/b.conf: warning: is a folder\n");
	json_decref(queues);
	json_decref(reload);
	json_decref(problems);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "text", width_is_what_a_terminal_shows, ages_are_short, nothing_acts_on_the_terminal,
		 encodes_for_a_path);
	ADD_CASE(suite, "columns", columns_are_aligned);
	ADD_CASE(suite, "show", status_of_a_daemon_that_is_well, status_of_one_that_is_not, status_in_colours,
		 status_with_holes, orders_and_reloads_are_told);
}

CHECK_MAIN("ctl", add_cases)
