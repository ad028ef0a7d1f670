/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macro.h"
#include "handler/probe.h"
#include "handler/spawn.h"
#include "spawning.h"

static char folder[64]; /* for the files of one test */

static void setup(void) {
	(void)snprintf(folder, sizeof(folder), "/tmp/test_spawn.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(&error, 0xee, sizeof(error));
}

static void teardown(void) {
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* A path in the folder; the result is good until the next call. */
static const char *in_folder(const char *name) {
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *make_file(const char *name, const char *content, mode_t mode) {
	const char *path = in_folder(name);
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(content, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

static int count_descriptors(void) {
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Spawning `path` fails with this errno and step, says so in these words, and leaves neither a child nor a descriptor.
 */
static void fails(const char *directory, const char *path, int number, enum spawn_step step, const char *words) {
	const char *const argv[] = {path, NULL};
	char buf[700];
	int descriptors = count_descriptors();
	int output;
	pid_t pid;

	ck_assert_int_eq(spawn_in(directory, argv, &output, &pid), -number);
	ck_assert_int_eq(error.step, step);
	ck_assert_int_eq(error.error, number);
	ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)), words);
	ck_assert(!spawn_error_is_resource(&error));
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(count_descriptors(), descriptors);
}

/* probe_handler comes to the same conclusion without executing anything. */
static void probe_fails(const char *directory, const char *path, const char *words) {
	char *command[] = {(char *)path, NULL};
	struct config_handler handler = {.command = command, .directory = (char *)directory};
	char buf[700];

	ck_assert_int_lt(probe_handler(&handler, NULL, &error), 0);
	ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)), words);
}

static void both_fail(const char *path, int number, const char *what) {
	char words[700];

	(void)snprintf(words, sizeof(words), "cannot execute %s: %s", path, what);
	fails("/", path, number, SPAWN_EXECUTE, words);
	probe_fails("/", path, words);
}

START_TEST(exit_status_and_output) {
	int status = run_shell("echo out; echo err >&2; exit 7");

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	ck_assert_str_eq(text, "out\nerr\n");
}
END_TEST

START_TEST(environment_and_directory_are_the_plans) {
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/leaks", 1), 0);
	ck_assert_int_eq(run_shell("tr '\\0' '\\n' < /proc/$$/environ; readlink /proc/$$/cwd"), 0);
	ck_assert_str_eq(text, "PATH=/usr/bin:/bin\nLANG=C\n/\n");
}
END_TEST

START_TEST(own_session_and_group) {
	int session, group, pid;

	ck_assert_int_eq(run_shell("echo $$; cut -d' ' -f5,6 /proc/$$/stat"), 0);
	ck_assert_int_eq(sscanf(text, "%d %d %d", &pid, &group, &session), 3);
	ck_assert_int_eq(group, pid);
	ck_assert_int_eq(session, pid);
}
END_TEST

START_TEST(only_three_descriptors) {
	open_strays();
	ck_assert_int_eq(run_shell("ls /proc/$$/fd; true"), 0);
	ck_assert_str_eq(text, "0\n1\n2\n");
}
END_TEST

/* close_range(2) gives ENOSYS from now on, in this process and its children; `also` does too unless it is 0. */
static void refuse_syscalls(unsigned also) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, also ? also : SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	ck_assert_int_eq((int)syscall(SYS_close_range, 1000000, 1000000, 0), -1);
}

