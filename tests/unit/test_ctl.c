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

static const struct show_options PLAINLY = {.now = NOON}, IN_COLOURS = {.now = NOON, .colour = true};

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

static void ck_cut(const char *text, size_t width, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append_cut(&b, text, width);
	ck_text(&b, expected);
}

START_TEST(what_is_too_wide_is_cut) {
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	ck_cut("abcdef", 6, "abcdef");
	ck_cut("abcdefg", 6, "abc...");
	ck_cut("abcdefg", 3, "abc");
	ck_cut("abcdefg", 0, "");
	/* Of a wide character there is no half. */
	ck_cut("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 6, "\xe6\xbc\xa2...");
	ck_cut("e\xcc\x81"
	       "abc",
	       4,
	       "e\xcc\x81"
	       "abc");
	ck_cut("\xff\xfe\xfd", 2, "\xff\xfe");
}
END_TEST

static void ck_size(uint64_t bytes, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append_size(&b, bytes);
	ck_text(&b, expected);
}

static void ck_rate(double rate, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	text_append_rate(&b, rate);
	ck_text(&b, expected);
}

START_TEST(sizes_and_rates_are_short) {
	ck_size(0, "0 B");
	ck_size(1023, "1023 B");
	ck_size(1024, "1.0 KiB");
	ck_size(1024 * 1024 - 1, "1.0 MiB");
	ck_size(1536 * 1024, "1.5 MiB");
	ck_size(UINT64_C(3) << 40, "3.0 TiB");
	ck_size(UINT64_C(5000) << 40, "5000.0 TiB");
	ck_rate(0, "0/s");
	ck_rate(0.0049, "0/s");
	ck_rate(0.25, "0.25/s");
	ck_rate(9.949, "9.95/s");
	ck_rate(9.96, "10.0/s");
	ck_rate(1234.5, "1234/s");
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
	static const struct column columns[] = {{.title = "NAME"}, {.title = "N", .right = true}, {.title = "LAST"}};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(columns_free) struct columns *c = NULL;

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	ck_assert_int_eq(columns_new(columns, 3, &c), 0);
	columns_append(c, false, NULL, &b);
	ck_text(&b, "NAME  N  LAST\n");
	ck_assert_int_eq(columns_row(c), 0);
	ck_assert_int_eq(columns_cell(c, "\xe6\xbc\xa2\xe6\xbc\xa2", "<red>"), 0);
	ck_assert_int_eq(columns_number(c, 1234), 0);
	ck_assert_int_eq(columns_cell(c, "x", NULL), 0);
	ck_assert_int_eq(columns_note(c, "a note\n", false), 0);
	ck_assert_int_eq(columns_row(c), 0);
	ck_assert_int_eq(columns_cell(c, "a\nlonger", NULL), 0);
	ck_assert_int_eq(columns_number(c, 5), 0);
	columns_append(c, false, NULL, &b);
	ck_text(&b, "NAME          N  LAST\n"
		    "\xe6\xbc\xa2\xe6\xbc\xa2       1234  x\n"
		    "    a note\\n\n"
		    "a\\nlonger     5\n");
	columns_append(c, true, NULL, &b);
	ck_text(&b, "\033[1mNAME\033[0m          \033[1mN\033[0m  \033[1mLAST\033[0m\n"
		    "<red>\xe6\xbc\xa2\xe6\xbc\xa2\033[0m       1234  x\n"
		    "    a note\\n\n"
		    "a\\nlonger     5\n");
}
END_TEST

START_TEST(columns_fit) {
	static const struct column columns[] = {{.title = "NAME", .cut = true},
						{.title = "A", .right = true, .rank = 2},
						{.title = "B", .right = true, .rank = 1},
						{.title = "C", .right = true, .rank = 2}};
	static const char *const names[] = {"a-name-that-is-long", "x", "y"};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(columns_free) struct columns *c = NULL;
	struct columns_room room = {.width = 28, .what = "thing"};

	ck_assert_int_eq(columns_new(columns, 4, &c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(columns_row(c), 0);
		ck_assert_int_eq(columns_cell(c, names[i], NULL), 0);
		for (unsigned k = 1; k < 4; k++)
			ck_assert_int_eq(columns_number(c, i * 10 + k), 0);
	}
	ck_assert_int_eq(columns_note(c, "a note that is wider than the table is", true), 0);
	ck_assert_int_eq(columns_note(c, "another one, that is not to be cut", false), 0);
	columns_append(c, false, &room, &b);
	ck_text(&b, "NAME                  B\n"
		    "a-name-that-is-long   2\n"
		    "x                    12\n"
		    "y                    22\n"
		    "    a note that is wider ...\n"
		    "    another one, that is not to be cut\n");
	room.width = 15;
	columns_append(c, false, &room, &b);
	ck_text(&b, "NAME\n"
		    "a-name-that-...\n"
		    "x\n"
		    "y\n"
		    "    a note t...\n"
		    "    another one, that is not to be cut\n");
	/* All of them need six lines. */
	room = (struct columns_room){.lines = 5, .what = "thing"};
	columns_append(c, false, &room, &b);
	ck_text(&b, "NAME                  A   B   C\n"
		    "a-name-that-is-long   1   2   3\n"
		    "x                    11  12  13\n"
		    "... 1 more thing\n");
	room.lines = 3;
	columns_append(c, false, &room, &b);
	ck_text(&b, "NAME                  A   B   C\n"
		    "a-name-that-is-long   1   2   3\n"
		    "... 2 more things\n");
	room.lines = 2;
	columns_append(c, false, &room, &b);
	ck_text(&b, "NAME                  A   B   C\n"
		    "... 3 more things\n");
	room.lines = 6;
	columns_append(c, false, &room, &b);
	ck_assert_ptr_null(strstr(strbuf_str(&b), "more"));
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

	show_status(status, &PLAINLY, &b);
	ck_text(&b,
		"amqp-execd 0.1.0: running for 1h 05min, process 42; 3 of at most 8 handlers running\n"
		"configuration /etc/a.conf, loaded 30s ago\n"
		"broker main: up, mq1 port 5672\n"
		"1 queue: 1 consuming\n"
		"\n"
		"QUEUE  STATE      RUNNING  WAITING  HELD  READY  RATE  FAILING  ACKED  REQUEUED  RETRIED  REJECTED\n"
		"mail   consuming      3/4        1     0      -     -        -    120         3        2         1\n");
	json_decref(status);
}
END_TEST

START_TEST(status_of_one_that_is_not) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status =
		parse(STATUS_BEGIN
		      "\"last_reload\":{\"time\":\"2026-01-31T11:50:00Z\",\"ok\":false,\"reason\":\"refused\"},"
		      "\"brokers\":[" BROKER_MAIN ",{\"name\":\"backup\",\"host\":\"::1\",\"port\":5671,\"state\":"
		      "\"waiting\",\"reason\":\"cannot connect to ::1 port 5671: refused\","
		      "\"publisher\":{\"state\":\"up\",\"reason\":null,\"blocked\":true}}],\"queues\":[" QUEUE_MAIL
		      "," QUEUE_PRINT "]}");

	json_object_set_new(status, "ready", json_false());
	show_status(status, &PLAINLY, &b);
	ck_text(&b, "amqp-execd 0.1.0: running for 1h 05min, not ready, process 42; 3 of at most 8 handlers running\n"
		    "configuration /etc/a.conf, loaded 30s ago\n"
		    "the last reload, 10min ago, has failed: refused\n"
		    "broker main: up, mq1 port 5672\n"
		    "broker backup: waiting: cannot connect to ::1 port 5671: refused\n"
		    "broker backup (publishing): up, ::1 port 5671, takes no publications for now\n"
		    "2 queues: 1 consuming, 1 paused\n"
		    "\n"
		    "QUEUE  BROKER  STATE      RUNNING  WAITING  HELD  READY  RATE  FAILING  ACKED  REQUEUED  RETRIED  "
		    "REJECTED\n"
		    "print  backup  paused         0/1        0     7      -     -        -      -         -        -  "
		    "       -\n"
		    "    is not in the configuration any more, or is started anew\n"
		    "    cannot execute \\n\n"
		    "    cannot publish: no exchange\n"
		    "    waits for workers: too fast\n"
		    "mail   main    consuming      3/4        1     0      -     -        -    120         3        2  "
		    "       1\n");
	json_decref(status);
}
END_TEST

START_TEST(status_in_colours) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status =
		parse(STATUS_BEGIN "\"last_reload\":null,\"brokers\":[" BROKER_MAIN "],\"queues\":[" QUEUE_MAIL "]}");

	show_status(status, &IN_COLOURS, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "amqp-execd 0.1.0: \033[32mrunning\033[0m for"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "broker main: \033[32mup\033[0m, mq1"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\nmail   \033[32mconsuming\033[0m      3/4"));
	json_decref(status);
}
END_TEST

/* Three queues of a newer daemon: one that is well, one that an operator has paused, one that is in trouble. */
#define QUEUES_NEW                                                                                                     \
	"{\"name\":\"mail\",\"broker\":\"main\",\"state\":\"consuming\",\"concurrency\":4,\"waiting\":1,\"running\":"  \
	"3,"                                                                                                           \
	"\"held\":0,\"counters\":{\"acked\":1200,\"requeued\":3,\"retried\":2,\"rejected\":1},\"rate\":12.25,"         \
	"\"failure_rate\":0.05,\"messages_ready\":170,\"last_failure\":{\"time\":\"2026-01-31T11:58:00Z\","            \
	"\"message_id\":\"m\\u001b[2J-17\",\"how\":\"exit 65\",\"decision\":\"reject\","                               \
	"\"text\":\"no such customer: \\u001b]0;owned\\u0007 in the list of those who may\"}},"                        \
	"{\"name\":\"night\",\"broker\":\"main\",\"state\":\"paused\",\"paused_by_operator\":true,\"reason\":"         \
	"\"paused by an "                                                                                              \
	"operator\",\"concurrency\":1,\"waiting\":0,\"running\":0,\"held\":2,\"counters\":{\"acked\":0,"               \
	"\"requeued\":0,\"retried\":0,\"rejected\":0},\"rate\":0,\"failure_rate\":0,\"messages_ready\":null,"          \
	"\"last_failure\":{\"time\":\"2026-01-30T11:00:00Z\",\"message_id\":null,\"how\":\"timeout\","                 \
	"\"decision\":\"requeue\",\"text\":null}},"                                                                    \
	"{\"name\":\"print\",\"broker\":\"main\",\"state\":\"degraded\",\"reason\":\"no queue "                        \
	"print\",\"concurrency\":2,"                                                                                   \
	"\"waiting\":0,\"running\":0,\"held\":0,\"counters\":{\"acked\":7,\"requeued\":0,\"retried\":0,\"rejected\":"  \
	"8},"                                                                                                          \
	"\"rate\":0.2,\"failure_rate\":0.15,\"messages_ready\":0,\"last_failure\":{\"time\":\"2026-01-31T11:59:58Z\"," \
	"\"message_id\":null,\"how\":\"signal 9\",\"decision\":\"requeue\",\"text\":null}}"

static json_t *parse_new(void) {
	return parse(STATUS_BEGIN "\"last_reload\":null,\"brokers\":[" BROKER_MAIN "],\"queues\":[" QUEUES_NEW "]}");
}

START_TEST(status_that_tells_everything) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status = parse_new();

	show_status(status, &PLAINLY, &b);
	ck_text(&b,
		"amqp-execd 0.1.0: running for 1h 05min, process 42; 3 of at most 8 handlers running\n"
		"configuration /etc/a.conf, loaded 30s ago\n"
		"broker main: up, mq1 port 5672\n"
		"3 queues: 1 consuming, 1 paused, 1 degraded\n"
		"\n"
		"QUEUE  STATE      RUNNING  WAITING  HELD  READY    RATE  FAILING  ACKED  REQUEUED  RETRIED  REJECTED\n"
		"print  degraded       0/2        0     0      0  0.20/s      75%      7         0        0         8\n"
		"    no queue print\n"
		"    last failure 2s ago: signal 9, requeued\n"
		"mail   consuming      3/4        1     0    170  12.2/s      <1%   1200         3        2         1\n"
		"    last failure 2min ago: exit 65, message m\\x1b[2J-17, rejected: no such customer: "
		"\\x1b]0;owned\\x07 in the list of those who may\n"
		"night  paused         0/1        0     2      -     0/s        -      0         0        0         0\n"
		"    paused by an operator\n");
	json_decref(status);
}
END_TEST

/* Why nothing comes although messages wait. */
START_TEST(status_of_a_queue_full_of_failures) {
	static const char note[] =
		"failed messages are held, as many as prefetch allows: the others wait until one is requeued\n";
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status = parse_new();
	json_t *queue = json_array_get(json_object_get(status, "queues"), 0);

	json_object_set_new(queue, "prefetch", json_integer(4));
	json_object_set_new(queue, "held", json_integer(3));
	show_status(status, &PLAINLY, &b);
	ck_assert_ptr_null(strstr(strbuf_str(&b), note));
	strbuf_reset(&b);
	json_object_set_new(queue, "held", json_integer(4));
	show_status(status, &PLAINLY, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), note));
	strbuf_reset(&b);
	json_object_set_new(queue, "messages_ready", json_integer(0));
	show_status(status, &PLAINLY, &b);
	ck_assert_ptr_null(strstr(strbuf_str(&b), note));
	json_decref(status);
}
END_TEST

