/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message/message.h"

static struct message *new_message(void) {
	struct message *m;

	ck_assert_int_eq(message_new(&m), 0);
	return m;
}

START_TEST(new_message_is_empty) {
	struct message *m = new_message();

	ck_assert_int_eq(m->body_fd, -1);
	ck_assert_ptr_null(m->body);
	ck_assert_int_eq(m->verdict, VERDICT_NONE);
	ck_assert_ptr_null(message_free(m));
	ck_assert_ptr_null(message_free(NULL));
}
END_TEST

START_TEST(empty_body_needs_no_room) {
	struct message *m = new_message();

	ck_assert_int_eq(message_reserve_body(m, 0), 0);
	ck_assert_int_eq(message_append_body(m, NULL, 0), 0);
	ck_assert_int_eq(message_append_body(m, "x", 1), -EMSGSIZE);
	ck_assert_int_eq(message_finish_body(m), 0);
	ck_assert_ptr_null(m->body);
	ck_assert_int_eq(m->body_fd, -1);
	message_free(m);
}
END_TEST

START_TEST(small_body_is_on_the_heap) {
	struct message *m = new_message();
	char piece[BODY_HEAP_MAX / 2];

	memset(piece, 'p', sizeof(piece));
	ck_assert_int_eq(message_reserve_body(m, BODY_HEAP_MAX), 0);
	ck_assert_uint_eq(m->body_size, BODY_HEAP_MAX);
	ck_assert_int_eq(m->body_fd, -1);
	ck_assert_int_eq(message_append_body(m, piece, sizeof(piece)), 0);
	ck_assert_int_eq(message_append_body(m, piece, sizeof(piece)), 0);
	ck_assert_int_eq(message_append_body(m, "x", 1), -EMSGSIZE);
	ck_assert_int_eq(message_finish_body(m), 0);
	ck_assert_uint_eq(m->body_filled, BODY_HEAP_MAX);
	ck_assert_int_eq(m->body[BODY_HEAP_MAX - 1], 'p');
	ck_assert_int_eq(m->body[BODY_HEAP_MAX], '\0');
	message_free(m);
}
END_TEST