/* In a process of its own: a filter cannot be taken away again. */
static void in_fork(void (*test)(void)) {
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		test();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void expect_three_descriptors(void) {
	if (run_shell("ls /proc/$$/fd; true") != 0 || strcmp(text, "0\n1\n2\n") != 0)
		_exit(1);
}

static void without_close_range(void) {
	open_strays();
	refuse_syscalls(0);
	expect_three_descriptors();
}

START_TEST(only_three_descriptors_without_close_range) {
	in_fork(without_close_range);
}
END_TEST

/* No /proc either, as far as the child can tell: its getdents64 fails, which is a failure of the step. */
static void without_listing(void) {
	const char *const argv[] = {"/bin/true", NULL};
	int output;
	pid_t pid;

	refuse_syscalls(SYS_getdents64);
	if (spawn_in("/", argv, &output, &pid) != -ENOSYS || error.step != SPAWN_DESCRIPTORS)
		_exit(1);
}

START_TEST(descriptors_that_cannot_be_closed_are_an_error) {
	in_fork(without_listing);
}
END_TEST

START_TEST(signals_are_default_and_unblocked) {
	/* Not a shell: those catch signals of their own. */
	const char *const argv[] = {"/bin/cat", "/proc/self/status", NULL};
	sigset_t blocked, before, after;

	ck_assert_ptr_ne(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	ck_assert_ptr_ne(signal(SIGUSR1, SIG_IGN), SIG_ERR);
	ck_assert_ptr_ne(signal(SIGRTMIN + 3, SIG_IGN), SIG_ERR);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	ck_assert_int_eq(run_program(argv), 0);
	ck_assert_ptr_nonnull(strstr(text, "\nSigBlk:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nSigIgn:\t0000000000000000\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nSigCgt:\t0000000000000000\n"));
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&after, SIGUSR2), 0);
	ck_assert_int_eq(memcmp(&before, &after, 8), 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGRTMIN + 3, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}
END_TEST

START_TEST(missing_and_unusable_programs) {
	both_fail(in_folder("missing"), ENOENT, "No such file or directory");
	both_fail(make_file("plain", "#!/bin/sh\n", 0644), EACCES, "Permission denied");
	both_fail(folder, EACCES, "Permission denied");
	both_fail("/dev/null", EACCES, "Permission denied");
	both_fail("/etc/passwd/x", ENOTDIR, "Not a directory");
}
END_TEST

START_TEST(not_a_program) {
	const char *path = make_file("data", "no magic here\n", 0755);
	char words[300];

	(void)snprintf(words, sizeof(words), "cannot execute %s: Exec format error", path);
	fails("/", path, ENOEXEC, SPAWN_EXECUTE, words);
}
END_TEST

START_TEST(missing_interpreters_are_named) {
	char interpreter[128], content[200], what[300];

	both_fail(make_file("s1", "#!/no/such/shell -x\n", 0755), ENOENT,
		  "its interpreter /no/such/shell does not exist");
	both_fail(make_file("s2", "#! /bin/sh\r\necho\n", 0755), ENOENT, "its interpreter /bin/sh\\x0d does not exist");
	both_fail(make_file("s3", "#!no-newline", 0755), ENOENT, "its interpreter no-newline does not exist");
	(void)snprintf(interpreter, sizeof(interpreter), "%s", make_file("not-executable", "x", 0644));
	(void)snprintf(content, sizeof(content), "#!%s\n", interpreter);
	(void)snprintf(what, sizeof(what), "its interpreter %s: Permission denied", interpreter);
	both_fail(make_file("s4", content, 0755), EACCES, what);
	(void)snprintf(content, sizeof(content), "#!%s/s1\n", folder);
	both_fail(make_file("s5", content, 0755), ENOENT, "its interpreter /no/such/shell does not exist");
}
END_TEST

START_TEST(missing_loader_is_told) {
	/* The shell with another name for its loader: what a binary made for a foreign libc looks like. */
	const char *path = in_folder("foreign");
	char words[300], command[400];

	(void)snprintf(command, sizeof(command), "sed 's,/ld-linux,/no-linux,g' < /bin/sh > %s && chmod 755 %s", path,
		       path);
	ck_assert_int_eq(system(command), 0);
	(void)snprintf(words, sizeof(words),
		       "cannot execute %s: the file exists, but the loader that it needs does not", path);
	fails("/", path, ENOENT, SPAWN_EXECUTE, words);
}
END_TEST

START_TEST(missing_directory) {
	fails("/no/such/folder", "/bin/true", ENOENT, SPAWN_DIRECTORY,
	      "cannot change to directory /no/such/folder: No such file or directory");
	probe_fails("/no/such/folder", "/bin/true",
		    "cannot change to directory /no/such/folder: No such file or directory");
	fails("/etc/passwd", "/bin/true", ENOTDIR, SPAWN_DIRECTORY,
	      "cannot change to directory /etc/passwd: Not a directory");
	probe_fails("/etc/passwd", "/bin/true", "cannot change to directory /etc/passwd: Not a directory");
}
END_TEST

START_TEST(probe_accepts_what_works) {
	char *command[] = {(char *)"/bin/sh", NULL};
	struct config_handler handler = {.command = command, .directory = (char *)"/"};

	ck_assert_int_eq(probe_handler(&handler, NULL, &error), 0);
	command[0] = (char *)make_file("script", "#!/bin/sh -e\nexit 0\n", 0755);
	ck_assert_int_eq(probe_handler(&handler, NULL, &error), 0);
	/* A relative interpreter is relative to the directory that the handler starts in. */
	command[0] = (char *)make_file("relative", "#!bin/sh\n", 0755);
	ck_assert_int_eq(probe_handler(&handler, NULL, &error), 0);
	handler.directory = folder;
	ck_assert_int_eq(probe_handler(&handler, NULL, &error), -ENOENT);
}
END_TEST

/* As another user, for whom permissions count. */
static void probe_unprivileged(void) {
	char *command[] = {(char *)in_folder("private"), NULL};
	struct config_handler handler = {.command = command, .directory = (char *)"/"};

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(1);
	if (probe_handler(&handler, NULL, &error) != -EACCES || error.step != SPAWN_EXECUTE)
		_exit(2);
	handler.directory = folder;
	command[0] = (char *)"/bin/true";
	if (probe_handler(&handler, NULL, &error) != -EACCES || error.step != SPAWN_DIRECTORY)
		_exit(3);
}

START_TEST(probe_asks_as_the_effective_user) {
	if (geteuid() != 0)
		return;
	(void)make_file("private", "#!/bin/sh\n", 0700);
	in_fork(probe_unprivileged);
}
END_TEST

/* No process may be added for this user: the daemon's limit, not the handler's fault. */
static void without_processes(void) {
	const char *const argv[] = {"/bin/true", NULL};
	struct rlimit none = {0, 0};
	char buf[200];
	int output;
	pid_t pid;

	if (setrlimit(RLIMIT_NPROC, &none) < 0 || (geteuid() == 0 && setresuid(65533, 65533, 65533) < 0))
		_exit(1);
	if (spawn_in("/", argv, &output, &pid) != -EAGAIN || error.step != SPAWN_PROCESS)
		_exit(2);
	if (!spawn_error_is_resource(&error))
		_exit(3);
	if (strcmp(spawn_error_format(&error, buf, sizeof(buf)),
		   "cannot create a process: Resource temporarily unavailable") != 0)
		_exit(4);
}

START_TEST(no_process_is_a_resource_failure) {
	in_fork(without_processes);
}
END_TEST

START_TEST(arguments_too_long) {
	static char large[131073];
	const char *const argv[] = {"/bin/true", large, NULL};
	int output;
	pid_t pid;

	memset(large, 'x', sizeof(large) - 1);
	ck_assert_int_eq(spawn_in("/", argv, &output, &pid), -E2BIG);
	ck_assert_int_eq(error.step, SPAWN_EXECUTE);
	ck_assert(!spawn_error_is_resource(&error));
}
END_TEST

START_TEST(dies_with_its_parent) {
	const char *const argv[] = {"/bin/sleep", "60", NULL};
	struct pollfd p = {.events = POLLIN};
	int to_us[2], status, output;
	pid_t daemon, handler;

	ck_assert_int_eq(pipe2(to_us, O_CLOEXEC), 0);
	daemon = fork();
	ck_assert_int_ge(daemon, 0);
	if (daemon == 0) {
		if (spawn_in("/", argv, &output, &handler) < 0 ||
		    write(to_us[1], &handler, sizeof(handler)) != sizeof(handler))
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(to_us[0], &handler, sizeof(handler)), sizeof(handler));
	p.fd = (int)syscall(SYS_pidfd_open, handler, 0);
	ck_assert_int_ge(p.fd, 0);
	ck_assert_int_eq(poll(&p, 1, 100), 0);
	ck_assert_int_eq(kill(daemon, SIGKILL), 0);
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
	fd_close(p.fd);
	fd_close(to_us[0]);
	fd_close(to_us[1]);
}
END_TEST

START_TEST(words_are_cut_and_printable) {
	char buf[23];

	(void)spawn_error_set(&error, SPAWN_EXECUTE, ENOENT, "/a\nb\x1b[31m");
	ck_assert_str_eq(spawn_error_format(&error, text, sizeof(text)),
			 "cannot execute /a\\x0ab\\x1b[31m: No such file or directory");
	ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)), "cannot execute /a\\x0ab");
	ck_assert_str_eq(spawn_error_format(&error, buf, 1), "");
}
END_TEST

