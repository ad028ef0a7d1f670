/* SPDX-License-Identifier: MIT */
/* What becomes of what a handler writes: handler.output, and stdout that is kept to be published. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "handler/run.h"

#define PATIENCE_USEC (20 * USEC_PER_SEC)

static sd_event *event;
static struct executor *executor;
static struct program *program;
static struct message *message;
static struct config_queue queue;
static char *command[4];
static struct run *run;
static struct strbuf lines; /* "1:text\n" */
static bool ended;
static struct run_result result;
static struct message *output; /* taken in the callback, if there is any */

static void on_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	strbuf_printf(&lines, "%d:", stream);
	strbuf_append(&lines, text, len);
	strbuf_append_str(&lines, cut ? "!\n" : "\n");
}

static void on_ended(struct run *r, const struct run_result *res, void *userdata) {
	result = *res;
	ended = true;
	if ((queue.reply.present || queue.forward.present) && !res->output_too_large && !res->output_error)
		ck_assert_int_eq(run_take_output(r, &output), 0);
}

static const struct run_callbacks callbacks = {.line = on_line, .ended = on_ended};

static void setup(void) {
	static char *no_environment[] = {NULL};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(executor_new(event, &executor), 0);
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(text_set(&message->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&message->routing_key, "key", 3), 0);
	message->delivery_tag = 1;
	command[0] = (char *)"/bin/sh";
	command[1] = (char *)"-c";
	queue = (struct config_queue){.name = (char *)"q",
				      .handler = {.command = command,
						  .environment = no_environment,
						  .directory = (char *)"/tmp",
						  .timeout_usec = USEC_INFINITY,
						  .kill_grace_usec = 5 * USEC_PER_SEC,
						  .max_output = 1048576}};
}

static void teardown(void) {
	run = run_free(run);
	output = message_free(output);
	message = message_free(message);
	strbuf_free(&lines);
	program = program_free(program);
	executor = executor_free(executor);
	event = sd_event_unref(event);
}

static void start_script(const char *script) {
	struct spawn_error error;

	command[2] = (char *)script;
	ck_assert_int_eq(program_new(executor, &queue, &program), 0);
	ck_assert_int_eq(run_start(program, message, 0, &callbacks, NULL, &error, &run), 0);
}

static void wait_for_end(void) {
	uint64_t deadline = clock_now_usec() + PATIENCE_USEC;

	while (!ended) {
		ck_assert_msg(clock_now_usec() < deadline, "the handler does not end");
		ck_assert_int_ge(sd_event_run(event, 100000), 0);
	}
	ck_assert_int_eq(result.end, RUN_EXITED);
	ck_assert_int_eq(result.status, 0);
}

static void run_script(const char *script) {
	start_script(script);
	wait_for_end();
}

/* Another file in the place of our stdout and stderr; returns where they were before. */
static void redirect(const char *path, int saved[2]) {
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 2; i++) {
		saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 100);
		ck_assert_int_eq(dup2(fd, i + 1), i + 1);
	}
	fd_close(fd);
}

static void restore(const int saved[2]) {
	for (int i = 0; i < 2; i++) {
		(void)dup2(saved[i], i + 1);
		fd_close(saved[i]);
	}
}

START_TEST(inherited_output_is_ours) {
	char path[64], text[64] = "";
	int saved[2], fd;

	(void)snprintf(path, sizeof(path), "/tmp/test_run_output.%d", (int)getpid());
	queue.handler.output = CONFIG_OUTPUT_INHERIT;
	redirect(path, saved);
	start_script("echo out; echo err >&2");
	wait_for_end();
	restore(saved);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, text, sizeof(text) - 1), 8);
	fd_close(fd);
	(void)unlink(path);
	ck_assert_str_eq(text, "out\nerr\n");
	ck_assert_uint_eq(lines.len, 0);
	ck_assert_uint_eq(result.output_bytes, 0);
}
END_TEST

START_TEST(discarded_output_leaves_the_reason) {
	queue.handler.output = CONFIG_OUTPUT_DISCARD;
	run_script("echo unheard; link=$(readlink /proc/$$/fd/1); echo \"$link\" >&2; echo why >&2");
	ck_assert_str_eq(strbuf_str(&lines), "2:/dev/null\n2:why\n");
	ck_assert_uint_eq(result.output_bytes, 14);
}
END_TEST

