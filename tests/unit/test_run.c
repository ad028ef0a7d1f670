/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "handler/run.h"

#define PATIENCE_USEC (20 * USEC_PER_SEC)

/* In place of libc's: a group may be signalled only as long as its leader is our child, and be it a dead one. After
 * that its id may be somebody else's. */
int kill(pid_t pid, int sig) {
	siginfo_t info = {0};

	if (pid < 0 && waitid(P_PID, (id_t)-pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		ck_abort_msg("signal %d to group %d, which is not ours", sig, (int)-pid);
	return (int)syscall(SYS_kill, pid, sig);
}

/* What the callbacks were told about one run. */
struct witness {
	struct run *run;
	struct strbuf lines; /* "1:text\n", "1:text!\n" when cut */
	size_t n_lines;
	size_t n_cut;
	bool ended;
	bool free_in_callback;
	struct run_result result;
};

static char folder[64];
static sd_event *event;
static struct executor *executor;
/* Of every run of a test: what the configuration says may differ from one to the next. */
static struct program *programs[512];
static size_t n_programs;
static struct message *message;
static struct config_queue queue;
static char *command[4];
static struct spawn_error error;
static struct witness witness;

static void on_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct witness *w = userdata;

	ck_assert_ptr_eq(r, w->run);
	ck_assert(!w->ended);
	ck_assert_uint_le(len, RUN_LINE_MAX);
	strbuf_printf(&w->lines, "%d:", stream);
	strbuf_append(&w->lines, text, len);
	strbuf_append_str(&w->lines, cut ? "!\n" : "\n");
	w->n_lines++;
	w->n_cut += cut;
}

static void on_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct witness *w = userdata;

	ck_assert_ptr_eq(r, w->run);
	ck_assert(!w->ended);
	w->ended = true;
	w->result = *result;
	if (w->free_in_callback)
		w->run = run_free(r);
}

static const struct run_callbacks callbacks = {.line = on_line, .ended = on_ended};