START_TEST(every_step_has_a_name) {
	for (int s = SPAWN_NONE; s <= SPAWN_EXECUTE; s++)
		ck_assert_ptr_nonnull(spawn_step_to_string((enum spawn_step)s));
	ck_assert_ptr_null(spawn_step_to_string((enum spawn_step)(SPAWN_EXECUTE + 1)));
}
END_TEST

int main(void) {
	Suite *s = suite_create("spawn");
	TCase *t = tcase_create("spawn");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, exit_status_and_output);
	tcase_add_test(t, environment_and_directory_are_the_plans);
	tcase_add_test(t, own_session_and_group);
	tcase_add_test(t, only_three_descriptors);
	tcase_add_test(t, only_three_descriptors_without_close_range);
	tcase_add_test(t, descriptors_that_cannot_be_closed_are_an_error);
	tcase_add_test(t, signals_are_default_and_unblocked);
	tcase_add_test(t, missing_and_unusable_programs);
	tcase_add_test(t, not_a_program);
	tcase_add_test(t, missing_interpreters_are_named);
	tcase_add_test(t, missing_loader_is_told);
	tcase_add_test(t, missing_directory);
	tcase_add_test(t, probe_accepts_what_works);
	tcase_add_test(t, probe_asks_as_the_effective_user);
	tcase_add_test(t, no_process_is_a_resource_failure);
	tcase_add_test(t, arguments_too_long);
	tcase_add_test(t, dies_with_its_parent);
	tcase_add_test(t, words_are_cut_and_printable);
	tcase_add_test(t, every_step_has_a_name);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
