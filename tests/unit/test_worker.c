/* SPDX-License-Identifier: MIT */
/* Workers, their pool, and the tasks that hide them: with real processes, which are lines of shell. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "handler/task.h"

#define PATIENCE_USEC (30 * USEC_PER_SEC)
/* Answers messages without a body. */
#define ACK "while read -r line; do echo ack; done"

/* What became of one message. */
struct witness {
	struct task *task;
	struct strbuf lines; /* "text\n" */
	bool ended;
	struct run_result result;
	char reason[WORKER_REASON_MAX + 1];
	pid_t pid;
};

static sd_event *event;
static struct executor *executor;
static struct program *program;
static struct pool *pool;
static struct message *message;
static struct config_queue queue;
static char *command[4];
static struct spawn_error error;
static struct witness witnesses[8];
static struct strbuf idle_lines;
static unsigned changes;
static int descriptors;

static void on_line(struct task *t, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct witness *w = userdata;

	ck_assert_int_eq(stream, 2);
	strbuf_append(&w->lines, text, len);
	strbuf_append_char(&w->lines, '\n');
}

static void on_ended(struct task *t, const struct run_result *result, void *userdata) {
	struct witness *w = userdata;

	ck_assert(!w->ended);
	ck_assert_ptr_eq(t, w->task);
	w->ended = true;
	w->result = *result;
	w->pid = task_pid(t);
	ck_assert_uint_le(result->answer.reason_len, WORKER_REASON_MAX);
	if (result->answer.reason)
		memcpy(w->reason, result->answer.reason, result->answer.reason_len);
	w->task = task_free(t);
}

static const struct task_callbacks callbacks = {.line = on_line, .ended = on_ended};

static void on_idle_line(pid_t pid, const char *text, size_t len, bool cut, void *userdata) {
	strbuf_append(&idle_lines, text, len);
	strbuf_append_char(&idle_lines, '\n');
}

static void on_changed(void *userdata) {
	changes++;
}

static const struct pool_callbacks pool_callbacks = {.line = on_idle_line, .changed = on_changed};