static void setup(void) {
	static char *no_environment[] = {NULL};
	sigset_t set;

	(void)snprintf(folder, sizeof(folder), "/tmp/test_run.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
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
	command[2] = command[3] = NULL;
	queue = (struct config_queue){.name = (char *)"q",
				      .handler = {.command = command,
						  .path = (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						  .environment = no_environment,
						  .directory = folder,
						  .timeout_usec = USEC_INFINITY,
						  .kill_grace_usec = 5 * USEC_PER_SEC}};
	witness = (struct witness){0};
}

static void teardown(void) {
	char line[128];

	witness.run = run_free(witness.run);
	strbuf_free(&witness.lines);
	message = message_free(message);
	while (n_programs > 0)
		program_free(programs[--n_programs]);
	executor = executor_free(executor);
	event = sd_event_unref(event);
	(void)snprintf(line, sizeof(line), "rm -rf %s", folder);
	ck_assert_int_eq(system(line), 0);
}

/* The handler as the test has configured it. */
static const struct program *program(void) {
	ck_assert_uint_lt(n_programs, ARRAY_SIZE(programs));
	ck_assert_int_eq(program_new(executor, &queue, &programs[n_programs]), 0);
	return programs[n_programs++];
}

static int start(struct witness *w, const char *script) {
	command[2] = (char *)script;
	return run_start(program(), message, 0, &callbacks, w, &error, &w->run);
}

static void turn(uint64_t usec) {
	ck_assert_int_ge(sd_event_run(event, usec), 0);
}

static void wait_for_end(struct witness *w) {
	uint64_t deadline = clock_now_usec() + PATIENCE_USEC;

	while (!w->ended) {
		ck_assert_msg(clock_now_usec() < deadline, "the handler does not end");
		turn(100000);
	}
}

static void run_script(const char *script) {
	ck_assert_int_eq(start(&witness, script), 0);
	wait_for_end(&witness);
}

static void wait_for_lines(struct witness *w, size_t n) {
	uint64_t deadline = clock_now_usec() + PATIENCE_USEC;

	while (w->n_lines < n) {
		ck_assert_msg(clock_now_usec() < deadline, "no line comes");
		turn(100000);
	}
}

static void ended_as(const struct witness *w, enum run_end end, bool signaled, int status) {
	ck_assert(w->ended);
	ck_assert_int_eq(w->result.end, end);
	ck_assert_int_eq(w->result.signaled, signaled);
	ck_assert_int_eq(w->result.status, status);
}

/* The pid in the n-th line of output. */
static pid_t pid_in_line(const struct witness *w, size_t n) {
	const char *s = strbuf_str(&w->lines);

	while (n-- > 0)
		s = strchr(s, '\n') + 1;
	return (pid_t)strtol(s + 2, NULL, 10);
}

static bool is_alive(pid_t pid) {
	char path[64], state = 0;
	FILE *f;

	ck_assert_int_gt(pid, 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
	(void)fclose(f);
	return state != 'Z' && state != 'X';
}

static void expect_gone(pid_t pid) {
	uint64_t deadline = clock_now_usec() + PATIENCE_USEC;

	while (is_alive(pid)) {
		ck_assert_msg(clock_now_usec() < deadline, "process %d lives on", (int)pid);
		turn(20000);
	}
}

static int count_descriptors(void) {
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void set_body(size_t size) {
	char *body = malloc(size + 1);

	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 7 + i / 251);
	ck_assert_int_eq(message_reserve_body(message, size), 0);
	if (size)
		ck_assert_int_eq(message_append_body(message, body, size), 0);
	ck_assert_int_eq(message_finish_body(message), 0);
	free(body);
}

static char *read_file(const char *name, size_t *ret_size) {
	char path[128];
	struct stat st;
	char *data;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fstat(fileno(f), &st), 0);
	data = malloc((size_t)st.st_size + 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(fread(data, 1, (size_t)st.st_size, f), (size_t)st.st_size);
	data[st.st_size] = '\0';
	(void)fclose(f);
	*ret_size = (size_t)st.st_size;
	return data;
}

/* Results. */

START_TEST(exit_statuses) {
	static const int statuses[] = {0, 1, 75, 255};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		char script[32];
		struct witness w = {0};

		(void)snprintf(script, sizeof(script), "exit %d", statuses[i]);
		ck_assert_int_eq(start(&w, script), 0);
		ck_assert_int_gt(run_pid(w.run), 1);
		ck_assert_uint_le(run_started_usec(w.run), clock_now_usec());
		wait_for_end(&w);
		ended_as(&w, RUN_EXITED, false, statuses[i]);
		ck_assert_uint_gt(w.result.duration_usec, 0);
		ck_assert_uint_lt(w.result.duration_usec, PATIENCE_USEC);
		ck_assert_ptr_null(run_omissions(w.run));
		run_free(w.run);
	}
}
END_TEST

START_TEST(death_by_signal) {
	run_script("kill -KILL $$");
	ended_as(&witness, RUN_SIGNALED, true, SIGKILL);
}
END_TEST

START_TEST(freed_in_its_own_end) {
	witness.free_in_callback = true;
	run_script("echo x");
	ck_assert_ptr_null(witness.run);
	ended_as(&witness, RUN_EXITED, false, 0);
}
END_TEST

START_TEST(many_at_a_time) {
	struct witness many[40] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		ck_assert_int_eq(start(many + i, "cat >/dev/null; echo $$; exit 3"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		wait_for_end(many + i);
		ended_as(many + i, RUN_EXITED, false, 3);
		ck_assert_int_eq(pid_in_line(many + i, 0), run_pid(many[i].run));
		strbuf_free(&many[i].lines);
		run_free(many[i].run);
	}
}
END_TEST

START_TEST(no_descriptor_and_no_child_is_left) {
	int before = count_descriptors();

	witness.free_in_callback = true;
	for (int i = 0; i < 300; i++) {
		witness.ended = false;
		run_script(i % 3 ? "echo out" : "echo err >&2; exit 1");
	}
	command[0] = (char *)"/no/such/program";
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(start(&witness, NULL), -ENOENT);
	ck_assert_int_eq(count_descriptors(), before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_uint_eq(witness.n_lines, 300);
}
END_TEST

/* Input. */

START_TEST(bodies_arrive_byte_for_byte) {
	static const size_t sizes[] = {0, 1, 4096, 4097, 65536, 65537, 8 << 20};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct witness w = {0};
		char *data;
		size_t size;

		message = message_free(message);
		ck_assert_int_eq(message_new(&message), 0);
		set_body(sizes[i]);
		/* Twice: what one handler reads is not missing for the next. */
		for (int again = 0; again < 2; again++) {
			w = (struct witness){0};
			ck_assert_int_eq(start(&w, "cat >body; echo $AMQP_BODY_SIZE"), 0);
			wait_for_end(&w);
			ended_as(&w, RUN_EXITED, false, 0);
			ck_assert_uint_eq(strtoul(strbuf_str(&w.lines) + 2, NULL, 10), sizes[i]);
			data = read_file("body", &size);
			ck_assert_uint_eq(size, sizes[i]);
			for (size_t at = 0; at < size; at++)
				if (data[at] != (char)(at * 7 + at / 251))
					ck_abort_msg("byte %zu of %zu differs", at, size);
			free(data);
			strbuf_free(&w.lines);
			run_free(w.run);
		}
	}
}
END_TEST

START_TEST(large_body_is_read_only) {
	set_body(65537);
	run_script("echo x >/proc/self/fd/0 && exit 1; echo y >&0 && exit 2; cat | wc -c");
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:65537\n"));
}
END_TEST

START_TEST(input_that_nobody_reads) {
	set_body(8 << 20);
	run_script("exit 0");
	ended_as(&witness, RUN_EXITED, false, 0);
}
END_TEST

/* Beyond its soft limit a user's pipes hold a page or two (pipe-user-pages-soft: 16,384 pages): not the whole body. */
static void input_with_few_pipe_pages(void) {
	static int hoard[2100];
	size_t n = 0;
	int fds[2];

	/* An event loop of the parent's is of no use in a child. */
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(executor_new(event, &executor), 0);
	for (; n + 2 <= ARRAY_SIZE(hoard); n += 2) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			break;
		hoard[n] = fds[0];
		hoard[n + 1] = fds[1];
	}
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_lt(fcntl(fds[0], F_GETPIPE_SZ), 65536);
	set_body(65536);
	run_script("cat >body; wc -c <body");
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:65536\n"));
	while (n > 0)
		fd_close(hoard[--n]);
}

START_TEST(input_when_pipes_are_small) {
	struct rlimit files;
	int status;
	pid_t pid;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (geteuid() != 0 || files.rlim_max < 4096)
		return; /* needs to become a user whose pipes nobody else uses */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		files.rlim_cur = 4096;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0 || chown(folder, 65532, 65532) < 0 ||
		    setresgid(65532, 65532, 65532) < 0 || setresuid(65532, 65532, 65532) < 0)
			_exit(1);
		input_with_few_pipe_pages();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Environment. */

static void add_header(const char *name, const char *value, size_t len) {
	struct table *t = &message->properties.headers;
	struct field *f;

	t->fields = reallocarray(t->fields, t->n + 1, sizeof(*t->fields));
	ck_assert_ptr_nonnull(t->fields);
	f = t->fields + t->n++;
	*f = (struct field){.kind = FIELD_STRING};
	ck_assert_int_eq(text_set(&f->name, name, strlen(name)), 0);
	ck_assert_int_eq(text_set(&f->text, value, len), 0);
	message->properties.has_headers = true;
}

/* As the handler's process was given it: what `env -0` would print. */
static char *environment_of_handler(size_t *ret_size) {
	command[0] = (char *)"/usr/bin/env";
	command[1] = (char *)"-0";
	ck_assert_int_eq(start(&witness, NULL), 0);
	wait_for_end(&witness);
	ended_as(&witness, RUN_EXITED, false, 0);
	*ret_size = witness.lines.len;
	return witness.lines.data;
}

START_TEST(environment_from_scratch) {
	static const char *const expected[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=",
		"USER=",
		"LANG=C.UTF-8",
		"SETTING=1",
		"AMQP_QUEUE=q",
		"AMQP_EXCHANGE=",
		"AMQP_ROUTING_KEY=key",
		"AMQP_DELIVERY_TAG=1",
		"AMQP_REDELIVERED=false",
		"AMQP_BODY_SIZE=0",
		"AMQP_HEADER_LD_PRELOAD=/x.so",
	};
	char *settings[] = {(char *)"SETTING=1", NULL};
	const char *at, *end;
	size_t size;

	queue.handler.environment = settings;
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/run/secret", 1), 0);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", "/run/secret", 1), 0);
	add_header("LD_PRELOAD", "/x.so", 5);
	at = environment_of_handler(&size);
	end = at + size - 1; /* the newline that on_line adds */
	at += 2;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		size_t len = strlen(expected[i]);

		ck_assert(at < end);
		if (expected[i][len - 1] == '=' && expected[i][0] != 'A')
			ck_assert_int_eq(strncmp(at, expected[i], len), 0);
		else
			ck_assert_str_eq(at, expected[i]);
		at += strlen(at) + 1;
	}
	ck_assert_ptr_eq(at, end);
}
END_TEST

