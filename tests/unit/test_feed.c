/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "check_main.h"
#include "handler/feed.h"
#include "message/metadata.h"

static struct message *message;
static struct feed feed;
static int fds[2];
static char buffer[65536];
static struct strbuf read_so_far;

static void setup(void) {
	ck_assert_ptr_ne(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(text_set(&message->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&message->routing_key, "key", 3), 0);
	feed = FEED_INIT;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	read_so_far = STRBUF_INIT;
}

static void teardown(void) {
	feed_clear(&feed);
	message = message_free(message);
	strbuf_free(&read_so_far);
	fd_close(fds[0]);
	fd_close(fds[1]);
}

/* The caller frees it. */
static char *make_body(size_t size) {
	char *body = malloc(size + 1);

	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 7 + i / 251);
	return body;
}

static void set_body(size_t size) {
	char *body = make_body(size);

	ck_assert_int_eq(message_reserve_body(message, size), 0);
	if (size)
		ck_assert_int_eq(message_append_body(message, body, size), 0);
	ck_assert_int_eq(message_finish_body(message), 0);
	free(body);
}

/* Reads up to `max` bytes of what is in the pipe. */
static void drain(size_t max) {
	char piece[3001];
	ssize_t n;

	while (max > 0 && (n = read(fds[0], piece, max < sizeof(piece) ? max : sizeof(piece))) > 0) {
		strbuf_append(&read_so_far, piece, (size_t)n);
		max -= (size_t)n;
	}
}

static void expect_all(void) {
	CLEANUP(strbuf_free) struct strbuf line = STRBUF_INIT;
	CLEANUP(free) char *body = make_body(message->body_size);

	ck_assert_int_eq(metadata_append_line("q", message, 3, &line), 0);
	ck_assert_uint_eq(read_so_far.len, line.len + message->body_size);
	ck_assert_uint_eq(feed.written, read_so_far.len);
	ck_assert_mem_eq(read_so_far.data, line.data, line.len);
	if (message->body_size > 0)
		ck_assert_mem_eq(read_so_far.data + line.len, body, message->body_size);
}

static const size_t sizes[] = {0, 1, 4096, 60000, 65536, 65537, 200000, 3000000};

/* Whatever is read at a time, all of it arrives, in order; what fits the pipe in one go. */
START_TEST(writes_every_byte) {
	int r, turns = 0;

	set_body(sizes[_i]);
	ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
	while ((r = feed_write(&feed, fds[1], buffer, sizeof(buffer))) == FEED_MORE) {
		turns++;
		drain(turns % 2 ? 70000 : 5000);
	}
	ck_assert_int_eq(r, 0);
	drain(SIZE_MAX);
	expect_all();
	if (sizes[_i] <= 60000)
		ck_assert_int_eq(turns, 0);
}
END_TEST

START_TEST(a_full_pipe_is_no_error) {
	set_body(200000);
	ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(feed_write(&feed, fds[1], buffer, sizeof(buffer)), FEED_MORE);
	ck_assert_uint_eq(feed.written, 65536);
}
END_TEST

/* The file's offset is nobody's business: another reader has moved it. */
START_TEST(a_memory_file_is_read_from_its_start) {
	set_body(100000);
	ck_assert_int_ge(message->body_fd, 0);
	ck_assert_int_eq(lseek(message->body_fd, 777, SEEK_SET), 777);
	ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
	while (feed_write(&feed, fds[1], buffer, 1000) == FEED_MORE)
		drain(SIZE_MAX);
	drain(SIZE_MAX);
	expect_all();
}
END_TEST

/* A reader that is fast enough keeps nobody from doing something else. */
START_TEST(stops_after_a_while) {
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), turns = 0;

	set_body(3000000);
	ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
	while (feed_write(&feed, null, buffer, sizeof(buffer)) == FEED_MORE)
		turns++;
	ck_assert_int_ge(turns, 2);
	ck_assert_uint_gt(feed.written, 3000000);
	fd_close(null);
}
END_TEST

START_TEST(nobody_reads) {
	set_body(10);
	fds[0] = fd_close(fds[0]);
	ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
	ck_assert_int_eq(feed_write(&feed, fds[1], buffer, sizeof(buffer)), -EPIPE);
	ck_assert_uint_eq(feed.written, 0);
}
END_TEST

START_TEST(is_used_again) {
	set_body(10);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(feed_begin(&feed, "q", message, 3), 0);
		ck_assert_int_eq(feed_write(&feed, fds[1], buffer, sizeof(buffer)), 0);
		strbuf_reset(&read_so_far);
		drain(SIZE_MAX);
		expect_all();
	}
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tc = tcase_create("feed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, writes_every_byte, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, a_full_pipe_is_no_error);
	tcase_add_test(tc, a_memory_file_is_read_from_its_start);
	tcase_add_test(tc, stops_after_a_while);
	tcase_add_test(tc, nobody_reads);
	tcase_add_test(tc, is_used_again);
	suite_add_tcase(suite, tc);
}

CHECK_MAIN("feed", add_cases)
