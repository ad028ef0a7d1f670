/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "handler/output.h"

/* What came out: the lines as "1:text\n", "1:text!\n" when cut. */
struct sink {
	char text[4 * RUN_OUTPUT_MAX];
	size_t len;
	size_t lines;
	size_t longest;
	size_t cuts;
};

static struct output output;
static struct sink sink;

static void take_line(int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct sink *s = userdata;

	ck_assert_uint_lt(s->len + len + 8, sizeof(s->text));
	s->text[s->len++] = (char)('0' + stream);
	s->text[s->len++] = ':';
	memcpy(s->text + s->len, text, len);
	s->len += len;
	if (cut)
		s->text[s->len++] = '!';
	s->text[s->len++] = '\n';
	s->text[s->len] = '\0';
	s->lines++;
	s->cuts += cut;
	if (len > s->longest)
		s->longest = len;
}

static void setup(void) {
	memset(&output, 0, sizeof(output));
	memset(&sink, 0, sizeof(sink));
}

static void feed(int stream, const char *data, size_t len) {
	output_feed(&output, stream, data, len, take_line, &sink);
}

static void feed_str(int stream, const char *s) {
	feed(stream, s, strlen(s));
}

static void feed_repeated(int stream, char c, size_t n) {
	char block[1000];

	memset(block, c, sizeof(block));
	for (size_t part; n > 0; n -= part) {
		part = n < sizeof(block) ? n : sizeof(block);
		feed(stream, block, part);
	}
}

static void end(int stream) {
	output_end(&output, stream, take_line, &sink);
}

START_TEST(splits_at_newlines) {
	feed_str(1, "one\ntwo\n\nfo");
	ck_assert_str_eq(sink.text, "1:one\n1:two\n1:\n");
	feed_str(1, "ur\nlast");
	end(1);
	ck_assert_str_eq(sink.text, "1:one\n1:two\n1:\n1:four\n1:last\n");
	ck_assert_uint_eq(output.bytes, 18);
	ck_assert_uint_eq(output.streams[0].passed, 18);
	ck_assert_uint_eq(output.dropped, 0);
	end(1);
	ck_assert_uint_eq(sink.lines, 5);
}
END_TEST

START_TEST(byte_by_byte_is_the_same) {
	const char *s = "a\n\nbcd\nlast";

	for (; *s; s++)
		feed(2, s, 1);
	end(2);
	ck_assert_str_eq(sink.text, "2:a\n2:\n2:bcd\n2:last\n");
}
END_TEST

START_TEST(streams_do_not_mix) {
	feed_str(1, "out");
	feed_str(2, "err\nmore");
	feed_str(1, "put\n");
	end(2);
	end(1);
	ck_assert_str_eq(sink.text, "2:err\n1:output\n2:more\n");
}
END_TEST

START_TEST(nuls_are_bytes_like_others) {
	feed(1, "a\0b\n", 4);
	ck_assert_uint_eq(sink.len, 6);
	ck_assert_int_eq(memcmp(sink.text, "1:a\0b\n", 6), 0);
}
END_TEST

START_TEST(longest_line_is_whole) {
	feed_repeated(1, 'x', RUN_LINE_MAX);
	ck_assert_uint_eq(sink.lines, 0);
	feed_str(1, "\nnext\n");
	ck_assert_uint_eq(sink.lines, 2);
	ck_assert_uint_eq(sink.longest, RUN_LINE_MAX);
	ck_assert_uint_eq(sink.cuts, 0);
	ck_assert_uint_eq(output.dropped, 0);
}
END_TEST

START_TEST(longer_line_is_cut_once) {
	feed_repeated(1, 'x', RUN_LINE_MAX + 1);
	ck_assert_uint_eq(sink.lines, 1); /* at once, not when the newline comes */
	feed_repeated(1, 'x', 100000);
	feed_str(1, "\nnext\n");
	end(1);
	ck_assert_uint_eq(sink.lines, 2);
	ck_assert_uint_eq(sink.cuts, 1);
	ck_assert_uint_eq(sink.longest, RUN_LINE_MAX);
	ck_assert_str_eq(sink.text + sink.len - 7, "1:next\n");
	ck_assert_uint_eq(output.dropped, 1 + 100000 + 1);
	ck_assert_uint_eq(output.bytes, output.streams[0].passed + output.dropped);
}
END_TEST

START_TEST(line_cut_in_the_middle_of_a_block) {
	static char block[3 * RUN_LINE_MAX];

	memset(block, 'y', sizeof(block));
	block[sizeof(block) - 3] = '\n';
	feed_str(1, "abc");
	feed(1, block, sizeof(block));
	end(1);
	ck_assert_uint_eq(sink.lines, 2);
	ck_assert_uint_eq(sink.cuts, 1);
	ck_assert_int_eq(strncmp(sink.text, "1:abcyyy", 8), 0);
	ck_assert_str_eq(sink.text + sink.len - 5, "1:yy\n");
}
END_TEST

