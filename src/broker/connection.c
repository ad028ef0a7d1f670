/* SPDX-License-Identifier: MIT */
#include "broker/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "autoconf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "broker/error.h"
#include "broker/wait.h"

/* Never 0, which crashes librabbitmq 0.15; brokers from 4.1 on need at least 8192. */
#define FRAME_MAX 131072
/* The largest frame that is accepted. The broker does not keep to the negotiated size for message headers: one that was
 * published just below it grows by what dead-lettering adds, and comes in one larger frame, again and again. */
#define FRAME_ACCEPTED_MAX (1024 * 1024)
#define POOL_PAGE 4096
#define HANDSHAKE_MIN_USEC USEC_PER_SEC
/* Name resolution knows no deadline of ours: glibc gives up after two rounds of 5 seconds for each of up to three
 * servers. */
#define RESOLVE_USEC (30 * USEC_PER_SEC)

/* A connection that was up for less has not shown that its address works: two brokers that both drop us at once would
 * otherwise be tried in turn without end and without a pause. */
#define STABLE_USEC (10 * USEC_PER_SEC)
#define PUBLISHER_SUFFIX " (publisher)"

#define LITERAL(s) ((amqp_bytes_t){.len = sizeof(s) - 1, .bytes = (char[]){s}})

void connection_init(struct connection *c, struct link *link, const struct config_broker *broker, bool publisher) {
	*c = (struct connection){.link = link, .broker = broker, .publisher = publisher};
	init_amqp_pool(&c->pool, POOL_PAGE);
}

const struct config_address *connection_address(const struct connection *c) {
	return &c->broker->addresses[c->address];
}

bool connection_next_address(struct connection *c) {
	if (c->up_usec && clock_now_usec() - c->up_usec >= STABLE_USEC)
		c->tried = 0;
	c->up_usec = 0;
	c->address = (c->address + 1) % c->broker->n_addresses;
	if (++c->tried < c->broker->n_addresses)
		return false;
	c->tried = 0;
	return true;
}

void connection_clear(struct connection *c) {
	connection_drop(c);
	empty_amqp_pool(&c->pool);
}

static int fail(struct connection *c, enum broker_failure failure, const char *format, va_list args) {
	(void)vsnprintf(c->reason, sizeof(c->reason), format, args);
	c->failure = failure;
	c->up = false;
	return -ECONNABORTED;
}

int connection_fail(struct connection *c, const char *format, ...) {
	va_list args;
	int r;

	va_start(args, format);
	r = fail(c, BROKER_FAILURE_OTHER, format, args);
	va_end(args);
	return r;
}

int connection_fail_as(struct connection *c, enum broker_failure failure, const char *format, ...) {
	va_list args;
	int r;

	va_start(args, format);
	r = fail(c, failure, format, args);
	va_end(args);
	return r;
}

/* What the library could not do on a connection that was up. */
static int fail_by_status(struct connection *c, int status) {
	enum broker_failure failure = BROKER_FAILURE_OTHER;

	switch (status) {
	case AMQP_STATUS_HEARTBEAT_TIMEOUT:
		failure = BROKER_FAILURE_HEARTBEAT;
		break;
	case AMQP_STATUS_CONNECTION_CLOSED:
	case AMQP_STATUS_SOCKET_ERROR:
	case AMQP_STATUS_TCP_ERROR:
	case AMQP_STATUS_SSL_ERROR:
	case AMQP_STATUS_TIMEOUT:
		failure = BROKER_FAILURE_LOST;
		break;
	default:
		break;
	}
	return connection_fail_as(c, failure, "%s", error_from_status(status));
}

void connection_drop(struct connection *c) {
	c->up = false;
	if (!c->state)
		return;
	(void)link_set_socket(c->link, -1, false);
	(void)amqp_destroy_connection(c->state);
	c->state = NULL;
	tls_clear(&c->tls);
}

