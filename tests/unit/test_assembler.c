/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/assembler.h"

#define LIMIT (1024 * 1024)
#define NOW 42

static amqp_bytes_t bytes(const char *s) {
	return amqp_cstring_bytes(s);
}

static int feed(struct assembler *a, const amqp_frame_t *frame, struct message **ret) {
	const char *reason = NULL;
	int r = assembler_feed(a, frame, NOW, ret, &reason);

	ck_assert_int_eq(r < 0, reason != NULL);
	return r;
}

static int feed_deliver(struct assembler *a, uint64_t tag, struct message **ret) {
	amqp_basic_deliver_t d = {
		.consumer_tag = bytes("ctag"),
		.delivery_tag = tag,
		.redelivered = 1,
		.exchange = bytes("orders"),
		.routing_key = bytes("orders.new"),
	};
	amqp_frame_t f = {.frame_type = AMQP_FRAME_METHOD, .channel = 1};

	f.payload.method.id = AMQP_BASIC_DELIVER_METHOD;
	f.payload.method.decoded = &d;
	return feed(a, &f, ret);
}

static int feed_header(struct assembler *a, uint64_t size, amqp_basic_properties_t *p, struct message **ret) {
	amqp_basic_properties_t none = {0};
	amqp_frame_t f = {.frame_type = AMQP_FRAME_HEADER, .channel = 1};

	f.payload.properties.class_id = AMQP_BASIC_CLASS;
	f.payload.properties.body_size = size;
	f.payload.properties.decoded = p ? p : &none;
	return feed(a, &f, ret);
}

static int feed_body(struct assembler *a, const void *data, size_t len, struct message **ret) {
	amqp_frame_t f = {.frame_type = AMQP_FRAME_BODY, .channel = 1};

	f.payload.body_fragment = (amqp_bytes_t){.len = len, .bytes = (void *)(uintptr_t)data};
	return feed(a, &f, ret);
}

/* Up to the body. */
static void start(struct assembler *a, uint64_t tag, uint64_t size) {
	struct message *m = NULL;

	ck_assert_int_eq(feed_deliver(a, tag, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_header(a, size, NULL, &m), 0);
	ck_assert_ptr_null(m);
}

START_TEST(empty_body_ends_with_the_header) {
	struct assembler a;
	struct message *m = NULL;

	assembler_init(&a, LIMIT);
	ck_assert_int_eq(feed_deliver(&a, 7, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_header(&a, 0, NULL, &m), 0);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->delivery_tag, 7);
	ck_assert(m->redelivered);
	ck_assert_str_eq(m->exchange.data, "orders");
	ck_assert_str_eq(m->routing_key.data, "orders.new");
	ck_assert_str_eq(m->consumer_tag.data, "ctag");
	ck_assert_uint_eq(m->body_size, 0);
	ck_assert_ptr_null(m->body);
	ck_assert_int_eq(m->body_fd, -1);
	ck_assert_uint_eq(m->received_usec, NOW);
	ck_assert_int_eq(a.state, ASSEMBLER_IDLE);
	message_free(m);
}
END_TEST

START_TEST(body_is_put_together_from_several_frames) {
	struct assembler a;
	struct message *m = NULL;

	assembler_init(&a, LIMIT);
	start(&a, 1, 10);
	ck_assert_int_eq(feed_body(&a, "abcd", 4, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, "", 0, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, "efghi", 5, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, "j", 1, &m), 0);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->body_size, 10);
	ck_assert_str_eq(m->body, "abcdefghij");
	message_free(m);
	/* And the next one, with the same assembler. */
	start(&a, 2, 1);
	ck_assert_int_eq(feed_body(&a, "z", 1, &m), 0);
	ck_assert_uint_eq(m->delivery_tag, 2);
	ck_assert_str_eq(m->body, "z");
	message_free(m);
}
END_TEST

/* Bodies around the step from heap to memory file, in two frames. */
START_TEST(size_decides_between_heap_and_memory_file) {
	static const size_t sizes[] = {BODY_HEAP_MAX - 1, BODY_HEAP_MAX, BODY_HEAP_MAX + 1, LIMIT};
	size_t size = sizes[_i];
	char *data = malloc(size), *read_back = malloc(size);
	struct message *m = NULL;
	struct assembler a;

	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 256);
	assembler_init(&a, LIMIT);
	start(&a, 1, size);
	ck_assert_int_eq(feed_body(&a, data, size - 1, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, data + size - 1, 1, &m), 0);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->body_size, size);
	ck_assert_int_eq(m->body_state, BODY_COMPLETE);
	if (size <= BODY_HEAP_MAX) {
		ck_assert_int_eq(m->body_fd, -1);
		ck_assert_mem_eq(m->body, data, size);
	} else {
		struct stat st;

		ck_assert_ptr_null(m->body);
		ck_assert_int_eq(fstat(m->body_fd, &st), 0);
		ck_assert_int_eq(st.st_size, (off_t)size);
		ck_assert_int_eq(pread(m->body_fd, read_back, size, 0), (ssize_t)size);
		ck_assert_mem_eq(read_back, data, size);
		ck_assert_int_eq(pwrite(m->body_fd, "x", 1, 0), -1);
		ck_assert_int_eq(errno, EPERM);
	}
	message_free(m);
	free(data);
	free(read_back);
}
END_TEST