static void fill_to(size_t n) {
	while (output.streams[0].passed < n) {
		size_t len = n - output.streams[0].passed < 1024 ? n - output.streams[0].passed : 1024;

		feed_repeated(1, 'z', len - 1);
		feed_str(1, "\n");
	}
	ck_assert_uint_eq(output.streams[0].passed, n);
	ck_assert_uint_eq(sink.cuts, 0);
}

START_TEST(limit_reached_exactly_is_no_cut) {
	fill_to(RUN_OUTPUT_MAX);
	end(1);
	end(2);
	ck_assert_uint_eq(sink.cuts, 0);
	ck_assert(!output.streams[0].finished);
	ck_assert_uint_eq(output.dropped, 0);
}
END_TEST

START_TEST(beyond_the_limit_one_cut_and_silence) {
	size_t lines;

	fill_to(RUN_OUTPUT_MAX);
	lines = sink.lines;
	feed_str(1, "one more\nand another\n");
	ck_assert_uint_eq(sink.lines, lines + 1);
	ck_assert_str_eq(sink.text + sink.len - 4, "1:!\n");
	feed_str(1, "more\n");
	feed_str(1, "unfinished");
	end(1);
	end(2);
	ck_assert_uint_eq(sink.lines, lines + 1);
	ck_assert_uint_eq(sink.cuts, 1);
	ck_assert_uint_eq(output.bytes, RUN_OUTPUT_MAX + 21 + 5 + 10);
	ck_assert_uint_eq(output.dropped, 21 + 5 + 10);
}
END_TEST

START_TEST(limit_in_a_line_cuts_it) {
	fill_to(RUN_OUTPUT_MAX - 10);
	feed_str(1, "0123456789abc\nrest\n");
	ck_assert_str_eq(sink.text + sink.len - 14, "1:0123456789!\n");
	ck_assert_uint_eq(output.dropped, 4 + 5);
	ck_assert(output.streams[0].finished);
}
END_TEST

START_TEST(line_that_just_fits_is_whole) {
	fill_to(RUN_OUTPUT_MAX - 10);
	feed_str(1, "0123456789\n");
	ck_assert_str_eq(sink.text + sink.len - 13, "1:0123456789\n");
	ck_assert(!output.streams[0].finished);
}
END_TEST

START_TEST(a_flood_of_one_stream_leaves_the_other_its_say) {
	fill_to(RUN_OUTPUT_MAX);
	feed_str(1, "x\n");
	feed_str(2, "why it failed\n");
	ck_assert_str_eq(sink.text + sink.len - 16, "2:why it failed\n");
	ck_assert_uint_eq(sink.cuts, 1);
	ck_assert_uint_eq(output.dropped, 2);
	ck_assert(!output.streams[1].finished);
}
END_TEST

START_TEST(empty_lines_are_bounded) {
	feed_repeated(1, '\n', RUN_OUTPUT_MAX + 1000);
	ck_assert_uint_eq(sink.lines, RUN_OUTPUT_MAX + 1);
	ck_assert_uint_eq(sink.cuts, 1);
	ck_assert_uint_eq(output.dropped, 1000);
}
END_TEST

START_TEST(limits_begin_anew) {
	for (int i = 0; i < 3; i++) {
		output_renew(&output);
		sink.len = sink.lines = sink.cuts = 0;
		feed_repeated(2, 'x', RUN_LINE_MAX);
		feed_repeated(2, '\n', RUN_OUTPUT_MAX);
		ck_assert_uint_eq(sink.cuts, 1);
		ck_assert_uint_eq(output.streams[1].passed, RUN_OUTPUT_MAX);
		ck_assert_uint_eq(output.bytes, RUN_OUTPUT_MAX + RUN_LINE_MAX);
		ck_assert_uint_eq(output.dropped, RUN_LINE_MAX);
	}
	output_renew(&output);
	/* What was begun of a line goes on. */
	sink.len = 0;
	output_feed(&output, 2, "be", 2, take_line, &sink);
	output_renew(&output);
	output_feed(&output, 2, "gun\n", 4, take_line, &sink);
	ck_assert_str_eq(sink.text, "2:begun\n");
}
END_TEST

int main(void) {
	Suite *s = suite_create("output");
	TCase *t = tcase_create("output");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, splits_at_newlines);
	tcase_add_test(t, byte_by_byte_is_the_same);
	tcase_add_test(t, streams_do_not_mix);
	tcase_add_test(t, nuls_are_bytes_like_others);
	tcase_add_test(t, longest_line_is_whole);
	tcase_add_test(t, longer_line_is_cut_once);
	tcase_add_test(t, line_cut_in_the_middle_of_a_block);
	tcase_add_test(t, limit_reached_exactly_is_no_cut);
	tcase_add_test(t, beyond_the_limit_one_cut_and_silence);
	tcase_add_test(t, limit_in_a_line_cuts_it);
	tcase_add_test(t, line_that_just_fits_is_whole);
	tcase_add_test(t, a_flood_of_one_stream_leaves_the_other_its_say);
	tcase_add_test(t, empty_lines_are_bounded);
	tcase_add_test(t, limits_begin_anew);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
