/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check_main.h"

/* stderr into a pipe; returns its reading end. */
static int capture_stderr(void) {
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[1], 2), 2);
	close(fds[1]);
	return fds[0];
}

static size_t read_all(int fd, char *buf, size_t size) {
	size_t n = 0;
	ssize_t r;

	close(2);
	while (n < size - 1 && (r = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)r;
	buf[n] = '\0';
	return n;
}

START_TEST(priorities_have_names) {
	ck_assert_int_eq(log_priority_from_string("warning"), LOG_WARNING);
	ck_assert_int_eq(log_priority_from_string("error"), LOG_ERR);
	ck_assert_int_eq(log_priority_from_string("7"), LOG_DEBUG);
	ck_assert_int_eq(log_priority_from_string("8"), -EINVAL);
	ck_assert_int_eq(log_priority_from_string("loud"), -EINVAL);
	ck_assert_int_eq(log_priority_from_string(""), -EINVAL);
	ck_assert_str_eq(log_priority_to_string(LOG_NOTICE), "notice");
	ck_assert_ptr_null(log_priority_to_string(-1));
	ck_assert_ptr_null(log_priority_to_string(8));
}
END_TEST

START_TEST(writes_lines_in_order_and_only_what_is_wanted) {
	char text[4096];
	int fd = capture_stderr();
	char *line;

	log_info("before it is open");
	ck_assert_int_eq(log_open(LOG_TARGET_STDERR, LOG_INFO), 0);
	log_warning("number %d", 1);
	log_debug("not wanted");
	log_info("number %d", 2);
	log_close();
	log_error("after it is closed");
	read_all(fd, text, sizeof(text));
	line = strtok(text, "\n");
	ck_assert_ptr_nonnull(strstr(line, "Z info: before it is open"));
	line = strtok(NULL, "\n");
	ck_assert_ptr_nonnull(strstr(line, "Z warning: number 1"));
	line = strtok(NULL, "\n");
	ck_assert_ptr_nonnull(strstr(line, "Z info: number 2"));
	line = strtok(NULL, "\n");
	ck_assert_ptr_nonnull(strstr(line, "Z err: after it is closed"));
	ck_assert_ptr_null(strtok(NULL, "\n"));
}
END_TEST

static unsigned long count(const char *text, const char *what) {
	unsigned long n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static unsigned long sum_of_dropped(const char *text) {
	unsigned long sum = 0;

	for (const char *p = text; (p = strstr(p, " log messages were dropped")); p++) {
		const char *number = p;

		while (number > text && number[-1] >= '0' && number[-1] <= '9')
			number--;
		sum += strtoul(number, NULL, 10);
	}
	return sum;
}

/* A reader that does not read: the logging thread goes on, the loss is counted and told when there is room again. */
START_TEST(a_blocked_reader_blocks_nobody) {
	static char text[8 * 1024 * 1024];
	int fd = capture_stderr();
	uint64_t start = clock_now_usec();
	unsigned long lines = 0, dropped = 0;

	ck_assert_int_eq(log_open(LOG_TARGET_STDERR, LOG_INFO), 0);
	for (int i = 0; i < 20000; i++)
		log_info("a line of some length, so that pipe and queue are full before the last one: %d", i);
	ck_assert_uint_lt(clock_now_usec() - start, 20 * USEC_PER_SEC);
	/* Somebody reads again: every line was written or counted. */
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (size_t n = 0, counted = 0; lines + dropped < 20000 && clock_now_usec() - start < 40 * USEC_PER_SEC;) {
		ssize_t r = read(fd, text + n, sizeof(text) - 1 - n);
		char *end;

		if (r <= 0) {
			usleep(1000);
			continue;
		}
		n += (size_t)r;
		end = memrchr(text + counted, '\n', n - counted);
		if (!end)
			continue;
		/* Whole lines, each once: with a sanitizer, strstr looks at everything up to the end each time. */
		*end = '\0';
		lines += count(text + counted, "a line of some length");
		dropped += sum_of_dropped(text + counted);
		counted = (size_t)(end + 1 - text);
	}
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_eq(lines + dropped, 20000);
	log_close();
}
END_TEST

/* JOURNAL_STREAM names our stderr: records would go to the journal's socket. Another inode: to stderr. */
START_TEST(journal_is_told_from_a_terminal) {
	char text[1024];
	int fd = capture_stderr();

	setenv("JOURNAL_STREAM", "1:1", 1);
	ck_assert_int_eq(log_open(LOG_TARGET_AUTO, LOG_INFO), 0);
	log_info("here");
	log_close();
	read_all(fd, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "here"));
}
END_TEST

/* On stderr an event reads like any other line. */
START_TEST(events_are_for_the_journal) {
	char text[1024];
	int fd = capture_stderr();
	char *line;

	ck_assert_int_eq(log_open(LOG_TARGET_STDERR, LOG_INFO), 0);
	log_event(LOG_EVENT_BROKER_LOST, LOG_WARNING, LOG_FIELDS(log_string("AMQP_BROKER", "main"), log_string("AMQP_REASON", NULL)),
		  "broker=%s lost", "main");
	log_event(LOG_EVENT_READY, LOG_DEBUG, NULL, 0, "not wanted");
	log_event(LOG_EVENT_STOPPED, LOG_INFO, NULL, 0, "stopped");
	log_close();
	read_all(fd, text, sizeof(text));
	line = strtok(text, "\n");
	ck_assert_str_eq(strstr(line, "Z "), "Z warning: broker=main lost");
	line = strtok(NULL, "\n");
	ck_assert_str_eq(strstr(line, "Z "), "Z info: stopped");
	ck_assert_ptr_null(strtok(NULL, "\n"));
}
END_TEST

START_TEST(fields_are_counted) {
	const struct log_field none = log_string("NAME", NULL), one = log_string("NAME", "value");

	ck_assert_ptr_null(none.value);
	ck_assert_uint_eq(none.size, 0);
	ck_assert_uint_eq(one.size, 5);
	ck_assert_str_eq(log_event_to_string(LOG_EVENT_BROKER_LOST), "broker-lost");
	ck_assert_uint_eq(strlen(log_event_id(LOG_EVENT_WORKERS_RECOVERED)), 32);
}
END_TEST

static void add_cases(Suite *s) {
	ADD_CASE(s, "log", events_are_for_the_journal, fields_are_counted, priorities_have_names,
		 writes_lines_in_order_and_only_what_is_wanted,
		 a_blocked_reader_blocks_nobody, journal_is_told_from_a_terminal);
}

CHECK_MAIN("log", add_cases)
