/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "check_main.h"
#include "handler/confine.h"
#include "handler/confine_rules.h"
#include "scratch.h"

static struct confine *confine;

static bool is_supported(void) {
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static void setup(void) {
	scratch_setup();
	ck_assert_int_eq(mkdir("etc", 0755), 0);
	ck_assert_int_eq(mkdir("other", 0755), 0);
	scratch_write("etc/secret", 0600, "s");
	scratch_write("etc/beside", 0600, "b");
	scratch_write("other/file", 0600, "f");
	ck_assert_int_eq(confine_new(&confine), 0);
}

static void teardown(void) {
	confine = confine_free(confine);
	scratch_teardown();
}

static int look(void) {
	int fd = -2;

	ck_assert_int_eq(confine_look(confine, &fd), 0);
	return fd;
}

/* Whether a process under the ruleset can read the file. */
static bool can_read(int ruleset, const char *path) {
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
			_exit(2);
		_exit(open(path, O_RDONLY | O_CLOEXEC) < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

/* Looks until nothing on the way has changed for a moment: others use the same folders. */
static void settle(void) {
	const struct timespec moment = {.tv_nsec = 30000000};

	for (int i = 0; i < 1000; i++) {
		(void)look();
		(void)nanosleep(&moment, NULL);
		(void)look();
		if (!confine_is_stale(confine))
			return;
	}
	ck_abort_msg("something changes all the time");
}

START_TEST(without_secrets_there_is_nothing_to_do) {
	ck_assert_int_eq(look(), -1);
	ck_assert(!confine_is_stale(confine));
}
END_TEST

START_TEST(all_but_the_secret_can_be_read) {
	if (!is_supported())
		return;
	ck_assert_int_eq(link("etc/secret", "etc/second-name"), 0);
	ck_assert_int_eq(symlink("etc/secret", "link"), 0);
	ck_assert_int_eq(confine_add(confine, "link"), 0);
	ck_assert(confine_is_stale(confine));
	ck_assert(!can_read(look(), "etc/secret"));
	ck_assert(!can_read(look(), "etc/second-name"));
	ck_assert(!can_read(look(), "link"));
	ck_assert(can_read(look(), "etc/beside"));
	ck_assert(can_read(look(), "other/file"));
	ck_assert(can_read(look(), "/etc/passwd"));
	ck_assert(can_read(look(), "/dev/null"));
}
END_TEST

START_TEST(a_directory_is_kept_with_all_that_is_in_it) {
	if (!is_supported())
		return;
	ck_assert_int_eq(confine_add(confine, "etc/secret"), 0);
	ck_assert_int_eq(confine_add(confine, "etc"), 0);
	ck_assert(!can_read(look(), "etc/secret"));
	ck_assert(!can_read(look(), "etc/beside"));
	ck_assert(can_read(look(), "other/file"));
}
END_TEST

START_TEST(what_is_not_there_yet_is_a_secret_when_it_is) {
	char path[4200];
	int before;

	if (!is_supported())
		return;
	(void)snprintf(path, sizeof(path), "%s/etc/later", scratch_path);
	ck_assert_int_eq(confine_add(confine, path), 0);
	ck_assert_int_eq(confine_add(confine, "not/even/a/folder"), 0);
	before = look();
	ck_assert(can_read(before, "etc/beside"));
	scratch_write("etc/later", 0600, "l");
	ck_assert(!can_read(before, "etc/later"));
	ck_assert(confine_is_stale(confine));
	ck_assert(!can_read(look(), "etc/later"));
	ck_assert_int_eq(mkdir("not", 0755), 0);
	ck_assert_int_eq(mkdir("not/even", 0755), 0);
	ck_assert_int_eq(mkdir("not/even/a", 0755), 0);
	scratch_write("not/even/a/folder", 0600, "n");
	ck_assert(confine_is_stale(confine));
	ck_assert(!can_read(look(), "not/even/a/folder"));
}
END_TEST

START_TEST(nothing_is_forbidden_as_long_as_no_secret_is_there) {
	ck_assert_int_eq(confine_add(confine, "no/such/folder"), 0);
	ck_assert_int_eq(look(), -1);
	ck_assert_int_eq(mkdir("no", 0755), 0);
	ck_assert_int_eq(mkdir("no/such", 0755), 0);
	ck_assert_int_eq(mkdir("no/such/folder", 0755), 0);
	scratch_write("no/such/folder/file", 0600, "f");
	ck_assert(confine_is_stale(confine));
	ck_assert(!is_supported() || !can_read(look(), "no/such/folder/file"));
}
END_TEST

START_TEST(changes_on_the_way_are_noticed) {
	unsigned before;

	if (!is_supported())
		return;
	ck_assert_int_eq(confine_add(confine, "etc/secret"), 0);
	settle();
	scratch_write("etc/new", 0600, "n");
	ck_assert(!can_read(look(), "etc/missing"));
	ck_assert(can_read(look(), "etc/new"));
	settle();
	scratch_write("etc/newer", 0600, "n");
	ck_assert_int_eq(rename("etc/newer", "etc/beside"), 0);
	ck_assert(confine_is_stale(confine));
	before = confine_generation(confine);
	ck_assert(can_read(look(), "etc/beside"));
	ck_assert_uint_eq(confine_generation(confine), before + 1);
	settle();
	/* Another directory of the same name: its stamp may be older. */
	ck_assert_int_eq(rename("etc", "moved"), 0);
	ck_assert_int_eq(rename("other", "etc"), 0);
	ck_assert(confine_is_stale(confine));
	ck_assert(can_read(look(), "etc/file"));
	ck_assert(can_read(look(), "moved/beside"));
	/* The secret is what has the name. */
	ck_assert(can_read(look(), "moved/secret"));
}
END_TEST

START_TEST(a_link_that_leads_elsewhere_is_noticed) {
	if (!is_supported())
		return;
	ck_assert_int_eq(mkdir("links", 0755), 0);
	ck_assert_int_eq(symlink("../etc", "links/current"), 0);
	scratch_write("other/secret", 0600, "o");
	ck_assert_int_eq(confine_add(confine, "links/current/secret"), 0);
	settle();
	ck_assert(!can_read(look(), "etc/secret"));
	ck_assert(can_read(look(), "other/secret"));
	ck_assert_int_eq(symlink("../other", "links/new"), 0);
	ck_assert_int_eq(rename("links/new", "links/current"), 0);
	ck_assert(confine_is_stale(confine));
	ck_assert(can_read(look(), "etc/secret"));
	ck_assert(!can_read(look(), "other/secret"));
}
END_TEST

START_TEST(rules_know_their_directories) {
	CLEANUP(confine_rules_clear) struct confine_rules rules = {0};
	char real[4200], expected[4400];
	size_t n;

	ck_assert_ptr_nonnull(realpath(".", real));
	ck_assert_int_eq(confine_rules_add(&rules, "etc/secret"), 0);
	ck_assert_int_eq(confine_rules_add(&rules, "etc/beside"), 0);
	ck_assert_int_eq(confine_rules_add(&rules, "other/"), 0);
	ck_assert_int_eq(confine_rules_add(&rules, "other/file"), 0);
	ck_assert_int_eq(confine_rules_add(&rules, "/no/such/folder"), 0);
	ck_assert_uint_eq(rules.n_denied, 4);
	ck_assert_int_eq(confine_rules_plan(&rules), 0);
	n = rules.n_directories;
	ck_assert_uint_ge(n, 3);
	ck_assert_str_eq(rules.directories[0], "/");
	ck_assert_str_eq(rules.directories[n - 2], real);
	(void)snprintf(expected, sizeof(expected), "%s/etc", real);
	ck_assert_str_eq(rules.directories[n - 1], expected);
}
END_TEST

START_TEST(too_many_entries_are_refused_with_the_reason) {
	CLEANUP(confine_rules_clear) struct confine_rules rules = {0};
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	int fd = -1;

	if (!is_supported())
		return;
	ck_assert_int_eq(confine_rules_add(&rules, "etc/secret"), 0);
	ck_assert_int_eq(confine_rules_plan(&rules), 0);
	ck_assert_int_eq(confine_rules_make(&rules, 2, &why, &fd), -EOPNOTSUPP);
	ck_assert_str_eq(strbuf_str(&why), "/ has more than 2 entries");
	ck_assert_int_eq(fd, -1);
}
END_TEST

static int count_descriptors(void) {
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(descriptors_do_not_pile_up) {
	int before = count_descriptors();

	ck_assert_int_eq(confine_add(confine, "etc/secret"), 0);
	for (int i = 0; i < 10; i++) {
		scratch_write("etc/new", 0600, "n");
		ck_assert_int_eq(unlink("etc/new"), 0);
		ck_assert(confine_is_stale(confine) || !is_supported());
		(void)look();
	}
	ck_assert_int_eq(count_descriptors(), before + is_supported());
}
END_TEST

static void add_cases(Suite *suite) {
	const TTest *const tests[] = {
		without_secrets_there_is_nothing_to_do,	 all_but_the_secret_can_be_read,
		a_directory_is_kept_with_all_that_is_in_it, what_is_not_there_yet_is_a_secret_when_it_is,
		nothing_is_forbidden_as_long_as_no_secret_is_there, changes_on_the_way_are_noticed, a_link_that_leads_elsewhere_is_noticed,
		rules_know_their_directories,		 too_many_entries_are_refused_with_the_reason,
		descriptors_do_not_pile_up,
	};
	TCase *tc = tcase_create("confine");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}

CHECK_MAIN("confine", add_cases)
