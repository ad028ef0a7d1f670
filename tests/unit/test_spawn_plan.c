/* SPDX-License-Identifier: MIT */
/* What a plan says of the handler's identity, limits and descriptors is what the handler finds. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "check_main.h"
#include "handler/spawn.h"
#include "spawning.h"

START_TEST(umask_nice_and_limits_are_the_plans) {
	struct spawn_plan plan = SPAWN_PLAN_INIT;

	plan.has_umask = true;
	plan.umask = 027;
	plan.has_nice = true;
	plan.nice = 13;
	plan.limits[plan.n_limits++] = (struct spawn_limit){RLIMIT_NOFILE, "files", 17, 19};
	plan.limits[plan.n_limits++] = (struct spawn_limit){RLIMIT_CORE, "core", 0, 0};
	ck_assert_int_eq(run_shell_with(&plan, "umask; nice; ulimit -Sn; ulimit -Hn; ulimit -Hc"), 0);
	ck_assert_str_eq(text, "0027\n13\n17\n19\n0\n");
}
END_TEST

START_TEST(nothing_changes_that_is_not_asked_for) {
	char expected[200];
	mode_t mask = umask(0);

	(void)umask(mask);
	ck_assert_int_eq(run_shell("umask; nice; id -u; id -g; ulimit -Sn; grep NoNewPrivs /proc/self/status"), 0);
	(void)snprintf(expected, sizeof(expected), "%04o\n%d\n%u\n%u\n%ld\nNoNewPrivs:\t0\n", (unsigned)mask,
		       getpriority(PRIO_PROCESS, 0), (unsigned)geteuid(), (unsigned)getegid(), sysconf(_SC_OPEN_MAX));
	ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(failing_steps_say_what_they_were_about) {
	const char *const argv[] = {"/bin/true", NULL};
	struct spawn_plan plan = SPAWN_PLAN_INIT;
	char buf[300];
	int output;
	pid_t pid;

	plan.limits[plan.n_limits++] = (struct spawn_limit){RLIMIT_NOFILE, "files", 17, 19};
	plan.limits[plan.n_limits++] = (struct spawn_limit){RLIMIT_CPU, "cpu", 2, 1};
	ck_assert_int_eq(spawn_with(&plan, "/", argv, &output, &pid), -EINVAL);
	ck_assert_int_eq(error.step, SPAWN_LIMIT);
	ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)), "cannot set the handler's limit of cpu: Invalid argument");
	plan = SPAWN_PLAN_INIT;
	plan.confinement = open("/dev/null", O_RDONLY | O_CLOEXEC);
	plan.no_new_privs = true;
	ck_assert_int_lt(spawn_with(&plan, "/", argv, &output, &pid), 0);
	ck_assert_int_eq(error.step, SPAWN_CONFINEMENT);
	fd_close(plan.confinement);
}
END_TEST

START_TEST(a_fourth_descriptor) {
	struct spawn_plan plan = SPAWN_PLAN_INIT;

	open_strays();
	plan.fds[3] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(run_shell_with(&plan, "ls /proc/$$/fd; readlink /proc/$$/fd/3"), 0);
	ck_assert_str_eq(text, "0\n1\n2\n3\n/dev/zero\n");
	fd_close(plan.fds[3]);
}
END_TEST

#define TELL_IDENTITY "id -u; id -ru; id -g; id -rg; id -G; grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u"

START_TEST(another_user_without_capabilities) {
	static const gid_t groups[] = {65531, 65532};
	static const struct spawn_identity id = {.uid = 65533, .gid = 65530, .groups = groups, .n_groups = 2};
	struct spawn_plan plan = SPAWN_PLAN_INIT;

	plan.identity = &id;
	plan.user = "somebody";
	plan.drop_capabilities = true;
	if (geteuid() == 0) {
		ck_assert_int_eq(run_shell_with(&plan, TELL_IDENTITY), 0);
		ck_assert_str_eq(text, "65533\n65533\n65530\n65530\n65530 65531 65532\n0000000000000000\n");
	} else {
		const char *const argv[] = {"/bin/true", NULL};
		char buf[300];
		int output;
		pid_t pid;

		ck_assert_int_eq(spawn_with(&plan, "/", argv, &output, &pid), -EPERM);
		ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)),
				 "cannot become user somebody: Operation not permitted");
	}
}
END_TEST

/* Changing ids clears the signal that is to come with the parent's end, so this one has to be set afterwards. */
START_TEST(another_user_dies_with_its_parent_too) {
	static const struct spawn_identity id = {.uid = 65533, .gid = 65530};
	const char *const argv[] = {"/bin/sleep", "60", NULL};
	struct spawn_plan plan = SPAWN_PLAN_INIT;
	int status, output;
	pid_t daemon, handler;

	if (geteuid() != 0)
		return;
	plan.identity = &id;
	plan.user = "somebody";
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	daemon = fork();
	if (daemon == 0)
		_exit(spawn_with(&plan, "/", argv, &output, &handler) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
	ck_assert_int_eq(status, 0);
	/* The orphan is ours now. */
	ck_assert_int_gt(waitpid(-1, &status, 0), 0);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
END_TEST

START_TEST(orphans_stay_in_a_subreapers_tree) {
	struct spawn_plan plan = SPAWN_PLAN_INIT;
	int parent, self;

	plan.subreaper = true;
	ck_assert_int_eq(run_shell_with(&plan, "echo $$; (setsid sh -c 'while [ $(cut -d\\  -f4 /proc/$$/stat) != '$$' ]; do sleep "
					       "0.02; done; cut -d\\  -f4 /proc/$$/stat' &); sleep 0.5; wait"),
			 0);
	ck_assert_int_eq(sscanf(text, "%d %d", &self, &parent), 2);
	ck_assert_int_eq(parent, self);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "plan", umask_nice_and_limits_are_the_plans, nothing_changes_that_is_not_asked_for, failing_steps_say_what_they_were_about, a_fourth_descriptor, another_user_without_capabilities, another_user_dies_with_its_parent_too, orphans_stay_in_a_subreapers_tree);
}

CHECK_MAIN("spawn_plan", add_cases)