static void add_long_header(const char *name, size_t len) {
	char *value = malloc(len);

	ck_assert_ptr_nonnull(value);
	memset(value, 'v', len);
	add_header(name, value, len);
	free(value);
}

START_TEST(hostile_headers_stop_nothing) {
	char *data;
	size_t size;

	add_long_header("l1", 131071);
	add_long_header("l2", 131072);
	add_long_header("fits", 131072 - sizeof("AMQP_HEADER_FITS="));
	add_header("n", "a\0b", 3);
	add_header("a=b", "x=y\nz", 5);
	add_header("a-b", "lost", 4);
	for (int i = 0; i < 8; i++)
		add_long_header((const char[]){(char)('r' + i), '\0'}, 100000);
	run_script("cat /proc/$$/environ >environ; true");
	ended_as(&witness, RUN_EXITED, false, 0);
	data = read_file("environ", &size);
	ck_assert_uint_lt(size, 540000);
	ck_assert_ptr_nonnull(memmem(data, size, "\0AMQP_HEADER_A_B=x=y\nz\0", 23));
	ck_assert_ptr_nonnull(memmem(data, size, "\0AMQP_HEADER_FITS=vvvv", 22));
	ck_assert_ptr_nonnull(memmem(data, size, "\0AMQP_HEADER_R=vvvv", 19));
	ck_assert_ptr_null(memmem(data, size, "\0AMQP_HEADER_Y=", 15));
	ck_assert_ptr_null(memmem(data, size, "\0AMQP_HEADER_L", 14));
	ck_assert_ptr_null(memmem(data, size, "\0AMQP_HEADER_N=", 15));
	ck_assert_ptr_null(memmem(data, size, "lost", 4));
	free(data);
	ck_assert_ptr_nonnull(run_omissions(witness.run));
	ck_assert_int_eq(
		strncmp(run_omissions(witness.run), "header l1: too long for the environment; header l2: ", 52), 0);
	ck_assert_ptr_nonnull(strstr(run_omissions(witness.run), "header n: contains a NUL byte"));
}
END_TEST

