/* SPDX-License-Identifier: MIT */
/* What handlers leave behind, where it is not plain whose it is, or what can be done about it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check_main.h"
#include "handler/run.h"
#include "scratch.h"

#define PATIENCE_USEC (30 * USEC_PER_SEC)
/* Writes its pid to this file, and stays. */
#define STAYS(name) "sh -c 'echo $$ >" name ".new; mv " name ".new " name "; exec sleep 300 >/dev/null 2>&1'"
/* Ends once there is this file. */
#define UNTIL(name) "while ! [ -e " name " ]; do sleep 0.05; done"

struct witness {
	struct run *run;
	bool ended;
	struct run_result result;
};

static sd_event *event;
static struct executor *executor;
static struct program *programs[4];
static size_t n_programs;
static struct message *message;
static struct config_queue queue;
static char *command[4];
static struct spawn_error error;

static void on_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct witness *w = userdata;

	ck_assert_ptr_eq(r, w->run);
	w->ended = true;
	w->result = *result;
	w->run = run_free(r);
}

static const struct run_callbacks callbacks = {.ended = on_ended};

static void setup(void) {
	static char *no_environment[] = {NULL};
	sigset_t set;

	scratch_setup();
	ck_assert_int_eq(chmod(scratch_path, 0777), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(text_set(&message->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&message->routing_key, "key", 3), 0);
	command[0] = (char *)"/bin/sh";
	command[1] = (char *)"-c";
	queue = (struct config_queue){.name = (char *)"q",
				      .handler = {.command = command,
						  .path = (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						  .environment = no_environment,
						  .directory = scratch_path,
						  .timeout_usec = USEC_INFINITY,
						  .kill_grace_usec = 5 * USEC_PER_SEC}};
}

static void teardown(void) {
	message = message_free(message);
	while (n_programs > 0)
		program_free(programs[--n_programs]);
	executor = executor_free(executor);
	event = sd_event_unref(event);
	scratch_teardown();
}

static void start(struct witness *w, const char *script) {
	ck_assert_uint_lt(n_programs, ARRAY_SIZE(programs));
	command[2] = (char *)script;
	*w = (struct witness){0};
	ck_assert_int_eq(program_new(executor, &queue, &programs[n_programs]), 0);
	ck_assert_int_eq(run_start(programs[n_programs++], message, 0, &callbacks, w, &error, &w->run), 0);
}

static void turn(void) {
	ck_assert_int_ge(sd_event_run(event, 20000), 0);
}

#define WAIT_FOR(condition)                                                                                            \
	for (uint64_t deadline_ = clock_now_usec() + PATIENCE_USEC; !(condition); turn())                              \
	ck_assert_msg(clock_now_usec() < deadline_, "not in time: " #condition)

/* What a process has written about itself. */
static pid_t wait_for_pid(const char *name) {
	int pid = 0;
	FILE *f;

	WAIT_FOR(access(name, F_OK) == 0);
	f = fopen(name, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_gt(pid, 1);
	return pid;
}

static bool is_alive(pid_t pid) {
	char path[64], state = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
	(void)fclose(f);
	return state != 'Z' && state != 'X';
}

/* It has ended, and the loop does not know yet. */
static void await_unseen(pid_t pid) {
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void put_an_end_to(pid_t pid) {
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	WAIT_FOR(!is_alive(pid));
}

/* One of them was stopped while nothing could be looked for, so that what had left its group is known by its session only. */
START_TEST(who_is_stopped_leaves_nothing_whatever_else_ends) {
	struct witness leaving, stopped;
	struct rlimit before;
	pid_t left, killed;

	ck_assert_int_eq(executor_new(event, &executor), 0);
	queue.handler.descendants = CONFIG_DESCENDANTS_LEAVE;
	start(&leaving, STAYS("left") " & " UNTIL("go"));
	start(&stopped, "perl -e 'setpgrp; exec @ARGV' " STAYS("killed") " & sleep 300");
	left = wait_for_pid("left");
	killed = wait_for_pid("killed");
	ck_assert_int_eq(getsid(killed), run_pid(stopped.run));
	ck_assert_int_ne(getpgid(killed), run_pid(stopped.run));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, before.rlim_max}), 0);
	run_kill(stopped.run);
	turn();
	await_unseen(run_pid(stopped.run));
	ck_assert_int_eq(mkdir("go", 0700), 0);
	await_unseen(run_pid(leaving.run));
	WAIT_FOR(stopped.ended && leaving.ended);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(stopped.result.end, RUN_STOPPED);
	ck_assert_int_eq(leaving.result.end, RUN_EXITED);
	WAIT_FOR(!is_alive(killed));
	ck_assert(is_alive(left));
	put_an_end_to(left);
}
END_TEST

/* A child that was there before the executor has a child of its own, which is spared as it is. */
START_TEST(what_ends_with_an_inherited_child_hides_nobody) {
	struct witness w;
	pid_t inherited, spared, escaped;

	/* In a session of its own, as it is where a guard has started the daemon. */
	inherited = fork();
	if (inherited == 0) {
		(void)setsid();
		(void)execl("/bin/sh", "sh", "-c", STAYS("spared") " & exec sleep 300", NULL);
		_exit(1);
	}
	ck_assert_int_gt(inherited, 0);
	spared = wait_for_pid("spared");
	ck_assert_int_eq(executor_new(event, &executor), 0);
	start(&w, "setsid " STAYS("escaped") " & " UNTIL("go"));
	escaped = wait_for_pid("escaped");
	ck_assert_int_eq(kill(inherited, SIGKILL), 0);
	ck_assert_int_eq(mkdir("go", 0700), 0);
	await_unseen(inherited);
	await_unseen(run_pid(w.run));
	WAIT_FOR(w.ended);
	WAIT_FOR(!is_alive(escaped));
	ck_assert(is_alive(spared));
	/* It is known from now on. */
	start(&w, "exit 0");
	WAIT_FOR(w.ended);
	ck_assert(is_alive(spared));
	put_an_end_to(spared);
}
END_TEST

/* Counts the lines of the log about this process. */
static unsigned count_warnings(const char *path, pid_t pid) {
	char line[1024], wanted[128];
	FILE *f = fopen(path, "re");
	unsigned n = 0;

	ck_assert_ptr_nonnull(f);
	(void)snprintf(wanted, sizeof(wanted), "cannot be killed, and is left alone, pid=%d: ", (int)pid);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, wanted) != NULL;
	ck_assert_int_eq(fclose(f), 0);
	return n;
}

/* The daemon may start handlers as somebody whom it may not kill: CAP_SETUID without CAP_KILL. */
START_TEST(who_cannot_be_killed_is_left_alone) {
	struct witness w;
	pid_t immune;
	int log, before;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(executor_new(event, &executor), 0);
	queue.handler.user = (char *)"nobody";
	start(&w, "setsid " STAYS("immune") " & " UNTIL("go"));
	immune = wait_for_pid("immune");
	log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	ck_assert_int_ge(log, 0);
	ck_assert_int_eq(dup2(log, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(mkdir("go", 0700), 0);
	ck_assert_int_eq(seteuid(1), 0);
	WAIT_FOR(w.ended);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert(is_alive(immune));
	/* As root it could be killed now; it was not looked at again. */
	queue.handler.user = NULL;
	for (int i = 0; i < 3; i++) {
		start(&w, "exit 0");
		WAIT_FOR(w.ended);
	}
	ck_assert_int_eq(dup2(before, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(close(before), 0);
	ck_assert_int_eq(close(log), 0);
	ck_assert(is_alive(immune));
	ck_assert_uint_eq(count_warnings("log", immune), 1);
	put_an_end_to(immune);
}
END_TEST

static void add_cases(Suite *suite) {
	const TTest *const tests[] = {who_is_stopped_leaves_nothing_whatever_else_ends, what_ends_with_an_inherited_child_hides_nobody,
				      who_cannot_be_killed_is_left_alone};
	TCase *tc = tcase_create("strays");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}

CHECK_MAIN("strays", add_cases)