static int count_descriptors(void) {
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void setup(void) {
	static char *no_environment[] = {NULL};
	sigset_t set;

	ck_assert_ptr_ne(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(executor_new(event, &executor), 0);
	ck_assert_int_eq(message_new(&message), 0);
	ck_assert_int_eq(text_set(&message->exchange, "", 0), 0);
	ck_assert_int_eq(text_set(&message->routing_key, "key", 3), 0);
	command[0] = (char *)"/bin/sh";
	command[1] = (char *)"-c";
	queue = (struct config_queue){.name = (char *)"q",
				      .concurrency = 1,
				      .handler = {.mode = CONFIG_MODE_WORKER,
						  .command = command,
						  .path = (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						  .environment = no_environment,
						  .directory = (char *)"/",
						  .timeout_usec = USEC_INFINITY,
						  .kill_grace_usec = 5 * USEC_PER_SEC}};
	descriptors = count_descriptors();
}

static void teardown(void) {
	for (size_t i = 0; i < ARRAY_SIZE(witnesses); i++) {
		witnesses[i].task = task_free(witnesses[i].task);
		strbuf_free(&witnesses[i].lines);
	}
	pool = pool_free(pool);
	message = message_free(message);
	ck_assert_int_eq(count_descriptors(), descriptors);
	program = program_free(program);
	strbuf_free(&idle_lines);
	executor = executor_free(executor);
	event = sd_event_unref(event);
}

static void use(const char *script) {
	command[2] = (char *)script;
	ck_assert_int_eq(program_new(executor, &queue, &program), 0);
	ck_assert_int_eq(pool_new(event, program, &pool_callbacks, NULL, &pool), 0);
}

static void turn(void) {
	ck_assert_int_ge(sd_event_run(event, 100000), 0);
}

#define WAIT_FOR(condition)                                                                                            \
	for (uint64_t deadline_ = clock_now_usec() + PATIENCE_USEC; !(condition); turn())                              \
	ck_assert_msg(clock_now_usec() < deadline_, "not in time: " #condition)

static int try_start(struct witness *w) {
	ck_assert_ptr_null(w->task);
	strbuf_free(&w->lines);
	*w = (struct witness){0};
	return task_start(pool, message, 1, &callbacks, w, &error, &w->task);
}

static struct witness *handle(void) {
	struct witness *w = witnesses;

	ck_assert_int_eq(try_start(w), 0);
	WAIT_FOR(w->ended);
	return w;
}

static void set_body(size_t size) {
	char *body = calloc(1, size + 1);

	ck_assert_ptr_nonnull(body);
	ck_assert_int_eq(message_reserve_body(message, size), 0);
	ck_assert_int_eq(message_append_body(message, body, size), 0);
	ck_assert_int_eq(message_finish_body(message), 0);
	free(body);
}

static bool is_alive(pid_t pid) {
	return kill(pid, 0) == 0;
}

/* --- answers ------------------------------------------------------------------------------------------------------- */

START_TEST(one_worker_answers_them_all) {
	const struct witness *w;
	pid_t pid = 0;

	use("for a in ack requeue retry 'retry 2.5' reject 'reject not me'; do read -r line; echo \"$a\"; done; read -r line");
	for (int i = 0; i < 6; i++) {
		w = handle();
		ck_assert_int_eq(w->result.end, RUN_ANSWERED);
		ck_assert(!w->result.unanswered);
		ck_assert_ptr_null(w->result.problem);
		ck_assert_int_eq(w->result.answer.outcome, i == 0 ? OUTCOME_ACK : i == 1 ? OUTCOME_REQUEUE : i < 4 ? OUTCOME_RETRY : OUTCOME_REJECT);
		ck_assert_int_eq(w->result.answer.has_delay, i == 3);
		ck_assert_uint_eq(w->result.answer.delay_usec, i == 3 ? 2500000 : 0);
		ck_assert_str_eq(w->reason, i == 5 ? "not me" : "");
		ck_assert(i == 0 || w->pid == pid);
		pid = w->pid;
	}
	ck_assert(!pool_is_empty(pool));
	ck_assert_uint_eq(pool_leaving(pool), 0);
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

START_TEST(an_answer_in_pieces) {
	use("while read -r line; do printf re; sleep 0.1; printf 'ject so\\r'; sleep 0.1; echo; done");
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_REJECT);
	ck_assert_str_eq(witnesses[0].reason, "so");
	ck_assert_uint_ge(witnesses[0].result.duration_usec, 190000);
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_REJECT);
}
END_TEST

START_TEST(the_body_follows_the_line) {
	set_body(300000);
	use("while read -r line; do n=$(head -c 300000 | wc -c); echo \"reject $n ${line##*,}\"; done");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(handle()->result.end, RUN_ANSWERED);
		ck_assert_str_eq(witnesses[0].reason, "300000 \"body_size\":300000}");
	}
}
END_TEST

START_TEST(an_early_answer_waits) {
	set_body(300000);
	use("read -r line; echo ack; sleep 0.3; head -c 300000 >/dev/null; read -r line; echo reject; head -c 300000 >/dev/null; read -r line");
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_ACK);
	ck_assert_uint_ge(witnesses[0].result.duration_usec, 290000);
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_REJECT);
}
END_TEST