START_TEST(status_on_narrow_terminals) {
	struct show_options how = {.now = NOON, .width = 80};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status = parse_new();

	show_status(status, &how, &b);
	ck_assert_ptr_nonnull(strstr(
		strbuf_str(&b), "\n\nQUEUE  STATE      RUNNING  WAITING  HELD  READY    RATE  FAILING\n"
				"print  degraded       0/2        0     0      0  0.20/s      75%\n"
				"    no queue print\n"
				"    last failure 2s ago: signal 9, requeued\n"
				"mail   consuming      3/4        1     0    170  12.2/s      <1%\n"
				"    last failure 2min ago: exit 65, message m\\x1b[2J-17, rejected: no such cu...\n"));
	strbuf_reset(&b);
	how.width = 40;
	show_status(status, &how, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\n\nQUEUE  STATE      RUNNING  READY\n"
						     "print  degraded       0/2      0\n"));
	json_decref(status);
}
END_TEST

/* Of those that do not fit it is said how many they are; who is in trouble is not among them. */
START_TEST(status_on_low_terminals) {
	struct show_options how = {.now = NOON, .lines = 11};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *status = parse_new();

	show_status(status, &how, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\nprint  degraded"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "requeued\n... 2 more queues\n"));
	strbuf_reset(&b);
	how.lines = 13;
	show_status(status, &how, &b);
	ck_assert_ptr_null(strstr(strbuf_str(&b), "more queue"));
	json_decref(status);
}
END_TEST

START_TEST(handlers_are_told) {
	struct show_options how = {.now = NOON, .width = 60};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *handlers =
		parse("{\"handlers\":[{\"pid\":4711,\"queue\":\"mail\",\"broker\":\"main\",\"message_id\":"
		      "\"m-\\u001b[31m1\",\"delivery_tag\":17,\"attempt\":2,\"body_size\":1536,\"seconds\":3725.5,"
		      "\"stopping\":true},{\"pid\":12,\"queue\":\"print\",\"broker\":\"main\",\"message_id\":null,"
		      "\"delivery_tag\":1,\"attempt\":0,\"body_size\":0,\"seconds\":0.5,\"stopping\":false}]}");
	json_t *killed = parse("{\"pid\":4711,\"queue\":\"mail\",\"message_id\":\"m\\u001b\"}");

	show_handlers(handlers, &PLAINLY, &b);
	ck_text(&b, " PID  TAG  QUEUE  MESSAGE ID   ATTEMPT       AGE     SIZE\n"
		    "4711   17  mail   m-\\x1b[31m1        2  1h 02min  1.5 KiB\n"
		    "    is being stopped\n"
		    "  12    1  print  -                  -        0s      0 B\n");
	how.width = 45;
	show_handlers(handlers, &how, &b);
	ck_text(&b, " PID  TAG  QUEUE  MESSAGE ID        AGE\n"
		    "4711   17  mail   m-\\x1b[31m1  1h 02min\n"
		    "    is being stopped\n"
		    "  12    1  print  -                  0s\n");
	json_object_set_new(json_array_get(json_object_get(handlers, "handlers"), 1), "broker", json_string("other"));
	show_handlers(handlers, &PLAINLY, &b);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&b), "\n  12    1  print  other   -"));
	strbuf_reset(&b);
	json_array_clear(json_object_get(handlers, "handlers"));
	show_handlers(handlers, &PLAINLY, &b);
	ck_text(&b, "no handler runs\n");
	show_killed(killed, &b);
	ck_text(&b, "process 4711, queue mail, message m\\x1b: is being stopped\n");
	json_object_set_new(killed, "already_stopping", json_true());
	json_object_set_new(killed, "message_id", json_null());
	show_killed(killed, &b);
	ck_text(&b, "process 4711, queue mail, a message without an id: is being stopped already\n");
	json_decref(handlers);
	json_decref(killed);
}
END_TEST

/* Of another version, or none of ours at all. */
START_TEST(status_with_holes) {
	static const char *const odd[] = {"{}", "[]", "{\"queues\":[1,null,{}],\"brokers\":[{},7],\"last_reload\":{}}",
					  "{\"queues\":{},\"brokers\":\"x\",\"started\":\"yesterday\",\"pid\":-1}"};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
		json_t *status = parse(odd[i]);

		show_status(status, &IN_COLOURS, &b);
		show_handlers(status, &IN_COLOURS, &b);
		show_killed(status, &b);
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
		 what_is_too_wide_is_cut, sizes_and_rates_are_short, encodes_for_a_path);
	ADD_CASE(suite, "columns", columns_are_aligned, columns_fit);
	ADD_CASE(suite, "show", status_of_a_daemon_that_is_well, status_of_one_that_is_not, status_in_colours,
		 status_that_tells_everything, status_of_a_queue_full_of_failures, status_on_narrow_terminals,
		 status_on_low_terminals, handlers_are_told, status_with_holes, orders_and_reloads_are_told);
}

CHECK_MAIN("ctl", add_cases)
