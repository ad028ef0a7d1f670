/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/fd.h"
#include "check_main.h"
#include "http_client.h"
#include "scratch.h"
#include "service/http.h"
#include "service/http_route.h"

#define WAITING_MAX 64

static sd_event *event;
static struct http_server *server;
static struct http_request *waiting[WAITING_MAX];
static size_t n_waiting;
static unsigned calls;
static bool crowded; /* when a large answer was asked for last */

static void on_echo(struct http_request *r, void *userdata) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	size_t len;
	const char *body = http_request_body(r, &len);
	const char *parameter = http_request_parameter(r, "p");

	strbuf_printf(&b, "%s %s p=%s body=%zu:", http_request_method(r), http_request_segment(r, 1),
		      parameter ? parameter : "none", len);
	strbuf_append(&b, body, len);
	http_respond(r, 200, "text/plain", &b);
}

static void on_later(struct http_request *r, void *userdata) {
	ck_assert_uint_lt(n_waiting, WAITING_MAX);
	waiting[n_waiting++] = r;
}

static void on_large(struct http_request *r, void *userdata) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	crowded = http_request_is_crowded(r);
	for (int i = 0; i < 400000; i++)
		strbuf_append_str(&b, "0123456789");
	http_respond(r, 200, "text/plain", &b);
}

static const struct http_route routes[] = {
	{"GET", "echo/@", on_echo},
	{"POST", "echo/@", on_echo},
	{"GET", "later", on_later},
	{"GET", "large", on_large},
};

static void on_request(struct http_request *r, void *userdata) {
	ck_assert_ptr_eq(userdata, &calls);
	calls++;
	http_route(r, routes, ARRAY_SIZE(routes), userdata);
}

static const struct http_callbacks callbacks = {.request = on_request};

static void start(const struct http_limits *limits) {
	ck_assert_int_eq(http_new(event, limits, &callbacks, &calls, &server), 0);
	ck_assert_int_eq(http_add_socket(server, client_listener("socket", 128)), 0);
}

static void setup(void) {
	scratch_setup();
	ck_assert_int_ge(sd_event_new(&event), 0);
	n_waiting = 0;
	calls = 0;
}

static void teardown(void) {
	server = http_free(server);
	event = sd_event_unref(event);
	scratch_teardown();
}

static void run_for(uint64_t usec) {
	uint64_t until = clock_now_usec() + usec;

	while (clock_now_usec() < until)
		client_turn(event);
}

static void wait_for_waiting(size_t n) {
	uint64_t until = clock_now_usec() + CLIENT_PATIENCE_USEC;

	while (n_waiting < n) {
		ck_assert_uint_lt(clock_now_usec(), until);
		client_turn(event);
	}
}

static void answer_waiting(size_t i, const char *text) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_str(&b, text);
	http_respond(waiting[i], 200, "text/plain", &b);
}

static void ck_answer(int fd, const char *request, unsigned status, const char *body) {
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;

	ck_assert_uint_eq(client_ask(event, fd, request, &got), status);
	ck_assert_str_eq(strbuf_str(&got), body);
}

/* --- ordinary requests --- */

START_TEST(answers_with_headers_and_body) {
	CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT, head = STRBUF_INIT, body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n"));
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 200);
	ck_assert_str_eq(strbuf_str(&body), "GET a p=none body=0:");
	ck_assert_ptr_nonnull(strstr(strbuf_str(&head), "\r\nContent-Type: text/plain\r\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&head), "\r\nCache-Control: no-store\r\n"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&head), "\r\nContent-Length: 20\r\n"));
	ck_assert_uint_eq(rest.len, 0);
}
END_TEST

START_TEST(one_connection_has_many_requests) {
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_answer(fd, "GET /echo/a%2Fb?p=c%26d+e HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a/b p=c&d e body=0:");
	ck_answer(fd, "POST /echo/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200,
		  "POST b p=none body=5:hello");
	ck_answer(fd,
		  "POST /echo/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		  200, "POST c p=none body=5:abcde");
	ck_assert_uint_eq(calls, 3);
}
END_TEST

START_TEST(what_comes_at_once_is_answered_in_turn) {
	CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT, head = STRBUF_INIT, body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd,
			      "GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n"
			      "GET /echo/3 HTTP/1.1\r\nHost: x\r\n\r\n"));
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 200);
	ck_assert_str_eq(strbuf_str(&body), "GET 1 p=none body=0:");
	wait_for_waiting(1);
	run_for(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(calls, 2);
	answer_waiting(0, "2");
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 200);
	ck_assert_str_eq(strbuf_str(&body), "2");
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 200);
	ck_assert_str_eq(strbuf_str(&body), "GET 3 p=none body=0:");
}
END_TEST

