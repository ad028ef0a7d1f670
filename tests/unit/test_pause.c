/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "check_main.h"
#include "delivery/pause.h"

static char folder[] = "/tmp/test-pause-XXXXXX";
static char path[64];

static void write_file(const char *content, mode_t mode) {
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(content, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static char *command[] = {path, NULL};
static char directory[] = "/";
static const struct config_queue queue = {.handler = {.command = command, .directory = directory}};
static struct program *program;

static void setup(void) {
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/handler", folder);
	ck_assert_int_eq(program_new(NULL, &queue, &program), 0);
}

static void teardown(void) {
	program = program_free(program);
	unlink(path);
	rmdir(folder);
}

START_TEST(looks_again_after_growing_delays_until_the_file_appears) {
	struct spawn_error error = {.step = SPAWN_EXECUTE, .error = ENOENT};
	struct pause p;

	pause_init(&p);
	ck_assert_uint_eq(pause_failed(&p, &queue.handler, &error, 0), 1 * USEC_PER_SEC);
	ck_assert_int_eq(pause_probe(&p, program), -ENOENT);
	ck_assert_uint_eq(pause_again(&p, 0), 2 * USEC_PER_SEC);
	for (int i = 0; i < 10; i++)
		(void)pause_again(&p, 0);
	ck_assert_uint_eq(pause_again(&p, 0), PAUSE_MAX_USEC);
	write_file("#!/bin/sh\nexit 0\n", 0644);
	ck_assert_int_eq(pause_probe(&p, program), -EACCES);
	write_file("#!/bin/sh\nexit 0\n", 0755);
	ck_assert_int_eq(pause_probe(&p, program), 0);
	pause_reset(&p);
	ck_assert_uint_eq(pause_failed(&p, &queue.handler, &error, 0), 1 * USEC_PER_SEC);
}
END_TEST

START_TEST(a_bad_format_is_not_asked_about_again_until_the_file_changes) {
	struct spawn_error error = {.step = SPAWN_EXECUTE, .error = ENOEXEC};
	struct pause p;

	write_file("no interpreter line\n", 0755);
	pause_init(&p);
	(void)pause_failed(&p, &queue.handler, &error, 0);
	ck_assert_int_eq(pause_probe(&p, program), -ENOEXEC);
	ck_assert_int_eq(pause_probe(&p, program), -ENOEXEC);
	ck_assert_int_eq(p.error.error, ENOEXEC);
	usleep(20000);
	write_file("#!/bin/sh\nexit 0\n", 0755);
	ck_assert_int_eq(pause_probe(&p, program), 0);
}
END_TEST

static void add_cases(Suite *s) {
	TCase *tc = tcase_create("pause");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, looks_again_after_growing_delays_until_the_file_appears);
	tcase_add_test(tc, a_bad_format_is_not_asked_about_again_until_the_file_changes);
	suite_add_tcase(s, tc);
}

CHECK_MAIN("pause", add_cases)
