/* SPDX-License-Identifier: MIT */
/* A broker's connection by itself: which address is next, TLS with a peer that is wrong, and sends that get stuck. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/connection.h"
#include "check_main.h"
#include "scratch.h"
#include "tls_peer.h"

static char host[] = "127.0.0.1", vhost[] = "/", user[] = "u", password[] = "s3cret", ca_file[] = "ca.pem";
static struct config_address addresses[3];
static struct config_broker config;
static struct connection connection;
static struct link *shared;
static struct peer peer;

static void setup(void) {
	scratch_setup();
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		addresses[i] =
			(struct config_address){.host = host, .vhost = vhost, .username = user, .password = password};
	config = (struct config_broker){
		.addresses = addresses,
		.n_addresses = 1,
		.connect_timeout_usec = 10 * USEC_PER_SEC,
		.tls = {.verify = true, .ca_file = ca_file},
	};
	peer = (struct peer){0};
	ck_assert_int_eq(link_new(8, &shared), 0);
	connection_init(&connection, shared, &config, false);
}

static void teardown(void) {
	connection_clear(&connection);
	link_unref(shared);
	scratch_teardown();
}

static void use_peer(enum peer_mode mode, bool tls, const char *names) {
	peer.mode = mode;
	peer.tls = tls;
	peer_start(&peer, names, ca_file);
	addresses[0].port = peer.port;
	addresses[0].tls = tls;
}

static int go_on(void *userdata) {
	return 0;
}

static int open_connection(void) {
	return connection_open(&connection, -1, go_on, NULL);
}

START_TEST(addresses_are_tried_in_turn) {
	config.n_addresses = 3;
	ck_assert_ptr_eq(connection_address(&connection), &addresses[0]);
	for (int round = 0; round < 3; round++) {
		ck_assert(!connection_next_address(&connection));
		ck_assert_ptr_eq(connection_address(&connection), &addresses[1]);
		ck_assert(!connection_next_address(&connection));
		ck_assert_ptr_eq(connection_address(&connection), &addresses[2]);
		ck_assert(connection_next_address(&connection));
		ck_assert_ptr_eq(connection_address(&connection), &addresses[0]);
	}
}
END_TEST

START_TEST(only_address_is_always_waited_for) {
	for (int i = 0; i < 3; i++) {
		ck_assert(connection_next_address(&connection));
		ck_assert_ptr_eq(connection_address(&connection), &addresses[0]);
	}
}
END_TEST

/* The one that worked is lost: all others come before a wait. */
START_TEST(success_begins_a_new_round) {
	config.n_addresses = 3;
	ck_assert(!connection_next_address(&connection));
	ck_assert(!connection_next_address(&connection));
	connection.up_usec = clock_now_usec() - 3600 * USEC_PER_SEC;
	ck_assert_ptr_eq(connection_address(&connection), &addresses[2]);
	ck_assert(!connection_next_address(&connection));
	ck_assert(!connection_next_address(&connection));
	ck_assert(connection_next_address(&connection));
	ck_assert_ptr_eq(connection_address(&connection), &addresses[2]);
}
END_TEST

/* Brokers that log us in and drop us are not tried in turn without a pause. */
START_TEST(short_success_does_not) {
	config.n_addresses = 2;
	for (int i = 0; i < 4; i++) {
		connection.up_usec = clock_now_usec();
		ck_assert_int_eq(connection_next_address(&connection), i % 2);
	}
}
END_TEST

START_TEST(closed_port_has_a_reason_with_and_without_tls) {
	addresses[0].port = 1;
	peer.tls = true;
	peer.ctx = SSL_CTX_new(TLS_server_method());
	peer_make_certificate(peer.ctx, "DNS:localhost", ca_file);
	SSL_CTX_free(peer.ctx);
	for (int tls = 0; tls < 2; tls++) {
		addresses[0].tls = tls;
		ck_assert_int_lt(open_connection(), 0);
		ck_assert_str_eq(connection.reason, "cannot connect to 127.0.0.1 port 1: Connection refused");
	}
}
END_TEST

static void check_login(bool tls) {
	amqp_frame_t frame;

	use_peer(PEER_LOGS_IN, tls, "IP:127.0.0.1");
	ck_assert_msg(open_connection() == 0, "%s", connection.reason);
	ck_assert(connection.up);
	/* Several frames in one record are all read before the socket is polled. */
	for (int i = 0; i < 3; i++) {
		uint64_t until = clock_now_usec() + 20 * USEC_PER_SEC;
		int r;

		while ((r = connection_read(&connection, &frame)) == 0 && clock_now_usec() < until)
			usleep(1000);
		ck_assert_int_eq(r, 1);
		ck_assert_uint_eq(frame.payload.method.id, AMQP_CONNECTION_UNBLOCKED_METHOD);
		connection_release(&connection, &frame);
		ck_assert_int_eq(connection_has_buffered(&connection), i < 2);
	}
	ck_assert_int_eq(connection_read(&connection, &frame), 0);
	ck_assert(!connection_has_buffered(&connection));
	connection_drop(&connection);
	ck_assert(!connection.up);
	peer_stop(&peer);
}