START_TEST(too_large_body_is_dropped_as_it_arrives) {
	static char piece[4096];
	struct message *m = NULL;
	struct assembler a;

	assembler_init(&a, 8191);
	start(&a, 1, 8192);
	ck_assert_int_eq(feed_body(&a, piece, 4096, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, piece, 4096, &m), 0);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(m->body_state, BODY_TOO_LARGE);
	ck_assert_int_eq(m->body_error, 0);
	ck_assert_uint_eq(m->body_size, 8192);
	ck_assert_ptr_null(m->body);
	ck_assert_int_eq(m->body_fd, -1);
	message_free(m);
	start(&a, 2, 1);
	ck_assert_int_eq(feed_body(&a, "k", 1, &m), 0);
	ck_assert_int_eq(m->body_state, BODY_COMPLETE);
	message_free(m);
}
END_TEST

/* The body fails in its middle; the channel, and the next message on it, do not. */
START_TEST(unstorable_body_is_dropped_as_it_arrives) {
	const struct rlimit limit = {.rlim_cur = 2 * BODY_HEAP_MAX, .rlim_max = 2 * BODY_HEAP_MAX};
	static char piece[BODY_HEAP_MAX];
	struct message *m = NULL;
	struct assembler a;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assembler_init(&a, LIMIT);
	start(&a, 3, 4 * BODY_HEAP_MAX);
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_null(m);
		ck_assert_int_eq(feed_body(&a, piece, sizeof(piece), &m), 0);
		ck_assert_int_eq(a.message->body_state, i < 2 ? BODY_COMPLETE : BODY_UNSTORABLE);
		ck_assert_int_eq(a.message->body_fd < 0, i == 2);
	}
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, piece, sizeof(piece), &m), 0);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(m->body_state, BODY_UNSTORABLE);
	ck_assert_int_eq(m->body_error, EFBIG);
	ck_assert_uint_eq(m->body_size, 4 * BODY_HEAP_MAX);
	ck_assert_ptr_null(m->body);
	ck_assert_uint_eq(m->delivery_tag, 3);
	ck_assert_str_eq(m->routing_key.data, "orders.new");
	ck_assert_uint_eq(m->received_usec, NOW);
	message_free(m);
	start(&a, 4, 1);
	ck_assert_int_eq(feed_body(&a, "k", 1, &m), 0);
	ck_assert_int_eq(m->body_state, BODY_COMPLETE);
	ck_assert_str_eq(m->body, "k");
	message_free(m);
}
END_TEST

