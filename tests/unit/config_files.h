/* SPDX-License-Identifier: MIT */
/* Loading configurations that are right and refusing those that are not, in the scratch folder of a test. */
#pragma once

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "check_main.h"
#include "config/config.h"
#include "privileges_of.h"
#include "scratch.h"

#define QUEUES "queues = ( { name = \"q\"; handler = { command = [ \"/bin/true\" ]; }; } );\n"

/* All problems as they are printed, a line each. */
static inline char *problems_text(const struct config_problems *p) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	for (size_t i = 0; i < p->n; i++) {
		ck_assert_int_eq(config_problem_format(&p->items[i], &s), 0);
		strbuf_append_str(&b, s);
		strbuf_append_char(&b, '\n');
		free(s);
	}
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

/* Loads the file, which must be right for a process with these privileges and give these messages (warnings). */
static inline struct config *load_for(const char *path, const struct privileges *privileges, const char *warnings) {
	struct config_problems problems = {0};
	struct config *c = NULL;
	int r = config_load_for(path, privileges, &problems, &c);
	char *text = problems_text(&problems);

	ck_assert_msg(r == 0, "%d:\n%s", r, text);
	ck_assert_str_eq(text, warnings);
	ck_assert_uint_eq(problems.n_errors, 0);
	free(text);
	config_problems_clear(&problems);
	return c;
}

static inline struct config *load(const char *path, const char *warnings) {
	return load_for(path, &nobodys_privileges, warnings);
}

static inline struct config *load_text(const char *content) {
	scratch_write("a.conf", 0640, content);
	return load("a.conf", "");
}

/* Loads the file, which must be refused with these messages. */
static inline void refuse_for(const char *path, const struct privileges *privileges, const char *expected) {
	struct config_problems problems = {0};
	struct config *c = NULL;
	int r = config_load_for(path, privileges, &problems, &c);
	char *text = problems_text(&problems);

	/* Check ends the program on a message that is longer than its own limit. */
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "%s: expected\n%sgot\n%s", path, expected, text);
	ck_assert_msg(strcmp(text, expected) == 0, "%s: see above", path);
	ck_assert_int_eq(r, -EINVAL);
	ck_assert_ptr_null(c);
	ck_assert_uint_gt(problems.n_errors, 0);
	free(text);
	config_problems_clear(&problems);
	ck_assert_ptr_null(problems.items);
}

static inline void refuse(const char *path, const char *expected) {
	refuse_for(path, &nobodys_privileges, expected);
}

static inline void refuse_text(const char *content, const char *expected) {
	scratch_write("a.conf", 0640, content);
	refuse("a.conf", expected);
}

/* Writes a configuration of one queue to a.conf: line 1 has what is given for all queues, line 5 the handler's further keys, line 6
 * the queue's. */
static inline void write_queue(const char *defaults, const char *handler, const char *rest) {
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
	strbuf_free(&b);
}

static inline char *read_file(const char *path, size_t *ret_len) {
	FILE *f = fopen(path, "r");
	struct strbuf b = STRBUF_INIT;
	char buf[4096], *s;
	size_t n;

	ck_assert_msg(f != NULL, "%s", path);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_append(&b, buf, n);
	ck_assert_int_eq(ferror(f), 0);
	(void)fclose(f);
	if (ret_len)
		*ret_len = b.len;
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

static inline void add_scratch_case(Suite *suite, const char *name, const TTest *const *tests, size_t n) {
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, scratch_setup, scratch_teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}
#define ADD_SCRATCH_CASE(suite, name, ...)                                                                             \
	add_scratch_case(suite, name, (const TTest *const[]){__VA_ARGS__},                                             \
			 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))