static amqp_table_entry_t entry_text(const char *name, const char *value) {
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t entry_true(const char *name) {
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
				    .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

/* As the broker lists it: the configured name, or one made from ours. */
static void connection_name(const struct connection *c, struct strbuf *b) {
	char host[256];

	if (c->name) {
		strbuf_append_str(b, c->name);
	} else if (c->broker->connection_name) {
		strbuf_append_str(b, c->broker->connection_name);
	} else {
		if (gethostname(host, sizeof(host)) < 0)
			(void)snprintf(host, sizeof(host), "an unknown host");
		host[sizeof(host) - 1] = '\0';
		strbuf_printf(b, "amqp-execd on %s", host);
	}
	if (c->publisher)
		strbuf_append_str(b, PUBLISHER_SUFFIX);
}

static amqp_rpc_reply_t login(struct connection *c, const char *name) {
	const struct config_address *address = connection_address(c);
	amqp_table_entry_t capabilities[] = {
		entry_true("consumer_cancel_notify"),
		entry_true("connection.blocked"),
		entry_true("publisher_confirms"),
		entry_true("authentication_failure_close"),
		entry_true("basic.nack"),
	};
	amqp_table_entry_t properties[] = {
		entry_text("product", "amqp-execd"),
		entry_text("version", PACKAGE_VERSION),
		entry_text("connection_name", name),
		{.key = amqp_cstring_bytes("capabilities"),
		 .value = {.kind = AMQP_FIELD_KIND_TABLE,
			   .value.table = {.num_entries = ARRAY_SIZE(capabilities), .entries = capabilities}}},
	};
	const amqp_table_t table = {.num_entries = ARRAY_SIZE(properties), .entries = properties};

	/* RabbitMQ takes the user's name from the certificate, whatever is said here; to say nothing is an error for
	 * the library. */
	if (c->broker->auth == CONFIG_AUTH_EXTERNAL)
		return amqp_login_with_properties(c->state, address->vhost, 0, FRAME_MAX, (int)c->broker->heartbeat,
						  &table, AMQP_SASL_METHOD_EXTERNAL, address->username);
	return amqp_login_with_properties(c->state, address->vhost, 0, FRAME_MAX, (int)c->broker->heartbeat, &table,
					  AMQP_SASL_METHOD_PLAIN, address->username, address->password);
}

static int login_broke(struct connection *c, int status) {
	char text[REASON_MAX];

	if (connection_address(c)->tls && tls_told_why(&c->tls, c->link->fd, text, sizeof(text)))
		return connection_fail_as(c, BROKER_FAILURE_TLS, "%s", text);
	if (status == AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD && c->broker->auth == CONFIG_AUTH_EXTERNAL)
		return connection_fail_as(c, BROKER_FAILURE_LOGIN,
					  "the broker does not offer the authentication mechanism EXTERNAL, the login by client "
					  "certificate (auth)");
	/* A listener for TLS hangs up on somebody who speaks AMQP at once. */
	if (!connection_address(c)->tls &&
	    (status == AMQP_STATUS_SOCKET_ERROR || status == AMQP_STATUS_CONNECTION_CLOSED))
		return connection_fail_as(c, BROKER_FAILURE_LOGIN, "login failed: %s (is it a port for amqps?)", error_from_status(status));
	return connection_fail_as(c, BROKER_FAILURE_LOGIN, "login failed: %s", error_from_status(status));
}

static int login_failed(struct connection *c, const amqp_rpc_reply_t *reply) {
	char text[REASON_MAX];

	if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = reply->reply.decoded;

		c->close_code = close->reply_code;
		if (close->reply_code == AMQP_ACCESS_REFUSED)
			c->login_refused = c->refused = true;
		error_from_close(close->reply_code, &close->reply_text, text, sizeof(text));
		return connection_fail_as(c, BROKER_FAILURE_LOGIN, "%s", text);
	}
	if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return login_broke(c, reply->library_error);
	return connection_fail_as(c, BROKER_FAILURE_LOGIN, "login failed: the broker answered with something unexpected");
}

static int connection_login(struct connection *c, uint64_t timeout_usec) {
	const struct timeval timeout = {.tv_sec = (time_t)(timeout_usec / USEC_PER_SEC),
					.tv_usec = (suseconds_t)(timeout_usec % USEC_PER_SEC)};
	CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;
	amqp_rpc_reply_t reply;
	int status = amqp_set_handshake_timeout(c->state, &timeout);

	/* The handshake timeout ends with the tuning; the opening of the virtual host is an RPC, with a timeout of its
	 * own. */
	if (status == AMQP_STATUS_OK)
		status = amqp_set_rpc_timeout(c->state, &timeout);
	if (status != AMQP_STATUS_OK)
		return connection_fail(c, "%s", error_from_status(status));
	connection_name(c, &name);
	reply = login(c, strbuf_str(&name));
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return login_failed(c, &reply);
	c->channel_max = (unsigned)amqp_get_channel_max(c->state);
	c->frame_max = (unsigned)amqp_get_frame_max(c->state);
	c->heartbeat = (unsigned)amqp_get_heartbeat(c->state);
	/* The library aborts if it is in the middle of a frame, which it is not after the last answer of the login. */
	status = amqp_tune_connection(c->state, (int)c->channel_max, FRAME_ACCEPTED_MAX, (int)c->heartbeat);
	if (status != AMQP_STATUS_OK)
		return connection_fail(c, "%s", error_from_status(status));
	amqp_maybe_release_buffers(c->state);
	return 0;
}

static int connect_plain(struct connection *c, const struct dial *d) {
	CLEANUP(fd_close) int fd = -1;
	amqp_socket_t *socket;
	int r = dial(d, c->broker->connect_timeout_usec, c->reason, sizeof(c->reason), &fd);

	if (r < 0)
		return r;
	c->state = amqp_new_connection();
	socket = c->state ? amqp_tcp_socket_new(c->state) : NULL;
	if (!socket)
		return connection_fail(c, "out of memory");
	c->watch_error = link_set_socket(c->link, fd, true);
	amqp_tcp_socket_set_sockfd(socket, TAKE_FD(fd));
	return 0;
}

/* The library's socket is there, its handshake not yet. */
static void on_tls_connected(int fd, void *userdata) {
	struct connection *c = userdata;

	dial_tune(fd, c->broker->heartbeat);
	c->watch_error = link_set_socket(c->link, fd, true);
}

static int connect_tls(struct connection *c, const struct dial *d) {
	int r;

	c->state = amqp_new_connection();
	if (!c->state)
		return connection_fail(c, "out of memory");
	tls_init(&c->tls, &c->broker->tls, d->host, on_tls_connected, c);
	r = tls_open(&c->tls, c->state, d, c->broker->connect_timeout_usec, c->reason, sizeof(c->reason));
	if (r < 0 && tls_is_to_blame(&c->tls))
		c->failure = BROKER_FAILURE_TLS;
	return r;
}

static int connection_dial(struct connection *c, int wake_fd, int (*wake)(void *), void *userdata) {
	const struct config_address *address = connection_address(c);
	const struct dial d = {
		.host = address->host,
		.port = address->port,
		.heartbeat = c->broker->heartbeat,
		.wake_fd = wake_fd,
		.wake = wake,
		.userdata = userdata,
	};
	int r;

	c->watch_error = 0;
	c->failure = BROKER_FAILURE_UNREACHABLE;
	r = address->tls ? connect_tls(c, &d) : connect_plain(c, &d);
	if (r < 0)
		return r;
	if (c->watch_error < 0)
		return connection_fail(c, "cannot watch the connection: %s", strerror(-c->watch_error));
	/* A stop that came before the socket could be shut down would otherwise wait for the whole login. */
	return wake(userdata);
}

int connection_open(struct connection *c, int wake_fd, int (*wake)(void *), void *userdata) {
	uint64_t start = clock_now_usec();
	uint64_t timeout = c->broker->connect_timeout_usec;
	uint64_t spent;
	int r;

	if (c->tried == 0)
		c->login_refused = false;
	c->refused = false;
	c->close_code = 0;
	(void)link_was_unstuck(c->link);
	link_busy(c->link, clock_add_usec(start, clock_add_usec(timeout, RESOLVE_USEC)));
	r = connection_dial(c, wake_fd, wake, userdata);
	if (r == 0) {
		spent = clock_now_usec() - start;
		timeout = spent + HANDSHAKE_MIN_USEC < timeout ? timeout - spent : HANDSHAKE_MIN_USEC;
		/* Twice: the handshake and the RPC have one each. */
		link_busy(c->link, clock_add_usec(clock_now_usec(), clock_add_usec(2 * timeout, RESOLVE_USEC)));
		r = connection_login(c, timeout);
	}
	if (r < 0) {
		connection_drop(c);
		return r;
	}
	link_set_logged_in(c->link);
	c->up = true;
	c->up_usec = clock_now_usec();
	c->sent_usec = c->up_usec;
	return 0;
}

int connection_read(struct connection *c, amqp_frame_t *frame) {
	int status = amqp_simple_wait_frame_noblock(c->state, frame, &(struct timeval){0});

	if (status == AMQP_STATUS_OK)
		return 1;
	if (status == AMQP_STATUS_TIMEOUT)
		return 0;
	return fail_by_status(c, status);
}

void connection_release(struct connection *c, const amqp_frame_t *frame) {
	amqp_maybe_release_buffers_on_channel(c->state, frame->channel);
}

bool connection_has_buffered(const struct connection *c) {
	return amqp_frames_enqueued(c->state) || amqp_data_in_buffer(c->state) || tls_has_pending(&c->tls);
}

int connection_fd(const struct connection *c) {
	return amqp_get_sockfd(c->state);
}

int connection_send(struct connection *c, uint16_t channel, amqp_method_number_t id, void *method) {
	int status;

	if (!c->up)
		return -ECONNABORTED;
	status = amqp_send_method(c->state, channel, id, method);
	recycle_amqp_pool(&c->pool);
	if (status >= 0)
		return 0;
	if (status == AMQP_STATUS_TABLE_TOO_BIG || status == AMQP_STATUS_INVALID_PARAMETER) {
		/* Refused while it was encoded, before a byte of it was sent. */
		(void)snprintf(c->reason, sizeof(c->reason), "%s", error_from_status(status));
		return -EMSGSIZE;
	}
	return fail_by_status(c, status);
}

int connection_keep_alive(struct connection *c, uint64_t now_usec) {
	const amqp_frame_t heartbeat = {.frame_type = AMQP_FRAME_HEARTBEAT};
	int status;

	if (c->heartbeat == 0 || now_usec < c->sent_usec + c->heartbeat * USEC_PER_SEC / 2)
		return 0;
	c->sent_usec = now_usec;
	status = amqp_send_frame(c->state, &heartbeat);
	return status < 0 ? fail_by_status(c, status) : 0;
}

void connection_close(struct connection *c, uint64_t deadline_usec) {
	amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = LITERAL("amqp-execd stops")};
	amqp_frame_t frame;
	int r;

	if (!c->state)
		return;
	link_busy(c->link, clock_add_usec(deadline_usec, USEC_PER_SEC));
	r = connection_send(c, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
	while (r >= 0) {
		struct pollfd p = {.fd = connection_fd(c), .events = POLLIN};
		uint64_t now = clock_now_usec();

		r = connection_read(c, &frame);
		if (r > 0) {
			/* The broker may have had the same thought at the same time. */
			if (frame.frame_type == AMQP_FRAME_METHOD && frame.channel == 0 &&
			    (frame.payload.method.id == AMQP_CONNECTION_CLOSE_OK_METHOD ||
			     frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD))
				break;
			connection_release(c, &frame);
			continue;
		}
		if (now >= deadline_usec || atomic_load(&c->link->stop_now))
			break;
		if (r == 0)
			(void)poll(&p, 1, wait_msec(deadline_usec, now));
	}
	connection_drop(c);
}
