/* SPDX-License-Identifier: MIT */
/* What worker mode is measured against: consumes N messages of a queue and acknowledges each, with the broker library and nothing
 * else. bare_consume PORT QUEUE PREFETCH N */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<rabbitmq-c/amqp.h>)
#define NEW_HEADERS 1
#endif
#endif
#ifdef NEW_HEADERS
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

static void must(int right, const char *what) {
	if (right)
		return;
	fprintf(stderr, "bare_consume: %s\n", what);
	exit(1);
}

int main(int argc, char **argv) {
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *s = c ? amqp_tcp_socket_new(c) : NULL;
	unsigned long n;

	must(argc == 5 && s, "usage: bare_consume PORT QUEUE PREFETCH N");
	n = strtoul(argv[4], NULL, 10);
	must(amqp_socket_open(s, "127.0.0.1", atoi(argv[1])) == AMQP_STATUS_OK, "cannot connect");
	must(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type == AMQP_RESPONSE_NORMAL,
	     "cannot log in");
	must(amqp_channel_open(c, 1) != NULL, "cannot open a channel");
	must(amqp_basic_qos(c, 1, 0, (uint16_t)atoi(argv[3]), 0) != NULL, "cannot set the prefetch");
	must(amqp_basic_consume(c, 1, amqp_cstring_bytes(argv[2]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table) != NULL,
	     "cannot consume");
	for (unsigned long i = 0; i < n; i++) {
		amqp_envelope_t e;

		amqp_maybe_release_buffers(c);
		must(amqp_consume_message(c, &e, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "no message");
		must(amqp_basic_ack(c, 1, e.delivery_tag, 0) == AMQP_STATUS_OK, "cannot acknowledge");
		amqp_destroy_envelope(&e);
	}
	(void)amqp_connection_close(c, AMQP_REPLY_SUCCESS);
	(void)amqp_destroy_connection(c);
	return 0;
}