START_TEST(what_it_says_before_it_leaves_counts) {
	use("read -r line; echo complaint >&2; echo ack; exit 7");
	ck_assert_int_eq(handle()->result.end, RUN_ANSWERED);
	ck_assert_int_eq(witnesses[0].result.answer.outcome, OUTCOME_ACK);
	ck_assert_str_eq(strbuf_str(&witnesses[0].lines), "complaint\n");
	WAIT_FOR(pool_is_empty(pool));
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

START_TEST(stderr_is_that_of_the_message_in_hand) {
	use("echo hello >&2; sleep 0.3; while read -r line; do n=$((n + 1)); echo m$n >&2; echo ack; done; echo bye >&2");
	for (int i = 1; i <= 20; i++) {
		char line[16];

		handle();
		(void)snprintf(line, sizeof(line), "m%d\n", i);
		ck_assert_ptr_nonnull(strstr(strbuf_str(&witnesses[0].lines), line));
		ck_assert_int_eq(strncmp(strbuf_str(&witnesses[0].lines), i == 1 ? "hello\n" : line, strlen(line)), 0);
	}
	pool_close(pool);
	WAIT_FOR(pool_is_empty(pool));
	ck_assert_str_eq(strbuf_str(&idle_lines), "bye\n");
}
END_TEST

/* Both are found at once, and stdout first. */
START_TEST(complaints_are_read_before_the_answer_counts) {
	use("read -r line; printf a; sleep 0.1; echo complaint >&2; echo ck; read -r line");
	ck_assert_int_eq(try_start(witnesses), 0);
	ck_assert_int_eq(usleep(500000), 0);
	WAIT_FOR(witnesses[0].ended);
	ck_assert_int_eq(witnesses[0].result.answer.outcome, OUTCOME_ACK);
	ck_assert_str_eq(strbuf_str(&witnesses[0].lines), "complaint\n");
	ck_assert_uint_eq(idle_lines.len, 0);
}
END_TEST

START_TEST(each_message_has_limits_of_its_own) {
	use("while read -r line; do head -c 70000 /dev/zero | tr '\\0' 'x' | fold -w 1000 >&2; echo >&2; echo ack; done");
	for (int i = 0; i < 3; i++) {
		handle();
		ck_assert_uint_ge(witnesses[0].lines.len, 60000);
		ck_assert_uint_le(witnesses[0].lines.len, RUN_OUTPUT_MAX + 1000);
	}
}
END_TEST

/* --- what is wrong -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *script;
	enum run_end end;
	int status;
	const char *problem;
} failures[] = {
	{"read -r line; exit 0", RUN_EXITED, 0, "the worker ended without an answer"},
	{"read -r line; exit 75", RUN_EXITED, 75, "the worker ended without an answer"},
	{"read -r line; printf ack; exit 0", RUN_EXITED, 0, "the worker ended without an answer"},
	{"read -r line; kill -9 $$", RUN_SIGNALED, SIGKILL, "the worker ended without an answer"},
	{"read -r line; kill -15 $$", RUN_SIGNALED, SIGTERM, "the worker ended without an answer"},
	{"read -r line; echo done; sleep 60", RUN_MISBEHAVED, SIGKILL, "the worker's answer is none of ack, requeue, retry and reject"},
	{"read -r line; printf 'ack\\nack\\n'; sleep 60", RUN_MISBEHAVED, SIGKILL, "the worker wrote more than one line"},
	{"read -r line; head -c 4097 /dev/zero; sleep 60", RUN_MISBEHAVED, SIGKILL, "the worker's answer is longer than 4096 bytes"},
	{"trap '' TERM; read -r line; exec >&-; sleep 60", RUN_MISBEHAVED, SIGKILL, "the worker closed its standard output"},
};

START_TEST(a_message_fails) {
	const struct run_result *r = &witnesses[0].result;

	queue.handler.kill_grace_usec = USEC_PER_SEC / 5;
	use(failures[_i].script);
	handle();
	ck_assert_int_eq(r->end, failures[_i].end);
	ck_assert_int_eq(r->signaled, failures[_i].end != RUN_EXITED);
	ck_assert_int_eq(r->status, failures[_i].status);
	ck_assert(r->unanswered);
	ck_assert_str_eq(r->problem, failures[_i].problem);
	WAIT_FOR(changes > 0);
	ck_assert(pool_is_empty(pool));
	ck_assert(!is_alive(witnesses[0].pid));
	/* It had looked at the message: the next one does not wait. */
	ck_assert_ptr_null(pool_trouble(pool));
	ck_assert(pool_is_ready(pool));
}
END_TEST