START_TEST(login_and_frames) {
	check_login(false);
}
END_TEST

START_TEST(login_and_frames_over_tls) {
	check_login(true);
}
END_TEST

START_TEST(publisher_says_so_in_its_name) {
	char name[] = "the mail room";

	config.connection_name = name;
	connection_clear(&connection);
	connection_init(&connection, shared, &config, true);
	use_peer(PEER_LOGS_IN, false, NULL);
	ck_assert_int_eq(open_connection(), 0);
	ck_assert_ptr_nonnull(memmem(peer.start_ok, peer.start_ok_len, "the mail room (publisher)", 25));
	connection_drop(&connection);
	peer_stop(&peer);
}
END_TEST

START_TEST(wrong_host_is_named) {
	char name[] = "mail.example.";

	use_peer(PEER_LOGS_IN, true,
		 "DNS:a.example,IP:192.0.2.1,DNS:b.example,IP:2001:db8::1,DNS:c.example,DNS:d.example");
	ck_assert_int_eq(open_connection(), -EPROTO);
	ck_assert_str_eq(
		connection.reason,
		"the broker's certificate is for another host: expected 127.0.0.1, the certificate is for a.example, "
		"192.0.2.1, b.example, 2001:db8::1, c.example, ...");
	/* An IP address is no wildcard for a name, nor is part of one. */
	config.tls.server_name = name;
	ck_assert_int_eq(open_connection(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(connection.reason, "expected mail.example, "));
	ck_assert(!connection.state);
	peer_stop(&peer);
}
END_TEST

START_TEST(server_name_takes_the_place_of_the_host) {
	char name[] = "one.mail.example.";

	config.tls.server_name = name;
	use_peer(PEER_LOGS_IN, true, "DNS:*.mail.example");
	ck_assert_msg(open_connection() == 0, "%s", connection.reason);
	connection_drop(&connection);
	peer_stop(&peer);
}
END_TEST

START_TEST(unknown_ca_is_refused_and_may_be_accepted) {
	char other[] = "other.pem";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	peer_make_certificate(ctx, "IP:127.0.0.1", other);
	SSL_CTX_free(ctx);
	config.tls.ca_file = other;
	use_peer(PEER_LOGS_IN, true, "IP:127.0.0.1");
	ck_assert_int_eq(open_connection(), -EPROTO);
	ck_assert_str_eq(connection.reason,
			 "the broker's certificate comes from an unknown CA: it signed itself, and is not trusted "
			 "by other.pem");
	config.tls.ca_file = NULL;
	ck_assert_int_eq(open_connection(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(connection.reason, "not trusted by this system"));
	config.tls.verify = false;
	ck_assert_msg(open_connection() == 0, "%s", connection.reason);
	connection_drop(&connection);
	peer_stop(&peer);
}
END_TEST

static void check_bad_peer(enum peer_mode mode, const char *reason) {
	use_peer(mode, true, "IP:127.0.0.1");
	ck_assert_int_lt(open_connection(), 0);
	ck_assert_str_eq(connection.reason, reason);
	peer_stop(&peer);
}

START_TEST(peer_that_speaks_no_tls) {
	check_bad_peer(PEER_TALKS_HTTP, "the peer does not speak TLS: is this the port for amqps?");
}
END_TEST

START_TEST(peer_that_hangs_up) {
	check_bad_peer(PEER_HANGS_UP, "the peer ended the connection during the TLS handshake");
}
END_TEST

START_TEST(peer_that_says_nothing) {
	uint64_t start = clock_now_usec();

	config.connect_timeout_usec = 300 * USEC_PER_MSEC;
	check_bad_peer(PEER_MUTE, "the TLS handshake was not over in time");
	ck_assert_uint_lt(clock_now_usec() - start, 10 * USEC_PER_SEC);
}
END_TEST

START_TEST(files_that_are_no_use) {
	char missing[] = "missing.pem", text[] = "text.pem";

	addresses[0].tls = true;
	scratch_write(text, 0600, "no certificate\n");
	config.tls.ca_file = missing;
	ck_assert_int_lt(open_connection(), 0);
	ck_assert_str_eq(connection.reason, "cannot read missing.pem: No such file or directory");
	config.tls.ca_file = text;
	ck_assert_int_lt(open_connection(), 0);
	ck_assert_ptr_nonnull(strstr(connection.reason, "text.pem does not hold certificates in PEM form"));
	config.tls.ca_file = NULL;
	config.tls.cert_file = text;
	ck_assert_int_lt(open_connection(), 0);
	ck_assert_ptr_nonnull(strstr(connection.reason, "text.pem does not hold certificates in PEM form"));
}
END_TEST

static atomic_uint sent;
static int send_result;

static void *send_until_it_fails(void *arg) {
	amqp_basic_ack_t ack = {.delivery_tag = 1};
	int r;

	while ((r = connection_send(&connection, 1, AMQP_BASIC_ACK_METHOD, &ack)) == 0)
		atomic_fetch_add(&sent, 1);
	send_result = r;
	return NULL;
}

/* Fills the socket of a peer that has stopped reading, on a thread of its own, until nothing moves. */
static pthread_t get_stuck(bool tls, unsigned heartbeat) {
	unsigned before = 0, same = 0;
	pthread_t thread;

	config.heartbeat = heartbeat;
	use_peer(PEER_LOGS_IN, tls, "IP:127.0.0.1");
	ck_assert_msg(open_connection() == 0, "%s", connection.reason);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_until_it_fails, NULL), 0);
	while (same < 30) {
		unsigned now = atomic_load(&sent);

		same = now == before && now > 0 ? same + 1 : 0;
		before = now;
		usleep(10000);
	}
	return thread;
}