/* A small stack makes execve(2) take less: the headers give way, the handler runs. */
START_TEST(headers_beyond_the_systems_limit) {
	struct rlimit before, small;

	ck_assert_int_eq(getrlimit(RLIMIT_STACK, &before), 0);
	small = (struct rlimit){512 << 10, before.rlim_max};
	for (int i = 0; i < 4; i++)
		add_long_header((const char[]){(char)('r' + i), '\0'}, 100000);
	add_header("small", "kept", 4);
	ck_assert_int_eq(setrlimit(RLIMIT_STACK, &small), 0);
	run_script("echo $AMQP_HEADER_SMALL ${AMQP_HEADER_R-none}");
	ck_assert_int_eq(setrlimit(RLIMIT_STACK, &before), 0);
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_str_eq(strbuf_str(&witness.lines), "1:kept none\n");
	ck_assert_ptr_nonnull(strstr(run_omissions(witness.run), "too large together"));
}
END_TEST

/* Output. */

START_TEST(lines_of_both_streams) {
	run_script("echo one; echo two >&2; printf 'three\\n\\nlast'");
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_uint_eq(witness.n_lines, 5);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:one\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "2:two\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:three\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:last\n"));
	ck_assert_uint_eq(witness.result.output_bytes, 4 + 4 + 6 + 1 + 4);
	ck_assert_uint_eq(witness.result.output_dropped, 0);
}
END_TEST

START_TEST(lines_come_while_the_handler_runs) {
	ck_assert_int_eq(start(&witness, "echo first; exec sleep 30"), 0);
	wait_for_lines(&witness, 1);
	ck_assert(!witness.ended);
	ck_assert_str_eq(strbuf_str(&witness.lines), "1:first\n");
}
END_TEST