/* No memory file, and a size that no heap has: nothing is reserved, everything dropped. */
START_TEST(body_without_room_is_dropped_from_the_start) {
	struct rlimit before, none;
	struct message *m = NULL;
	struct assembler a;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	assembler_init(&a, UINT64_MAX);
	start(&a, 1, UINT64_MAX);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(a.message->body_state, BODY_UNSTORABLE);
	ck_assert_int_eq(a.message->body_error, ENOMEM);
	ck_assert_uint_eq(a.message->body_size, UINT64_MAX);
	ck_assert_int_eq(feed_body(&a, "abc", 3, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_uint_eq(a.remaining, UINT64_MAX - 3);
	assembler_reset(&a);
}
END_TEST

START_TEST(absurd_size_costs_nothing) {
	struct message *m = NULL;
	struct assembler a;

	assembler_init(&a, LIMIT);
	start(&a, 1, UINT64_MAX);
	ck_assert_int_eq(feed_body(&a, "abc", 3, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_uint_eq(a.remaining, UINT64_MAX - 3);
	assembler_reset(&a);
	ck_assert_int_eq(a.state, ASSEMBLER_IDLE);
	ck_assert_ptr_null(a.message);
}
END_TEST

/* Each channel has an assembler: their frames may come in any mixture. */
START_TEST(channels_do_not_mix) {
	struct assembler a, b;
	struct message *m = NULL;

	assembler_init(&a, LIMIT);
	assembler_init(&b, LIMIT);
	start(&a, 1, 6);
	ck_assert_int_eq(feed_body(&a, "aaa", 3, &m), 0);
	start(&b, 9, 4);
	ck_assert_int_eq(feed_body(&b, "bb", 2, &m), 0);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(feed_body(&a, "AAA", 3, &m), 0);
	ck_assert_uint_eq(m->delivery_tag, 1);
	ck_assert_str_eq(m->body, "aaaAAA");
	message_free(m);
	ck_assert_int_eq(feed_body(&b, "BB", 2, &m), 0);
	ck_assert_uint_eq(m->delivery_tag, 9);
	ck_assert_str_eq(m->body, "bbBB");
	message_free(m);
}
END_TEST

START_TEST(properties_are_copied) {
	char type[] = "text/plain";
	amqp_table_entry_t entry = {.key = bytes("n"), .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = -3}};
	amqp_basic_properties_t p = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_PRIORITY_FLAG |
			  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
		.content_type = bytes(type),
		.headers = {.num_entries = 1, .entries = &entry},
		.priority = 9,
		.timestamp = 1700000000,
		.message_id = {.len = 0, .bytes = NULL},
		/* Not announced by a flag: not there, whatever the memory holds. */
		.delivery_mode = 2,
		.app_id = bytes("ghost"),
	};
	struct message *m = NULL;
	struct assembler a;

	assembler_init(&a, LIMIT);
	ck_assert_int_eq(feed_deliver(&a, 1, &m), 0);
	ck_assert_int_eq(feed_header(&a, 0, &p, &m), 0);
	memset(type, 'X', sizeof(type) - 1);
	entry.value.value.i32 = 5;
	ck_assert_str_eq(m->properties.content_type.data, "text/plain");
	ck_assert(m->properties.has_headers);
	ck_assert_int_eq(table_find(&m->properties.headers, "n")->i, -3);
	ck_assert(m->properties.has_priority && m->properties.priority == 9);
	ck_assert(m->properties.has_timestamp && m->properties.timestamp == 1700000000);
	/* Present, but empty, is not absent. */
	ck_assert_ptr_nonnull(m->properties.message_id.data);
	ck_assert_uint_eq(m->properties.message_id.len, 0);
	ck_assert(!m->properties.has_delivery_mode && m->properties.delivery_mode == 0);
	ck_assert_ptr_null(m->properties.app_id.data);
	message_free(m);
}
END_TEST

START_TEST(violations_are_refused) {
	amqp_frame_t other = {.frame_type = AMQP_FRAME_METHOD, .channel = 1};
	amqp_frame_t wrong_class = {.frame_type = AMQP_FRAME_HEADER, .channel = 1};
	amqp_frame_t unknown = {.frame_type = 99, .channel = 1};
	amqp_basic_properties_t none = {0};
	struct message *m = NULL;
	struct assembler a;

	other.payload.method.id = AMQP_BASIC_QOS_OK_METHOD;
	wrong_class.payload.properties.class_id = AMQP_TX_CLASS;
	wrong_class.payload.properties.decoded = &none;
	assembler_init(&a, LIMIT);
	ck_assert_int_eq(feed_body(&a, "x", 1, &m), -EPROTO);
	ck_assert_int_eq(feed_header(&a, 1, NULL, &m), -EPROTO);
	ck_assert_int_eq(feed(&a, &other, &m), -EPROTO);
	ck_assert_int_eq(feed(&a, &unknown, &m), -EPROTO);
	ck_assert_int_eq(feed_deliver(&a, 1, &m), 0);
	ck_assert_int_eq(feed_deliver(&a, 2, &m), -EPROTO);
	ck_assert_int_eq(feed_body(&a, "x", 1, &m), -EPROTO);
	ck_assert_int_eq(feed(&a, &wrong_class, &m), -EPROTO);
	ck_assert_int_eq(feed_header(&a, 3, NULL, &m), 0);
	ck_assert_int_eq(feed_header(&a, 3, NULL, &m), -EPROTO);
	ck_assert_int_eq(feed_deliver(&a, 2, &m), -EPROTO);
	ck_assert_int_eq(feed_body(&a, "abcd", 4, &m), -EPROTO);
	ck_assert_ptr_null(m);
	assembler_reset(&a);
}
END_TEST

START_TEST(more_than_announced_is_refused_for_dropped_bodies_too) {
	struct message *m = NULL;
	struct assembler a;

	assembler_init(&a, 2);
	start(&a, 1, 3);
	ck_assert_int_eq(feed_body(&a, "abcd", 4, &m), -EPROTO);
	assembler_reset(&a);
}
END_TEST

int main(void) {
	Suite *s = suite_create("assembler");
	TCase *t = tcase_create("assembler");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, empty_body_ends_with_the_header);
	tcase_add_test(t, body_is_put_together_from_several_frames);
	tcase_add_loop_test(t, size_decides_between_heap_and_memory_file, 0, 4);
	tcase_add_test(t, too_large_body_is_dropped_as_it_arrives);
	tcase_add_test(t, unstorable_body_is_dropped_as_it_arrives);
	tcase_add_test(t, body_without_room_is_dropped_from_the_start);
	tcase_add_test(t, absurd_size_costs_nothing);
	tcase_add_test(t, channels_do_not_mix);
	tcase_add_test(t, properties_are_copied);
	tcase_add_test(t, violations_are_refused);
	tcase_add_test(t, more_than_announced_is_refused_for_dropped_bodies_too);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