START_TEST(a_body_that_is_not_read) {
	const struct run_result *r = &witnesses[0].result;

	set_body(300000);
	queue.handler.kill_grace_usec = USEC_PER_SEC / 5;
	use("read -r line; exec <&-; trap '' TERM; sleep 60 & wait; sleep 60");
	handle();
	ck_assert_int_eq(r->end, RUN_MISBEHAVED);
	ck_assert_str_eq(r->problem, "the worker closed its standard input before it had read the message");
}
END_TEST

/* The body cannot be read: that is neither the worker's fault nor the message's, and says nothing of the program. */
START_TEST(a_failure_of_our_own) {
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct run_result *r = &witnesses[0].result;

	set_body(300000);
	ck_assert_int_ge(null, 0);
	ck_assert_int_eq(dup3(null, message->body_fd, O_CLOEXEC), message->body_fd);
	ck_assert_int_eq(close(null), 0);
	use("while read -r line; do sleep 60; done");
	handle();
	ck_assert_int_eq(r->end, RUN_STOPPED);
	ck_assert_int_eq(r->status, SIGKILL);
	ck_assert_str_eq(r->problem, "the message could not be written to the worker");
	WAIT_FOR(changes > 0);
	ck_assert(pool_is_empty(pool));
	ck_assert_ptr_null(pool_trouble(pool));
	ck_assert(pool_is_ready(pool));
}
END_TEST

START_TEST(the_time_is_that_of_each_message) {
	queue.handler.timeout_usec = USEC_PER_SEC;
	use("while read -r line; do n=$((n + 1)); sleep 0.5; [ $n = 4 ] && sleep 60; echo ack; done");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(handle()->result.end, RUN_ANSWERED);
	handle();
	ck_assert_int_eq(witnesses[0].result.end, RUN_TIMEOUT);
	ck_assert_int_eq(witnesses[0].result.status, SIGTERM);
	ck_assert_uint_ge(witnesses[0].result.duration_usec, USEC_PER_SEC);
	ck_assert(witnesses[0].result.unanswered);
}
END_TEST

START_TEST(an_answer_after_term_is_none) {
	queue.handler.timeout_usec = USEC_PER_SEC / 5;
	use("trap 'echo ack; exit 0' TERM; read -r line; sleep 60 & wait");
	handle();
	ck_assert_int_eq(witnesses[0].result.end, RUN_TIMEOUT);
	ck_assert_int_eq(witnesses[0].result.status, 0);
}
END_TEST