START_TEST(flood_is_bounded_and_marked) {
	run_script("yes 'a line of the flood' | head -c 3000000; echo to the end >&2");
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_uint_eq(witness.n_cut, 1);
	ck_assert_uint_le(witness.lines.len, RUN_OUTPUT_MAX + 2 * witness.n_lines + 2 + strlen("to the end\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "2:to the end\n"));
	ck_assert_uint_gt(witness.lines.len, RUN_OUTPUT_MAX - 100);
	ck_assert_uint_gt(witness.result.output_bytes, 2900000);
	ck_assert_uint_gt(witness.result.output_dropped, 2800000);
}
END_TEST

START_TEST(long_line_is_cut) {
	run_script("head -c 5000 /dev/zero | tr '\\0' x; echo; echo next");
	ck_assert_uint_eq(witness.n_lines, 2);
	ck_assert_uint_eq(witness.n_cut, 1);
	ck_assert_uint_eq(witness.lines.len, 2 + RUN_LINE_MAX + 2 + 7);
	ck_assert_uint_eq(witness.result.output_dropped, 5000 - RUN_LINE_MAX + 1);
}
END_TEST

START_TEST(output_closed_early) {
	run_script("exec >&- 2>&-; sleep 0.2; exit 4");
	ended_as(&witness, RUN_EXITED, false, 4);
}
END_TEST

START_TEST(no_line_callback) {
	static const struct run_callbacks only_end = {.ended = on_ended};

	command[2] = (char *)"echo unheard";
	ck_assert_int_eq(run_start(program(), message, 0, &only_end, &witness, &error, &witness.run), 0);
	wait_for_end(&witness);
	ck_assert_uint_eq(witness.result.output_bytes, 8);
}
END_TEST

START_TEST(grandchild_that_holds_the_output_delays_nothing) {
	uint64_t began = clock_now_usec();
	pid_t pid;

	run_script("sleep 60 & echo $!; exit 0");
	ck_assert_uint_lt(clock_now_usec() - began, 10 * USEC_PER_SEC);
	ended_as(&witness, RUN_EXITED, false, 0);
	pid = pid_in_line(&witness, 0);
	expect_gone(pid);
}
END_TEST

START_TEST(grandchild_that_is_left_alone_delays_nothing) {
	uint64_t began = clock_now_usec();
	pid_t pid;

	queue.handler.descendants = CONFIG_DESCENDANTS_LEAVE;
	run_script("sleep 60 & echo $!; exit 0");
	ck_assert_uint_lt(clock_now_usec() - began, 10 * USEC_PER_SEC);
	ended_as(&witness, RUN_EXITED, false, 0);
	pid = pid_in_line(&witness, 0);
	ck_assert(is_alive(pid));
	/* Nor does the end of another handler touch it, whose policy is the other one. */
	queue.handler.descendants = CONFIG_DESCENDANTS_KILL;
	strbuf_free(&witness.lines);
	witness.run = run_free(witness.run);
	witness = (struct witness){0};
	run_script("sleep 60 & echo $!; exit 0");
	expect_gone(pid_in_line(&witness, 0));
	ck_assert(is_alive(pid));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	expect_gone(pid);
}
END_TEST

/* Two forks and a session in between, the parent gone: what a daemon does to be left alone. It says its pid, its child's too. */
#define ESCAPE "sh -c 'setsid sh -c \"sleep 63 & echo \\$!; echo \\$\\$; exec 1>&- 2>&-; wait\" &'; "

START_TEST(who_has_escaped_goes_with_a_handler_that_ends) {
	run_script(ESCAPE "sleep 0.3; exit 0");
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_uint_eq(witness.n_lines, 2);
	expect_gone(pid_in_line(&witness, 0));
	expect_gone(pid_in_line(&witness, 1));
}
END_TEST

START_TEST(who_has_escaped_goes_with_a_handler_that_is_stopped) {
	queue.handler.descendants = CONFIG_DESCENDANTS_LEAVE;
	queue.handler.timeout_usec = 600000;
	run_script(ESCAPE "sleep 60; exit 0");
	ended_as(&witness, RUN_TIMEOUT, true, SIGTERM);
	ck_assert_uint_eq(witness.n_lines, 2);
	expect_gone(pid_in_line(&witness, 0));
	expect_gone(pid_in_line(&witness, 1));
}
END_TEST

/* Their ends come in one turn of the loop: sessions tell whose is whose. */
START_TEST(both_policies_at_once) {
	struct witness many[8] = {0};
	siginfo_t info;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		queue.handler.descendants = i % 2 ? CONFIG_DESCENDANTS_KILL : CONFIG_DESCENDANTS_LEAVE;
		ck_assert_int_eq(start(many + i, "sleep 68 & echo $!; exit 0"), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		ck_assert_int_eq(waitid(P_PID, (id_t)run_pid(many[i].run), &info, WEXITED | WNOWAIT), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		pid_t left;

		wait_for_end(many + i);
		left = pid_in_line(many + i, 0);
		if (i % 2 == 0) {
			ck_assert(is_alive(left));
			ck_assert_int_eq(kill(left, SIGKILL), 0);
		}
		expect_gone(left);
		strbuf_free(&many[i].lines);
		run_free(many[i].run);
	}
}
END_TEST

START_TEST(grandchild_that_floods_the_output_delays_nothing) {
	pid_t pid;

	run_script("echo $$; yes & echo $! >flooder; exit 0");
	ended_as(&witness, RUN_EXITED, false, 0);
	pid = pid_in_line(&witness, 0);
	ck_assert_int_eq(pid, run_pid(witness.run));
	/* Its pipe is closed: it ends by SIGPIPE, and is reaped by us. */
	for (uint64_t until = clock_now_usec() + PATIENCE_USEC; waitpid(-1, NULL, WNOHANG) == 0;) {
		ck_assert_uint_lt(clock_now_usec(), until);
		turn(20000);
	}
}
END_TEST

/* Deadlines and ends. */

START_TEST(timeout_terminates) {
	queue.handler.timeout_usec = 200000;
	run_script("exec sleep 60");
	ended_as(&witness, RUN_TIMEOUT, true, SIGTERM);
	ck_assert_uint_ge(witness.result.duration_usec, 200000);
	ck_assert_uint_lt(witness.result.duration_usec, 5 * USEC_PER_SEC);
}
END_TEST

START_TEST(timeout_lets_the_handler_clean_up) {
	queue.handler.timeout_usec = 200000;
	run_script("trap 'echo bye; exit 9' TERM; while :; do sleep 0.05; done");
	ended_as(&witness, RUN_TIMEOUT, false, 9);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:bye\n"));
}
END_TEST

START_TEST(who_ignores_sigterm_is_killed) {
	queue.handler.timeout_usec = 200000;
	queue.handler.kill_grace_usec = 300000;
	run_script("trap '' TERM; while :; do sleep 0.05; done");
	ended_as(&witness, RUN_TIMEOUT, true, SIGKILL);
	ck_assert_uint_ge(witness.result.duration_usec, 500000);
}
END_TEST

/* A grandchild in its own session, its own child too, and one in the handler's group. */
#define TREE "setsid sh -c 'sleep 61 & echo $!; echo $$; wait' & sleep 62 & echo $!; "

static void expect_tree_gone(void) {
	for (size_t i = 0; i < 3; i++)
		expect_gone(pid_in_line(&witness, i));
}

START_TEST(timeout_takes_the_tree_with_it) {
	queue.handler.timeout_usec = 600000;
	run_script(TREE "wait");
	ended_as(&witness, RUN_TIMEOUT, true, SIGTERM);
	ck_assert_uint_eq(witness.n_lines, 3);
	expect_tree_gone();
}
END_TEST

/* Their ends come in one turn of the loop, between those of handlers that nobody stops. */
START_TEST(many_that_end_while_they_are_stopped) {
	struct witness many[12] = {0};
	siginfo_t info;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		queue.handler.descendants = i % 3 ? CONFIG_DESCENDANTS_KILL : CONFIG_DESCENDANTS_LEAVE;
		ck_assert_int_eq(start(many + i, i % 3 ? "sleep 66 & echo $!; wait" : "sleep 67 & echo $!; exit 5"), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		if (i % 3 == 0)
			continue;
		wait_for_lines(many + i, 1);
		run_stop(many[i].run);
	}
	turn(0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		if (!many[i].ended)
			ck_assert_int_eq(waitid(P_PID, (id_t)run_pid(many[i].run), &info, WEXITED | WNOWAIT), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		pid_t left;

		wait_for_end(many + i);
		left = pid_in_line(many + i, 0);
		if (i % 3 == 0) {
			ended_as(many + i, RUN_EXITED, false, 5);
			ck_assert(is_alive(left));
			ck_assert_int_eq(kill(left, SIGKILL), 0);
		} else {
			ended_as(many + i, RUN_STOPPED, true, SIGTERM);
		}
		expect_gone(left);
		strbuf_free(&many[i].lines);
		run_free(many[i].run);
	}
}
END_TEST

START_TEST(kill_after_grace_takes_the_tree_with_it) {
	queue.handler.timeout_usec = 600000;
	queue.handler.kill_grace_usec = 200000;
	run_script("trap '' TERM; " TREE "while :; do wait; done");
	ended_as(&witness, RUN_TIMEOUT, true, SIGKILL);
	ck_assert_uint_eq(witness.n_lines, 3);
	expect_tree_gone();
}
END_TEST

START_TEST(children_born_in_the_grace_go_too) {
	queue.handler.timeout_usec = 200000;
	queue.handler.kill_grace_usec = 800000;
	run_script("exec 2>/dev/null; trap 'setsid sh -c \"echo \\$\\$; exec sleep 63\"' TERM; while :; do sleep 0.05; "
		   "done");
	ended_as(&witness, RUN_TIMEOUT, true, SIGKILL);
	ck_assert_uint_ge(witness.n_lines, 1);
	expect_gone(pid_in_line(&witness, 0));
}
END_TEST

START_TEST(stop_ends_the_run_and_its_tree) {
	ck_assert_int_eq(start(&witness, TREE "wait"), 0);
	wait_for_lines(&witness, 3);
	run_stop(witness.run);
	run_stop(witness.run);
	wait_for_end(&witness);
	ended_as(&witness, RUN_STOPPED, true, SIGTERM);
	expect_tree_gone();
	run_stop(witness.run);
	run_kill(witness.run);
}
END_TEST

/* What comes first decides what it was. */
START_TEST(time_can_be_over_before_it_is) {
	ck_assert_int_eq(start(&witness, TREE "wait"), 0);
	wait_for_lines(&witness, 3);
	ck_assert(!run_is_stopping(witness.run));
	run_time_out(witness.run);
	ck_assert(run_is_stopping(witness.run));
	run_time_out(witness.run);
	run_stop(witness.run);
	wait_for_end(&witness);
	ended_as(&witness, RUN_TIMEOUT, true, SIGTERM);
	expect_tree_gone();
	ck_assert(!run_is_stopping(witness.run));
	run_time_out(witness.run);
}
END_TEST

START_TEST(time_that_is_over_has_a_grace) {
	queue.handler.kill_grace_usec = 300000;
	ck_assert_int_eq(start(&witness, "trap '' TERM; echo ready; while :; do sleep 0.05; done"), 0);
	wait_for_lines(&witness, 1);
	run_time_out(witness.run);
	wait_for_end(&witness);
	ended_as(&witness, RUN_TIMEOUT, true, SIGKILL);
	ck_assert_uint_ge(witness.result.duration_usec, 300000);
}
END_TEST

START_TEST(a_stop_is_no_timeout) {
	ck_assert_int_eq(start(&witness, "echo ready; exec sleep 60"), 0);
	wait_for_lines(&witness, 1);
	run_stop(witness.run);
	run_time_out(witness.run);
	wait_for_end(&witness);
	ended_as(&witness, RUN_STOPPED, true, SIGTERM);
}
END_TEST

START_TEST(kill_ends_the_run_and_its_tree_at_once) {
	ck_assert_int_eq(start(&witness, "trap '' TERM; " TREE "while :; do wait; done"), 0);
	wait_for_lines(&witness, 3);
	run_stop(witness.run);
	turn(0);
	run_kill(witness.run);
	run_kill(witness.run);
	wait_for_end(&witness);
	ended_as(&witness, RUN_STOPPED, true, SIGKILL);
	ck_assert_uint_lt(witness.result.duration_usec, 5 * USEC_PER_SEC);
	expect_tree_gone();
}
END_TEST

START_TEST(free_kills_and_forgets) {
	pid_t pid;

	ck_assert_int_eq(start(&witness, TREE "wait"), 0);
	wait_for_lines(&witness, 3);
	pid = run_pid(witness.run);
	witness.run = run_free(witness.run);
	expect_gone(pid);
	expect_tree_gone();
	ck_assert(!witness.ended);
}
END_TEST

START_TEST(many_stopped_at_once) {
	struct witness many[20] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		ck_assert_int_eq(start(many + i, "setsid sh -c 'echo $$; exec sleep 64' & wait"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		wait_for_lines(many + i, 1);
	/* One of them is not: it has to survive. */
	for (size_t i = 1; i < ARRAY_SIZE(many); i++)
		run_stop(many[i].run);
	for (size_t i = 1; i < ARRAY_SIZE(many); i++) {
		wait_for_end(many + i);
		ended_as(many + i, RUN_STOPPED, true, SIGTERM);
		expect_gone(pid_in_line(many + i, 0));
		strbuf_free(&many[i].lines);
		run_free(many[i].run);
	}
	ck_assert(!many[0].ended);
	ck_assert(is_alive(pid_in_line(many, 0)));
	run_free(many[0].run);
	expect_gone(pid_in_line(many, 0));
	strbuf_free(&many[0].lines);
}
END_TEST

/* Without descriptors. */

/* Lowers the limit and opens what it allows. */
static size_t hoard_descriptors(rlim_t limit, int *hoard, struct rlimit *ret_before) {
	size_t n = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, ret_before), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, ret_before->rlim_max}), 0);
	while ((hoard[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	ck_assert_int_eq(errno, EMFILE);
	return n;
}

static void give_descriptors_back(int *hoard, size_t n, const struct rlimit *before) {
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, before), 0);
	while (n > 0)
		fd_close(hoard[--n]);
}

/* What is reserved has to do. */
START_TEST(trees_are_killed_without_a_free_descriptor) {
	int hoard[65], before = count_descriptors();
	struct rlimit limit;

	for (int i = 0; i < 2; i++) {
		struct witness w = {0};
		size_t n;

		ck_assert_int_eq(start(&w, i ? TREE "wait" : "trap '' TERM; " TREE "while :; do wait; done"), 0);
		wait_for_lines(&w, 3);
		n = hoard_descriptors(64, hoard, &limit);
		if (i)
			run_stop(w.run);
		else
			run_kill(w.run);
		wait_for_end(&w);
		give_descriptors_back(hoard, n, &limit);
		ended_as(&w, RUN_STOPPED, true, i ? SIGTERM : SIGKILL);
		ck_assert(!w.result.incomplete);
		for (size_t line = 0; line < 3; line++)
			expect_gone(pid_in_line(&w, line));
		run_free(w.run);
		strbuf_free(&w.lines);
		ck_assert_int_eq(count_descriptors(), before);
	}
}
END_TEST

/* One in the handler's group, then one in a session of its own. */
#define PAIR "sleep 62 & echo $!; setsid sh -c 'echo $$; exec sleep 61' & wait"

/* The group is killed at least, and the rest is told. The next one is not worse off. */
START_TEST(what_cannot_be_looked_for_is_told) {
	int hoard[1], before = count_descriptors();
	struct rlimit limit;

	ck_assert_int_eq(start(&witness, PAIR), 0);
	wait_for_lines(&witness, 2);
	/* Not even the reserve can be used under such a limit. */
	ck_assert_uint_eq(hoard_descriptors(0, hoard, &limit), 0);
	run_kill(witness.run);
	wait_for_end(&witness);
	give_descriptors_back(hoard, 0, &limit);
	ended_as(&witness, RUN_STOPPED, true, SIGKILL);
	ck_assert(witness.result.incomplete);
	expect_gone(pid_in_line(&witness, 0));
	/* It has become our child. */
	expect_gone(pid_in_line(&witness, 1));
	witness.run = run_free(witness.run);
	strbuf_free(&witness.lines);
	witness = (struct witness){0};
	ck_assert_int_eq(start(&witness, PAIR), 0);
	wait_for_lines(&witness, 2);
	run_kill(witness.run);
	wait_for_end(&witness);
	ck_assert(!witness.result.incomplete);
	expect_gone(pid_in_line(&witness, 0));
	expect_gone(pid_in_line(&witness, 1));
	ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* Failures to start. */

START_TEST(what_cannot_be_executed) {
	int before = count_descriptors();

	command[0] = (char *)"/no/such/program";
	ck_assert_int_eq(start(&witness, NULL), -ENOENT);
	ck_assert_int_eq(error.step, SPAWN_EXECUTE);
	ck_assert_str_eq(error.path, "/no/such/program");
	ck_assert(!spawn_error_is_resource(&error));
	command[0] = (char *)"/bin/true";
	queue.handler.directory = (char *)"/no/such/folder";
	ck_assert_int_eq(start(&witness, NULL), -ENOENT);
	ck_assert_int_eq(error.step, SPAWN_DIRECTORY);
	ck_assert_int_eq(count_descriptors(), before);
	ck_assert_ptr_null(witness.run);
}
END_TEST

START_TEST(no_descriptors_left) {
	struct rlimit before, low;
	int used = count_descriptors(), failures = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	set_body(100000); /* as a memory file: a descriptor of its own that stays */
	used++;
	/* Each number of free descriptors from none to enough: fails cleanly at another place, or works. */
	for (int spare = 0; spare < 8; spare++) {
		low = (struct rlimit){(rlim_t)used + (rlim_t)spare, before.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
		witness.ended = false;
		witness.free_in_callback = true;
		if (start(&witness, "echo x; exit 0") < 0) {
			failures++;
			ck_assert_int_eq(error.error, EMFILE);
			ck_assert(error.step == SPAWN_INPUT || error.step == SPAWN_OUTPUT);
			ck_assert(spawn_error_is_resource(&error));
		} else {
			wait_for_end(&witness);
			ended_as(&witness, RUN_EXITED, false, 0);
		}
		ck_assert_int_eq(count_descriptors(), used);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_ge(failures, 4);
	ck_assert_int_le(failures, 7);
}
END_TEST

START_TEST(standard_descriptors_may_be_closed) {
	int saved[3];

	set_body(10);
	for (int fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		(void)close(fd);
	}
	(void)start(&witness, "wc -c; echo err >&2; ls /proc/$$/fd; true");
	if (witness.run)
		wait_for_end(&witness);
	for (int fd = 0; fd < 3; fd++) {
		(void)dup2(saved[fd], fd);
		fd_close(saved[fd]);
	}
	ended_as(&witness, RUN_EXITED, false, 0);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:10\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "2:err\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&witness.lines), "1:0\n1:1\n1:2\n"));
	ck_assert_uint_eq(witness.n_lines, 5);
}
END_TEST

START_TEST(sigchld_must_be_blocked) {
	struct executor *second = NULL;
	sd_event *other;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ck_assert_int_ge(sd_event_new(&other), 0);
	ck_assert_int_eq(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	ck_assert_int_eq(executor_new(other, &second), -EBUSY);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_ptr_null(second);
	sd_event_unref(other);
}
END_TEST

static void add(Suite *s, const char *name, const TTest *const *tests, size_t n) {
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
}
#define ADD(suite, name, ...)                                                                                          \
	add(suite, name, (const TTest *const[]){__VA_ARGS__},                                                          \
	    sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))

int main(void) {
	Suite *s = suite_create("run");
	SRunner *runner;
	int failed;

	ADD(s, "results", exit_statuses, death_by_signal, freed_in_its_own_end, many_at_a_time,
	    no_descriptor_and_no_child_is_left);
	ADD(s, "input", bodies_arrive_byte_for_byte, large_body_is_read_only, input_that_nobody_reads,
	    input_when_pipes_are_small);
	ADD(s, "environment", environment_from_scratch, hostile_headers_stop_nothing, headers_beyond_the_systems_limit);
	ADD(s, "output", lines_of_both_streams, lines_come_while_the_handler_runs, flood_is_bounded_and_marked,
	    long_line_is_cut, output_closed_early, no_line_callback, grandchild_that_holds_the_output_delays_nothing,
	    grandchild_that_is_left_alone_delays_nothing, grandchild_that_floods_the_output_delays_nothing);
	ADD(s, "strays", who_has_escaped_goes_with_a_handler_that_ends, who_has_escaped_goes_with_a_handler_that_is_stopped,
	    both_policies_at_once);
	ADD(s, "ends", timeout_terminates, timeout_lets_the_handler_clean_up, who_ignores_sigterm_is_killed,
	    timeout_takes_the_tree_with_it, many_that_end_while_they_are_stopped,
	    kill_after_grace_takes_the_tree_with_it, children_born_in_the_grace_go_too, stop_ends_the_run_and_its_tree,
	    time_can_be_over_before_it_is, time_that_is_over_has_a_grace, a_stop_is_no_timeout,
	    kill_ends_the_run_and_its_tree_at_once, free_kills_and_forgets, many_stopped_at_once);
	ADD(s, "descriptors", trees_are_killed_without_a_free_descriptor, what_cannot_be_looked_for_is_told);
	ADD(s, "failures", what_cannot_be_executed, no_descriptors_left, standard_descriptors_may_be_closed,
	    sigchld_must_be_blocked);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