START_TEST(kept_output_is_no_line) {
	queue.reply.present = true;
	run_script("printf 'a\\nb\\0c'; echo err >&2");
	ck_assert_str_eq(strbuf_str(&lines), "2:err\n");
	ck_assert_uint_eq(output->body_size, 5);
	ck_assert_int_eq(memcmp(output->body, "a\nb\0c", 5), 0);
	ck_assert_uint_eq(result.output_bytes, 9);
	ck_assert_uint_eq(result.output_dropped, 0);
}
END_TEST

START_TEST(kept_output_with_nothing_logged) {
	queue.forward.present = true;
	queue.handler.output = CONFIG_OUTPUT_DISCARD;
	run_script("echo out; echo err >&2");
	ck_assert_str_eq(strbuf_str(&lines), "2:err\n");
	ck_assert_uint_eq(output->body_size, 4);
}
END_TEST

START_TEST(no_output_is_an_empty_body) {
	queue.reply.present = true;
	run_script("exec >&-; true");
	ck_assert_uint_eq(output->body_size, 0);
	ck_assert_ptr_null(output->body);
}
END_TEST

/* All that the handler wrote is there, also what nobody has read when it ends. */
START_TEST(kept_output_is_complete) {
	static const uint64_t sizes[] = {1, 4096, 65536, 65537, 70000, 500000, 1048575, 1048576};
	siginfo_t info;
	char script[256];

	queue.reply.present = true;
	(void)snprintf(script, sizeof(script),
		       "python3 -c 'import fcntl,os; fcntl.fcntl(1, 1031, 1048576); b = b\"0123456\" * 150000; "
		       "os.write(1, b[:%llu])'",
		       (unsigned long long)sizes[_i]);
	start_script(script);
	/* The loop sees both at once: that there is output, and that the handler has ended. */
	while (waitid(P_PID, (id_t)run_pid(run), &info, WEXITED | WNOWAIT) < 0)
		ck_assert_int_eq(errno, EINTR);
	wait_for_end();
	ck_assert(!result.output_too_large);
	ck_assert_uint_eq(output->body_size, sizes[_i]);
	ck_assert_int_eq(output->body_fd >= 0, sizes[_i] > BODY_HEAP_MAX);
}
END_TEST

START_TEST(too_much_is_read_and_thrown_away) {
	queue.reply.present = true;
	queue.handler.max_output = 1000;
	run_script("head -c 1000 /dev/zero");
	ck_assert(!result.output_too_large);
	ck_assert_uint_eq(output->body_size, 1000);
	output = message_free(output);

	run = run_free(run);
	program = program_free(program);
	ended = false;
	run_script("head -c 5000000 /dev/zero; echo to the end >&2");
	ck_assert(result.output_too_large);
	ck_assert_ptr_null(output);
	ck_assert_uint_eq(result.output_bytes, 5000000 + 11);
	ck_assert_str_eq(strbuf_str(&lines), "2:to the end\n");
}
END_TEST

/* A grandchild that goes on writing adds at most what it wrote before the end, and delays nothing. */
START_TEST(a_flooding_grandchild_delays_no_reply) {
	uint64_t began = clock_now_usec();

	queue.reply.present = true;
	queue.handler.max_output = 128 * 1048576;
	queue.handler.descendants = CONFIG_DESCENDANTS_LEAVE;
	run_script("echo mine; (sleep 0.2; exec yes) & exit 0");
	ck_assert_uint_lt(clock_now_usec() - began, 10 * USEC_PER_SEC);
	ck_assert_uint_ge(output->body_size, 5);
	ck_assert_uint_lt(output->body_size, 5 + 2 * 1048576);
	ck_assert_int_eq(memcmp(output->body, "mine\n", 5), 0);
}
END_TEST

START_TEST(what_cannot_be_kept_is_an_error) {
	struct rlimit before, limit;

	queue.reply.present = true;
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){100000, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	run_script("head -c 300000 /dev/zero");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(result.output_error, EFBIG);
	ck_assert_ptr_null(output);
}
END_TEST

static void add_cases(Suite *s) {
	const TTest *const tests[] = {inherited_output_is_ours, discarded_output_leaves_the_reason, kept_output_is_no_line,
				      kept_output_with_nothing_logged, no_output_is_an_empty_body, too_much_is_read_and_thrown_away,
				      a_flooding_grandchild_delays_no_reply, what_cannot_be_kept_is_an_error};
	TCase *tc = tcase_create("output");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(tc, kept_output_is_complete, 0, 8);
	suite_add_tcase(s, tc);
}

CHECK_MAIN("run_output", add_cases)