START_TEST(a_worker_that_is_stopped) {
	use("while read -r line; do [ \"$slow\" ] && sleep 60; slow=1; echo ack; done");
	handle();
	ck_assert_int_eq(try_start(witnesses), 0);
	task_stop(witnesses[0].task);
	WAIT_FOR(witnesses[0].ended);
	ck_assert_int_eq(witnesses[0].result.end, RUN_STOPPED);
	ck_assert_int_eq(try_start(witnesses), 0);
	task_kill(witnesses[0].task);
	WAIT_FOR(witnesses[0].ended);
	ck_assert_int_eq(witnesses[0].result.end, RUN_STOPPED);
	ck_assert_int_eq(witnesses[0].result.status, SIGKILL);
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

/* It has closed its stdout, and has some time left to end by itself: that we stop it says more than that. */
START_TEST(a_worker_that_is_stopped_while_it_leaves) {
	for (int i = 0; i < 2; i++) {
		use("read -r line; exec >&-; while :; do sleep 60; done");
		ck_assert_int_eq(try_start(witnesses), 0);
		for (uint64_t begun = clock_now_usec(); clock_now_usec() < begun + USEC_PER_SEC; turn())
			ck_assert(!witnesses[0].ended);
		if (i == 0)
			task_stop(witnesses[0].task);
		else
			task_kill(witnesses[0].task);
		WAIT_FOR(witnesses[0].ended);
		ck_assert_int_eq(witnesses[0].result.end, RUN_STOPPED);
		ck_assert_int_eq(witnesses[0].result.status, i == 0 ? SIGTERM : SIGKILL);
		WAIT_FOR(pool_is_empty(pool));
		ck_assert_ptr_null(pool_trouble(pool));
		pool = pool_free(pool);
		program = program_free(program);
	}
}
END_TEST

START_TEST(a_task_that_is_freed) {
	pid_t pid;

	use("while read -r line; do sleep 60; done");
	ck_assert_int_eq(try_start(witnesses), 0);
	pid = task_pid(witnesses[0].task);
	ck_assert_int_gt(pid, 0);
	witnesses[0].task = task_free(witnesses[0].task);
	ck_assert(pool_is_empty(pool));
	WAIT_FOR(!is_alive(pid));
}
END_TEST

/* --- the pool --------------------------------------------------------------------------------------------------------- */

START_TEST(as_many_as_are_needed) {
	pid_t pids[3], last;

	queue.concurrency = 3;
	use("while read -r line; do sleep 0.4; echo ack; done");
	for (int i = 0; i < 3; i++) {
		ck_assert(pool_is_ready(pool));
		ck_assert_int_eq(try_start(&witnesses[i]), 0);
		pids[i] = task_pid(witnesses[i].task);
	}
	ck_assert(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
	ck_assert(!pool_is_ready(pool));
	ck_assert_int_eq(try_start(&witnesses[3]), TASK_NOT_NOW);
	WAIT_FOR(witnesses[0].ended && witnesses[1].ended && witnesses[2].ended);
	/* One at a time: it is always the same one. */
	last = handle()->pid;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(handle()->pid, last);
}
END_TEST

START_TEST(workers_are_replaced) {
	pid_t first, second;

	queue.handler.max_messages = 2;
	use(ACK "; echo left >&2");
	first = handle()->pid;
	ck_assert_int_eq(handle()->pid, first);
	/* At most one process: the next one waits for the end of the first. */
	ck_assert(!pool_is_ready(pool));
	ck_assert_uint_eq(pool_leaving(pool), 1);
	ck_assert_int_eq(try_start(witnesses), TASK_NOT_NOW);
	WAIT_FOR(pool_is_ready(pool));
	ck_assert_str_eq(strbuf_str(&idle_lines), "left\n");
	second = handle()->pid;
	ck_assert_int_ne(first, second);
	ck_assert(!is_alive(first));
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

START_TEST(one_that_does_not_leave_is_stopped) {
	uint64_t begun;

	queue.handler.max_messages = 1;
	queue.handler.kill_grace_usec = USEC_PER_SEC / 4;
	use("trap '' TERM; read -r line; echo ack; while :; do sleep 60; done");
	handle();
	begun = clock_now_usec();
	WAIT_FOR(pool_is_empty(pool));
	ck_assert_uint_ge(clock_now_usec() - begun, USEC_PER_SEC / 2);
}
END_TEST

/* Given to a worker that dies before it looks: nobody has seen the message. */
START_TEST(an_untouched_message_was_not_tried) {
	use("sleep 0.2; exit 3");
	handle();
	ck_assert_int_eq(witnesses[0].result.end, RUN_UNTRIED);
	ck_assert_int_eq(witnesses[0].result.status, 3);
	WAIT_FOR(changes == 1);
	ck_assert_ptr_nonnull(strstr(pool_trouble(pool), "exit status 3"));
}
END_TEST

/* Also where each worker gets one message only, so that none of them ever answers before it gets a bad one. */
START_TEST(bad_messages_do_not_delay_good_ones) {
	char path[] = "/tmp/test_worker.XXXXXX", script[256];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	queue.handler.max_messages = 1;
	(void)snprintf(script, sizeof(script), "read -r line; [ -e %s ] && exit 3; echo ack", path);
	use(script);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(handle()->result.status, 3);
		WAIT_FOR(pool_is_empty(pool));
		ck_assert_msg(pool_is_ready(pool), "the next message has to wait after %d bad ones", i + 1);
	}
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(handle()->result.end, RUN_ANSWERED);
}
END_TEST

START_TEST(workers_that_die_at_once_are_started_rarely) {
	uint64_t begun = clock_now_usec();
	char path[] = "/tmp/test_worker.XXXXXX", script[256];
	int fd = mkstemp(path);
	unsigned starts = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	(void)snprintf(script, sizeof(script), "[ -e %s ] && exec <&- && exit 3; " ACK, path);
	use(script);
	while (clock_now_usec() < begun + 2 * USEC_PER_SEC) {
		if (pool_is_ready(pool)) {
			int r = try_start(witnesses);

			/* It may be gone before it was given anything, or after. */
			ck_assert(r == 0 || r == TASK_NOT_NOW);
			starts++;
			WAIT_FOR(pool_is_empty(pool));
			ck_assert(r == TASK_NOT_NOW || witnesses[0].result.end == RUN_UNTRIED);
			ck_assert(!pool_is_ready(pool));
			ck_assert_int_eq(try_start(witnesses), TASK_NOT_NOW);
		}
		turn();
	}
	ck_assert_uint_ge(starts, 3);
	ck_assert_uint_le(starts, 6);
	ck_assert_ptr_nonnull(strstr(pool_trouble(pool), "exit status 3"));
	ck_assert_int_eq(unlink(path), 0);
	WAIT_FOR(pool_is_ready(pool));
	handle();
	ck_assert_int_eq(witnesses[0].result.end, RUN_ANSWERED);
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

START_TEST(an_idle_one_that_dies_is_replaced) {
	pid_t pid;

	use(ACK);
	for (int i = 0; i < 10; i++) {
		pid = handle()->pid;
		ck_assert_int_eq(witnesses[0].result.end, RUN_ANSWERED);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		/* Also when the loop has not seen it yet. */
		if (i % 2)
			WAIT_FOR(pool_is_empty(pool));
		else
			while (try_start(witnesses) == TASK_NOT_NOW)
				turn();
		if (i % 2)
			continue;
		WAIT_FOR(witnesses[0].ended);
		/* The kernel may have given the message to it while it died. */
		if (witnesses[0].result.end == RUN_UNTRIED || witnesses[0].result.end == RUN_SIGNALED)
			continue;
		ck_assert_int_eq(witnesses[0].result.end, RUN_ANSWERED);
		ck_assert_int_ne(witnesses[0].pid, pid);
	}
	ck_assert_ptr_null(pool_trouble(pool));
}
END_TEST

START_TEST(talk_out_of_turn_ends_the_worker_alone) {
	use("read -r line; echo ack; sleep 0.2; echo ack; sleep 60");
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_ACK);
	WAIT_FOR(pool_is_empty(pool));
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_ACK);
}
END_TEST

/* It is there before the message is, though nobody has looked yet. */
START_TEST(what_was_said_before_is_no_answer) {
	pid_t pid;

	use("while read -r line; do [ \"$slow\" ] || { echo ack; sleep 0.1; }; slow=1; echo ack; done");
	pid = handle()->pid;
	ck_assert_int_eq(witnesses[0].result.answer.outcome, OUTCOME_ACK);
	ck_assert_int_eq(usleep(500000), 0);
	ck_assert_int_eq(try_start(witnesses), TASK_NOT_NOW);
	WAIT_FOR(pool_is_ready(pool));
	ck_assert_int_eq(handle()->result.answer.outcome, OUTCOME_ACK);
	ck_assert_int_ne(witnesses[0].pid, pid);
}
END_TEST

START_TEST(a_pool_is_closed) {
	queue.concurrency = 2;
	use("while read -r line; do [ \"$slow\" ] && sleep 0.5; slow=1; echo ack; done");
	ck_assert_int_eq(try_start(&witnesses[0]), 0);
	ck_assert_int_eq(try_start(&witnesses[1]), 0);
	WAIT_FOR(witnesses[0].ended && witnesses[1].ended);
	ck_assert_int_eq(try_start(&witnesses[0]), 0);
	pool_close(pool);
	ck_assert(!pool_is_ready(pool));
	ck_assert_uint_eq(pool_leaving(pool), 1);
	ck_assert_int_eq(try_start(&witnesses[1]), TASK_NOT_NOW);
	WAIT_FOR(witnesses[0].ended);
	ck_assert_int_eq(witnesses[0].result.end, RUN_ANSWERED);
	WAIT_FOR(pool_is_empty(pool));
}
END_TEST

START_TEST(a_pool_is_stopped) {
	queue.concurrency = 2;
	use("trap 'exit 0' TERM; read -r line; echo ack; sleep 60 & wait");
	ck_assert_int_eq(try_start(&witnesses[0]), 0);
	ck_assert_int_eq(try_start(&witnesses[1]), 0);
	WAIT_FOR(witnesses[0].ended && witnesses[1].ended);
	pool_close(pool);
	pool_stop(pool, false);
	WAIT_FOR(pool_is_empty(pool));
}
END_TEST

START_TEST(a_program_that_cannot_be_executed) {
	command[0] = (char *)"/nonexistent/worker";
	use(ACK);
	ck_assert_int_eq(try_start(witnesses), -ENOENT);
	ck_assert_int_eq(error.step, SPAWN_EXECUTE);
	ck_assert(pool_is_empty(pool));
	ck_assert(pool_is_ready(pool));
}
END_TEST

START_TEST(a_process_for_each_message_needs_no_worker) {
	queue.handler.mode = CONFIG_MODE_EXEC;
	use("echo complaint >&2; exit 4");
	ck_assert(pool_is_ready(pool));
	ck_assert_int_eq(handle()->result.end, RUN_EXITED);
	ck_assert_int_eq(witnesses[0].result.status, 4);
	ck_assert(!witnesses[0].result.unanswered);
	ck_assert_str_eq(strbuf_str(&witnesses[0].lines), "complaint\n");
	ck_assert(pool_is_empty(pool));
}
END_TEST

#define ADD_WORKER_CASE(suite, name, ...)                                                                             \
	do {                                                                                                           \
		const TTest *const tests_[] = {__VA_ARGS__};                                                           \
		TCase *tc_ = tcase_create(name);                                                                       \
                                                                                                                       \
		tcase_add_checked_fixture(tc_, setup, teardown);                                                       \
		tcase_set_timeout(tc_, 120);                                                                           \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(tests_); i_++)                                                     \
			tcase_add_test(tc_, tests_[i_]);                                                               \
		suite_add_tcase(suite, tc_);                                                                           \
	} while (0)