static void check_freed(pthread_t thread, uint64_t limit_usec) {
	uint64_t start = clock_now_usec();

	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_lt(clock_now_usec() - start, limit_usec);
	ck_assert_int_eq(send_result, -ECONNABORTED);
	ck_assert_ptr_nonnull(strstr(connection.reason, "connection to the broker"));
	ck_assert(!connection.up);
	peer_stop(&peer);
}

/* TCP_USER_TIMEOUT, of two heartbeats. */
START_TEST(stuck_send_ends_by_itself) {
	check_freed(get_stuck(_i == 1, 1), 30 * USEC_PER_SEC);
}
END_TEST

/* The main thread shuts the socket down: long before the 60 seconds that it would take without. */
START_TEST(stuck_send_is_freed_by_the_main_thread) {
	pthread_t thread = get_stuck(_i == 1, 0);

	link_shutdown(shared, false);
	check_freed(thread, 20 * USEC_PER_SEC);
}
END_TEST

static void *shut_down_soon(void *arg) {
	usleep(300000);
	link_shutdown(shared, true);
	return NULL;
}

/* The handshake is part of the login. */
START_TEST(stop_ends_a_handshake) {
	uint64_t start = clock_now_usec();
	pthread_t thread;

	config.connect_timeout_usec = 50 * USEC_PER_SEC;
	use_peer(PEER_MUTE, true, "IP:127.0.0.1");
	ck_assert_int_eq(pthread_create(&thread, NULL, shut_down_soon, NULL), 0);
	ck_assert_int_lt(open_connection(), 0);
	ck_assert_uint_lt(clock_now_usec() - start, 20 * USEC_PER_SEC);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	peer_stop(&peer);
}
END_TEST

static void check_name(const char *name, const char *expected, bool is_address) {
	const struct config_tls tls = {.verify = true};
	struct tls t;

	tls_init(&t, &tls, name, NULL, NULL);
	ck_assert_str_eq(t.name, expected);
	ck_assert_int_eq(t.name_is_ip, is_address);
}

START_TEST(names_are_as_certificates_have_them) {
	check_name("mail.example", "mail.example", false);
	check_name("mail.example.", "mail.example", false);
	check_name("192.0.2.1", "192.0.2.1", true);
	check_name("2001:db8::1", "2001:db8::1", true);
	check_name("fe80::1%eth0", "fe80::1", true);
	check_name("1.2.3.4.example", "1.2.3.4.example", false);
}
END_TEST

int main(void) {
	Suite *s = suite_create("connection");
	TCase *t = tcase_create("connection");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, addresses_are_tried_in_turn);
	tcase_add_test(t, only_address_is_always_waited_for);
	tcase_add_test(t, success_begins_a_new_round);
	tcase_add_test(t, short_success_does_not);
	tcase_add_test(t, closed_port_has_a_reason_with_and_without_tls);
	tcase_add_test(t, login_and_frames);
	tcase_add_test(t, login_and_frames_over_tls);
	tcase_add_test(t, publisher_says_so_in_its_name);
	tcase_add_test(t, wrong_host_is_named);
	tcase_add_test(t, server_name_takes_the_place_of_the_host);
	tcase_add_test(t, unknown_ca_is_refused_and_may_be_accepted);
	tcase_add_test(t, peer_that_speaks_no_tls);
	tcase_add_test(t, peer_that_hangs_up);
	tcase_add_test(t, peer_that_says_nothing);
	tcase_add_test(t, files_that_are_no_use);
	tcase_add_loop_test(t, stuck_send_ends_by_itself, 0, 2);
	tcase_add_loop_test(t, stuck_send_is_freed_by_the_main_thread, 0, 2);
	tcase_add_test(t, stop_ends_a_handshake);
	tcase_add_test(t, names_are_as_certificates_have_them);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