START_TEST(large_body_is_in_a_sealed_memory_file) {
	struct message *m = new_message();
	char piece[4096], read_back[4096];
	struct stat st;

	ck_assert_int_eq(message_reserve_body(m, BODY_HEAP_MAX + 1), 0);
	ck_assert_ptr_null(m->body);
	ck_assert_int_ge(m->body_fd, 0);
	ck_assert(fcntl(m->body_fd, F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < 16; i++) {
		memset(piece, 'a' + i, sizeof(piece));
		ck_assert_int_eq(message_append_body(m, piece, sizeof(piece)), 0);
	}
	ck_assert_int_eq(message_append_body(m, "end", 3), -EMSGSIZE);
	ck_assert_int_eq(message_append_body(m, "!", 1), 0);
	ck_assert_int_eq(message_finish_body(m), 0);
	ck_assert_int_eq(fstat(m->body_fd, &st), 0);
	ck_assert_int_eq(st.st_size, BODY_HEAP_MAX + 1);
	for (int i = 0; i < 16; i++) {
		memset(piece, 'a' + i, sizeof(piece));
		ck_assert_int_eq(pread(m->body_fd, read_back, sizeof(read_back), i * 4096), 4096);
		ck_assert_mem_eq(read_back, piece, sizeof(piece));
	}
	ck_assert_int_eq(pread(m->body_fd, read_back, sizeof(read_back), BODY_HEAP_MAX), 1);
	ck_assert_int_eq(read_back[0], '!');
	/* Nobody can change it any more, the handler that gets it least of all. */
	ck_assert_int_eq(pwrite(m->body_fd, "x", 1, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(m->body_fd, 0), -1);
	ck_assert_int_eq(ftruncate(m->body_fd, 1 << 20), -1);
	ck_assert_int_eq(fcntl(m->body_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	message_free(m);
}
END_TEST

/* A thousand large messages in hand must not stop the one that is handled, nor its handler. */
START_TEST(memory_files_leave_descriptors_to_others) {
	const struct rlimit limit = {.rlim_cur = 40, .rlim_max = 40};
	struct message *m[40];
	unsigned files = 0;
	int free_fds[10];

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		m[i] = new_message();
		ck_assert_int_eq(message_reserve_body(m[i], BODY_HEAP_MAX + 2), 0);
		ck_assert_int_eq(message_append_body(m[i], "x", 1), 0);
		ck_assert_int_eq(message_append_body(m[i], "y", 1), 0);
		ck_assert((m[i]->body_fd >= 0) == !m[i]->body);
		files += m[i]->body_fd >= 0;
	}
	ck_assert_uint_gt(files, 0);
	ck_assert_uint_le(files, 20);
	ck_assert_int_eq(memcmp(m[39]->body, "xy", 2), 0);
	for (size_t i = 0; i < ARRAY_SIZE(free_fds); i++) {
		free_fds[i] = dup(0);
		ck_assert_int_ge(free_fds[i], 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(free_fds); i++)
		close(free_fds[i]);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++)
		message_free(m[i]);
}
END_TEST

static void set_count(struct message *m, enum field_kind kind, int64_t value) {
	struct table *t = &m->properties.headers;

	table_clear(t);
	t->fields = calloc(1, sizeof(*t->fields));
	ck_assert_ptr_nonnull(t->fields);
	t->n = 1;
	t->fields[0].kind = kind;
	t->fields[0].i = value;
	ck_assert_int_eq(text_set(&t->fields[0].name, "x-delivery-count", strlen("x-delivery-count")), 0);
}

START_TEST(attempts_are_counted_as_far_as_the_broker_tells) {
	struct message *m = new_message();

	ck_assert_uint_eq(message_attempt(m, "q"), 1);
	m->redelivered = true;
	ck_assert_uint_eq(message_attempt(m, "q"), 0);
	set_count(m, FIELD_I64, 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 1);
	set_count(m, FIELD_I64, 4);
	ck_assert_uint_eq(message_attempt(m, "q"), 5);
	set_count(m, FIELD_I64, INT64_MAX);
	ck_assert_uint_eq(message_attempt(m, "q"), UINT_MAX);
	/* A publisher can set the header, too: nonsense is as good as nothing. */
	set_count(m, FIELD_I64, -1);
	ck_assert_uint_eq(message_attempt(m, "q"), 0);
	set_count(m, FIELD_VOID, 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 0);
	/* It may come from another queue: a message that was not delivered before has no count. */
	m->redelivered = false;
	set_count(m, FIELD_I64, 4);
	ck_assert_uint_eq(message_attempt(m, "q"), 1);
	m->redelivered = true;
	/* Our own header goes before the broker's, if it makes sense. */
	set_count(m, FIELD_I64, 4);
	ck_assert_int_eq(table_set_i32(&m->properties.headers, HEADER_ATTEMPTS, 2), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 3);
	/* Counted at another queue, of which these are the dead letters. */
	ck_assert_int_eq(table_set_string(&m->properties.headers, HEADER_QUEUE, "qq", 2), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 5);
	ck_assert_uint_eq(message_attempt(m, "qq"), 3);
	ck_assert_int_eq(table_set_string(&m->properties.headers, HEADER_QUEUE, "q", 1), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 3);
	ck_assert_int_eq(table_set_i32(&m->properties.headers, HEADER_ATTEMPTS, -2), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 5);
	ck_assert_int_eq(table_set_string(&m->properties.headers, HEADER_ATTEMPTS, "9", 1), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), 5);
	m->redelivered = false;
	ck_assert_int_eq(table_set_i32(&m->properties.headers, HEADER_ATTEMPTS, INT32_MAX), 0);
	ck_assert_uint_eq(message_attempt(m, "q"), (unsigned)INT32_MAX + 1);
	message_free(m);
}
END_TEST

START_TEST(verdicts_have_names) {
	ck_assert_str_eq(verdict_to_string(VERDICT_NONE), "none");
	ck_assert_str_eq(verdict_to_string(VERDICT_ACK), "ack");
	ck_assert_str_eq(verdict_to_string(VERDICT_REQUEUE), "requeue");
	ck_assert_str_eq(verdict_to_string(VERDICT_RETURN), "return");
	ck_assert_str_eq(verdict_to_string(VERDICT_REJECT), "reject");
	ck_assert_str_eq(verdict_to_string((enum verdict)99), "unknown");
}
END_TEST

int main(void) {
	Suite *s = suite_create("message");
	TCase *t = tcase_create("message");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, new_message_is_empty);
	tcase_add_test(t, empty_body_needs_no_room);
	tcase_add_test(t, small_body_is_on_the_heap);
	tcase_add_test(t, large_body_is_in_a_sealed_memory_file);
	tcase_add_test(t, memory_files_leave_descriptors_to_others);
	tcase_add_test(t, attempts_are_counted_as_far_as_the_broker_tells);
	tcase_add_test(t, verdicts_have_names);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