START_TEST(head_has_no_body) {
	CLEANUP(strbuf_free) struct strbuf all = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "HEAD /echo/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	client_receive_all(event, fd, &all);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&all), "\r\nContent-Length: 20\r\n"));
	ck_assert_str_eq(strbuf_str(&all) + all.len - 4, "\r\n\r\n");
}
END_TEST

START_TEST(unknown_paths_and_methods_are_told) {
	CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT, head = STRBUF_INIT, body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_answer(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404,
		  "{\"error\":\"there is nothing of this path\"}\n");
	ck_answer(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 404, "{\"error\":\"there is nothing of this path\"}\n");
	ck_answer(fd, "GET /echo/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, "{\"error\":\"there is nothing of this path\"}\n");
	ck_answer(fd, "GET /echo/a/b HTTP/1.1\r\nHost: x\r\n\r\n", 404,
		  "{\"error\":\"there is nothing of this path\"}\n");
	ck_assert(client_send(event, fd, "DELETE /later HTTP/1.1\r\nHost: x\r\n\r\n"));
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 405);
	ck_assert_ptr_nonnull(strstr(strbuf_str(&head), "\r\nAllow: GET, HEAD\r\n"));
	ck_assert_str_eq(strbuf_str(&body), "{\"error\":\"only GET, HEAD is possible here\"}\n");
}
END_TEST

START_TEST(what_is_no_path_is_refused) {
	static const char *const bad[] = {"/echo/%",
					  "/echo/%2",
					  "/echo/%zz",
					  "/echo/%00",
					  "*",
					  "echo/a",
					  "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"};

	start(&http_limits_default);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(fd_close) int fd = client_connect("socket");
		char request[200];

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", bad[i]);
		ck_answer(fd, request, 400, "{\"error\":\"the path is not one\"}\n");
	}
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(tells_who_asks) {
	CLEANUP(fd_close) int fd = -1;
	const struct http_peer *peer;
	gid_t groups[1024];
	int n = getgroups(ARRAY_SIZE(groups), groups);

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"));
	wait_for_waiting(1);
	peer = http_request_peer(waiting[0]);
	ck_assert(peer->known);
	ck_assert_int_eq(peer->pid, getpid());
	ck_assert_uint_eq(peer->uid, geteuid());
	ck_assert_uint_eq(peer->gid, getegid());
	ck_assert_int_ge(n, 0);
	ck_assert_uint_eq(peer->n_groups, n);
	for (int i = 0; i < n; i++)
		ck_assert_uint_eq(peer->groups[i], groups[i]);
	answer_waiting(0, "");
}
END_TEST

/* --- limits --- */

START_TEST(large_headers_are_refused) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf request = STRBUF_INIT, all = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1, far = -1;

	limits.header_size = 4096;
	start(&limits);
	fd = client_connect("socket");
	strbuf_append_str(&request, "GET /echo/a HTTP/1.1\r\nHost: x\r\nX: ");
	while (request.len < 4200)
		strbuf_append_char(&request, 'x');
	strbuf_append_str(&request, "\r\n\r\n");
	ck_answer(fd, strbuf_str(&request), 431, "{\"error\":\"the request's headers are larger than 4096 bytes\"}\n");
	/* Without an end: before the library has no room for them. */
	far = client_connect("socket");
	request.len -= 4;
	while (request.len < 1000000)
		strbuf_append_char(&request, 'x');
	(void)client_send_bytes(event, far, strbuf_str(&request), request.len);
	client_receive_all(event, far, &all);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(large_bodies_are_refused) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
	CLEANUP(fd_close) int exact = -1, fd = -1, chunked = -1;

	limits.body_size = 10;
	start(&limits);
	exact = client_connect("socket");
	ck_answer(exact, "POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789", 200,
		  "POST a p=none body=10:0123456789");
	fd = client_connect("socket");
	ck_answer(fd, "POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n", 413,
		  "{\"error\":\"the request's body is larger than 10 bytes\"}\n");
	chunked = client_connect("socket");
	(void)client_send(
		event, chunked,
		"POST /echo/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n");
	client_receive_all(event, chunked, &got);
	ck_assert_uint_eq(got.len, 0);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

