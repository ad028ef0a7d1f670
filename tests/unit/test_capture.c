/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check_main.h"
#include "handler/capture.h"

static struct capture capture;

static void teardown(void) {
	capture_clear(&capture);
}

static char byte_at(size_t i) {
	return (char)(i * 31 + i / 251);
}

/* Feeds `size` bytes in pieces of at most `piece`. */
static void feed(size_t size, size_t piece) {
	static char data[65536];

	for (size_t done = 0; done < size;) {
		size_t n = size - done < piece ? size - done : piece;

		for (size_t i = 0; i < n; i++)
			data[i] = byte_at(done + i);
		capture_feed(&capture, data, n);
		done += n;
	}
}

/* Takes the body, which has to be what feed made, and says whether it is in a memory file. */
static bool take(size_t size) {
	CLEANUP(free) char *body = malloc(size + 1);
	struct message *m;
	size_t same = 0;
	bool in_file;

	ck_assert_int_eq(capture_take(&capture, &m), 0);
	ck_assert_uint_eq(m->body_size, size);
	ck_assert_int_eq(m->body_state, BODY_COMPLETE);
	in_file = m->body_fd >= 0;
	if (in_file) {
		ck_assert_ptr_null(m->body);
		ck_assert_int_eq(lseek(m->body_fd, 0, SEEK_END), size);
		ck_assert_int_eq(pread(m->body_fd, body, size, 0), size);
		ck_assert_int_eq(fcntl(m->body_fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
	} else if (size > 0) {
		memcpy(body, m->body, size);
		ck_assert_int_eq(m->body[size], '\0');
	} else {
		ck_assert_ptr_null(m->body);
	}
	for (size_t i = 0; i < size; i++)
		same += body[i] == byte_at(i);
	ck_assert_uint_eq(same, size);
	message_free(m);
	return in_file;
}

START_TEST(every_byte_is_kept) {
	static const size_t sizes[] = {0, 1, 1023, 1024, 4096, BODY_HEAP_MAX - 1, BODY_HEAP_MAX, BODY_HEAP_MAX + 1, 70000, 1048576};
	static const size_t pieces[] = {1000, 4096, 65536};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
			capture_init(&capture, 1048576);
			feed(sizes[i], pieces[k]);
			ck_assert(!capture_is_too_large(&capture));
			ck_assert_int_eq(capture.error, 0);
			ck_assert_uint_eq(capture.bytes, sizes[i]);
			ck_assert_int_eq(take(sizes[i]), sizes[i] > BODY_HEAP_MAX);
		}
	}
}
END_TEST

START_TEST(the_limit_is_exact) {
	static const size_t limits[] = {1, 1000, BODY_HEAP_MAX, 70000};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		capture_init(&capture, limits[i]);
		feed(limits[i], 4096);
		ck_assert(!capture_is_too_large(&capture));
		take(limits[i]);

		capture_init(&capture, limits[i]);
		feed(limits[i] + 1, 4096);
		ck_assert(capture_is_too_large(&capture));
		ck_assert_ptr_null(capture.heap);
		ck_assert_int_eq(capture.fd, -1);
		/* What follows is counted and costs nothing. */
		feed(100000, 65536);
		ck_assert_uint_eq(capture.bytes, limits[i] + 1 + 100000);
		ck_assert_ptr_null(capture.heap);
		ck_assert_int_eq(capture.fd, -1);
	}
}
END_TEST

/* Where descriptors are scarce it stays on the heap, as bodies that come from the broker do. */
START_TEST(without_descriptors_it_stays_on_the_heap) {
	struct rlimit before, limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){3, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	capture_init(&capture, 1048576);
	feed(300000, 65536);
	/* Others, that look for leaks, need some. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(capture.error, 0);
	ck_assert(!take(300000));
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_short_body) {
	struct rlimit limit = {100000, 100000};

	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	capture_init(&capture, 1048576);
	feed(300000, 65536);
	ck_assert_int_eq(capture.error, EFBIG);
	ck_assert_uint_eq(capture.bytes, 300000);
	ck_assert_int_eq(capture.fd, -1);
}
END_TEST

static void add_cases(Suite *s) {
	const TTest *const tests[] = {every_byte_is_kept, the_limit_is_exact, without_descriptors_it_stays_on_the_heap,
				      a_full_disk_is_an_error_and_no_short_body};
	TCase *tc = tcase_create("capture");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
}

CHECK_MAIN("capture", add_cases)