static void add_cases(Suite *suite) {
	TCase *tc = tcase_create("failures");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_message_fails, 0, ARRAY_SIZE(failures));
	suite_add_tcase(suite, tc);
	ADD_WORKER_CASE(suite, "answers", one_worker_answers_them_all, an_answer_in_pieces, the_body_follows_the_line, an_early_answer_waits,
			 what_it_says_before_it_leaves_counts, stderr_is_that_of_the_message_in_hand,
			 complaints_are_read_before_the_answer_counts, each_message_has_limits_of_its_own);
	ADD_WORKER_CASE(suite, "wrong", a_body_that_is_not_read, a_failure_of_our_own, the_time_is_that_of_each_message, an_answer_after_term_is_none,
			 a_worker_that_is_stopped, a_worker_that_is_stopped_while_it_leaves, a_task_that_is_freed);
	ADD_WORKER_CASE(suite, "pool", as_many_as_are_needed, workers_are_replaced, one_that_does_not_leave_is_stopped,
			 an_untouched_message_was_not_tried, bad_messages_do_not_delay_good_ones, workers_that_die_at_once_are_started_rarely, an_idle_one_that_dies_is_replaced,
			 talk_out_of_turn_ends_the_worker_alone, what_was_said_before_is_no_answer, a_pool_is_closed, a_pool_is_stopped, a_program_that_cannot_be_executed,
			 a_process_for_each_message_needs_no_worker);
}

CHECK_MAIN("worker", add_cases)