/* A byte now and then keeps no connection open. */
START_TEST(slow_senders_are_cut_off) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;
	uint64_t begun = clock_now_usec(), due = begun;
	bool closed = false;

	limits.request_usec = 500 * USEC_PER_MSEC;
	start(&limits);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"));
	while (!closed) {
		ck_assert_uint_lt(clock_now_usec(), begun + CLIENT_PATIENCE_USEC);
		if (clock_now_usec() >= due) {
			(void)send(fd, "x", 1, MSG_NOSIGNAL);
			due += 10 * USEC_PER_MSEC;
		}
		client_turn(event);
		closed = client_receive(fd, &got);
	}
	ck_assert_uint_ge(clock_now_usec() - begun, 400 * USEC_PER_MSEC);
	ck_assert_uint_eq(got.len, 0);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(idle_connections_are_closed) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT, none = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1, silent = -1;

	limits.request_usec = 400 * USEC_PER_MSEC;
	start(&limits);
	silent = client_connect("socket");
	fd = client_connect("socket");
	ck_answer(fd, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	client_receive_all(event, silent, &none);
	client_receive_all(event, fd, &got);
	ck_assert_uint_eq(got.len + none.len, 0);
}
END_TEST

/* What takes its time on our side is not cut off. */
START_TEST(late_answers_have_no_deadline) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf rest = STRBUF_INIT, head = STRBUF_INIT, body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	limits.request_usec = limits.response_usec = 300 * USEC_PER_MSEC;
	start(&limits);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"));
	wait_for_waiting(1);
	run_for(800 * USEC_PER_MSEC);
	answer_waiting(0, "at last");
	ck_assert_uint_eq(client_answer(event, fd, &rest, &head, &body), 200);
	ck_assert_str_eq(strbuf_str(&body), "at last");
}
END_TEST

START_TEST(slow_readers_are_cut_off) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	limits.response_usec = 300 * USEC_PER_MSEC;
	start(&limits);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
	run_for(USEC_PER_SEC);
	client_receive_all(event, fd, &got);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_gt(got.len, 0);
	ck_assert_uint_lt(got.len, 4000000);
}
END_TEST

START_TEST(large_answers_arrive_whole) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;
	unsigned wrong = 0;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert_uint_eq(client_ask(event, fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", &body), 200);
	ck_assert_uint_eq(body.len, 4000000);
	for (size_t i = 0; i < body.len; i += 10)
		wrong += memcmp(body.data + i, "0123456789", 10) != 0;
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* Clients that ask for much and take nothing. */
START_TEST(large_answers_have_a_limit_together) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	CLEANUP(fd_close) int other = -1;
	int slow[2];

	limits.answers_size = 10000000;
	start(&limits);
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
		slow[i] = client_connect("socket");
		ck_assert(client_send(event, slow[i], "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
	}
	while (calls < ARRAY_SIZE(slow))
		client_turn(event);
	other = client_connect("socket");
	ck_assert(!crowded);
	ck_assert_uint_eq(client_ask(event, other, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", &body), 503);
	ck_assert(crowded);
	/* Small ones are as before. */
	ck_answer(other, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	/* What is done with, or nobody wants any more, makes room. */
	for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
		fd_close(slow[i]);
	run_for(50 * USEC_PER_MSEC);
	for (unsigned i = 0; i < 5; i++) {
		strbuf_reset(&body);
		ck_assert_uint_eq(client_ask(event, other, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", &body), 200);
		ck_assert_uint_eq(body.len, 4000000);
		ck_assert(!crowded);
	}
}
END_TEST

START_TEST(one_answer_may_be_larger_than_all_may_be) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;

	limits.answers_size = 1000;
	start(&limits);
	fd = client_connect("socket");
	ck_assert_uint_eq(client_ask(event, fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", &body), 200);
	ck_assert_uint_eq(body.len, 4000000);
}
END_TEST

START_TEST(too_many_connections_are_closed_at_once) {
	struct http_limits limits = http_limits_default;
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
	int fds[10], more[20];

	limits.connections = ARRAY_SIZE(fds);
	/* Not by their time limit. */
	limits.request_usec = 2 * CLIENT_PATIENCE_USEC;
	start(&limits);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_connect("socket");
		ck_answer(fds[i], "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	}
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		more[i] = client_connect("socket");
	for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
		client_receive_all(event, more[i], &got);
		fd_close(more[i]);
	}
	ck_assert_uint_eq(got.len, 0);
	/* Nothing is left to do: the loop sleeps. */
	run_for(50 * USEC_PER_MSEC);
	ck_assert_int_eq(sd_event_run(event, 100 * USEC_PER_MSEC), 0);
	/* A place that is free is taken. */
	fd_close(fds[0]);
	run_for(50 * USEC_PER_MSEC);
	fds[0] = client_connect("socket");
	ck_answer(fds[0], "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
}
END_TEST

/* --- clients that go, servers that go --- */

START_TEST(garbage_ends_the_connection) {
	static const char *const garbage[] = {"\x16\x03\x01\x02 no http\r\n\r\n", "GET\r\n\r\n",
					      "\r\n\r\n\r\n\r\n\x01\x02\x03\r\n\r\n",
					      "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n\xff\xff\xff garbage\r\n\r\n"};
	struct http_limits limits = http_limits_default;

	limits.request_usec = 500 * USEC_PER_MSEC;
	start(&limits);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
		CLEANUP(fd_close) int fd = client_connect("socket");

		(void)client_send(event, fd, garbage[i]);
		client_receive_all(event, fd, &got);
	}
	ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(clients_may_go_before_their_answer) {
	CLEANUP(fd_close) int other = -1;
	int fd;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"));
	wait_for_waiting(1);
	fd_close(fd);
	run_for(50 * USEC_PER_MSEC);
	answer_waiting(0, "nobody is there");
	run_for(50 * USEC_PER_MSEC);
	other = client_connect("socket");
	ck_answer(other, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
}
END_TEST

START_TEST(clients_may_go_in_the_middle_of_a_request) {
	int fd;

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe"));
	run_for(50 * USEC_PER_MSEC);
	fd_close(fd);
	fd = client_connect("socket");
	ck_assert(client_send(event, fd, "GET /ec"));
	run_for(50 * USEC_PER_MSEC);
	fd_close(fd);
	run_for(50 * USEC_PER_MSEC);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(a_server_may_go_with_everything_open) {
	CLEANUP(strbuf_free) struct strbuf got = STRBUF_INIT;
	CLEANUP(fd_close) int later = -1, middle = -1, idle = -1;

	start(&http_limits_default);
	later = client_connect("socket");
	ck_assert(client_send(event, later, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"));
	wait_for_waiting(1);
	middle = client_connect("socket");
	ck_assert(client_send(event, middle, "POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe"));
	idle = client_connect("socket");
	run_for(50 * USEC_PER_MSEC);
	server = http_free(server);
	client_receive_all(event, later, &got);
	client_receive_all(event, middle, &got);
	client_receive_all(event, idle, &got);
	ck_assert_uint_eq(got.len, 0);
}
END_TEST

START_TEST(sockets_may_go_without_their_connections) {
	struct sockaddr_un a = client_address("socket");
	CLEANUP(fd_close) int fd = -1, refused = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	start(&http_limits_default);
	fd = client_connect("socket");
	ck_answer(fd, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	http_drop_sockets(server);
	ck_assert_int_lt(connect(refused, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(errno, ECONNREFUSED);
	ck_answer(fd, "GET /echo/b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET b p=none body=0:");
}
END_TEST

/* Nothing that goes on in the background costs a turn of the loop. */
START_TEST(an_idle_server_sleeps) {
	CLEANUP(fd_close) int fd = -1;

	start(&http_limits_default);
	run_for(50 * USEC_PER_MSEC);
	ck_assert_int_eq(sd_event_run(event, 200 * USEC_PER_MSEC), 0);
	fd = client_connect("socket");
	ck_answer(fd, "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET a p=none body=0:");
	run_for(50 * USEC_PER_MSEC);
	ck_assert_int_eq(sd_event_run(event, 200 * USEC_PER_MSEC), 0);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_FIXTURE_CASE(suite, "requests", setup, teardown, answers_with_headers_and_body,
			 one_connection_has_many_requests, what_comes_at_once_is_answered_in_turn, head_has_no_body,
			 unknown_paths_and_methods_are_told, what_is_no_path_is_refused, tells_who_asks);
	ADD_FIXTURE_CASE(suite, "limits", setup, teardown, large_headers_are_refused, large_bodies_are_refused,
			 slow_senders_are_cut_off, idle_connections_are_closed, late_answers_have_no_deadline,
			 slow_readers_are_cut_off, large_answers_arrive_whole, large_answers_have_a_limit_together, one_answer_may_be_larger_than_all_may_be,
			 too_many_connections_are_closed_at_once);
	ADD_FIXTURE_CASE(suite, "going", setup, teardown, garbage_ends_the_connection,
			 clients_may_go_before_their_answer, clients_may_go_in_the_middle_of_a_request,
			 a_server_may_go_with_everything_open, sockets_may_go_without_their_connections,
			 an_idle_server_sleeps);
}

CHECK_MAIN("http", add_cases)
