/* SPDX-License-Identifier: MIT */
#include "ctl/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "broker/error.h"
#include "broker/wait.h"
#include "config/url.h"
#include "ctl/interrupt.h"
#include "ctl/session_private.h"

#define FRAMES_PER_TURN 256
#define GOODBYE_USEC (5 * USEC_PER_SEC)

int session_fail(struct session *s, int r, int exit_status, const char *format, ...) {
	va_list args;

	va_start(args, format);
	(void)vsnprintf(s->reason, sizeof(s->reason), format, args);
	va_end(args);
	s->exit_status = exit_status;
	return r;
}

const char *session_reason(const struct session *s) {
	return s->reason[0] ? s->reason : "out of memory";
}

int session_exit_status(const struct session *s) {
	return s->exit_status;
}

unsigned session_close_code(const struct session *s) {
	return s->close_code;
}

const char *session_close_text(const struct session *s) {
	return s->close_text;
}

bool session_is_up(const struct session *s) {
	return s->connection.up;
}

const char *session_blocked(const struct session *s) {
	return s->blocked ? s->blocked_reason : NULL;
}

void session_watch_blocked(struct session *s, void (*changed)(void *userdata), void *userdata) {
	s->blocked_changed = changed;
	s->blocked_userdata = userdata;
}

static void set_blocked(struct session *s, bool blocked) {
	s->blocked = blocked;
	if (s->blocked_changed)
		s->blocked_changed(s->blocked_userdata);
}

void session_ignore_signals(struct session *s) {
	/* In this order: one that comes between the two counts, and is seen without the pipe. */
	s->signals = interrupt_count();
	interrupt_clear();
}

bool session_interrupted(const struct session *s) {
	return interrupt_count() > s->signals;
}

/* --- making and ending ------------------------------------------------------------------------------------------- */

static int make_name(const char *command, char **ret) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char host[256];

	if (gethostname(host, sizeof(host)) < 0)
		(void)snprintf(host, sizeof(host), "an unknown host");
	host[sizeof(host) - 1] = '\0';
	strbuf_printf(&b, "amqp-execctl %s (%s)", command, host);
	return strbuf_take(&b, ret);
}

int session_new(struct config *config, const struct config_broker *broker, const char *command, struct session **ret) {
	CLEANUP(session_free) struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	connection_init(&s->connection, NULL, broker, false);
	s->config = config_ref(config);
	s->broker = broker;
	s->exit_status = EXIT_FAILURE;
	r = make_name(command, &s->name);
	if (r == 0)
		r = link_new(1, &s->link);
	if (r < 0)
		return r;
	s->connection.link = s->link;
	s->connection.name = s->name;
	*ret = TAKE(s);
	return 0;
}

struct session *session_free(struct session *s) {
	if (!s)
		return NULL;
	if (s->connection.up)
		connection_close(&s->connection, clock_add_usec(clock_now_usec(), GOODBYE_USEC));
	for (size_t i = 0; i < SESSION_CHANNELS_MAX; i++)
		session_channel_free(s->channels[i]);
	connection_clear(&s->connection);
	link_unref(s->link);
	config_unref(s->config);
	free(s->name);
	free(s->where);
	free(s);
	return NULL;
}

const char *session_where(struct session *s) {
	const struct config_address *a = connection_address(&s->connection);
	const struct url url = {
		.tls = a->tls, .host = a->host, .port = a->port, .vhost = a->vhost, .username = a->username};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	free(s->where);
	s->where = NULL;
	url_format(&url, &b);
	return strbuf_take(&b, &s->where) == 0 ? s->where : a->host;
}

static int on_wake(void *userdata) {
	return session_interrupted(userdata) ? -EINTR : 0;
}

int session_connect(struct session *s) {
	struct connection *c = &s->connection;
	bool refused = false;
	int r;

	do {
		r = connection_open(c, interrupt_fd(), on_wake, s);
		if (r == 0)
			return 0;
		if (r == -EINTR)
			return session_fail(s, r, EXIT_FAILURE, "interrupted");
		s->close_code = c->close_code;
		refused |= c->close_code == AMQP_ACCESS_REFUSED || c->close_code == AMQP_NOT_ALLOWED;
		(void)session_fail(s, r, refused ? EX_NOPERM : EX_UNAVAILABLE, "cannot connect to %s: %s",
				   session_where(s), c->reason);
	} while (!connection_next_address(c));
	return -ECONNABORTED;
}

int session_lost(struct session *s) {
	/* Not s->close_code, which may be that of a channel long ago. */
	unsigned code = s->connection.close_code;
	int status = EX_UNAVAILABLE;

	if (code == AMQP_ACCESS_REFUSED || code == AMQP_NOT_ALLOWED)
		status = EX_NOPERM;
	/* What was asked for is what ends it, and would each time: basic.get from a stream. */
	if (code == AMQP_NOT_IMPLEMENTED)
		status = EXIT_FAILURE;
	(void)session_fail(s, 0, status, "%s: %s",
			   status == EXIT_FAILURE ? "the broker has closed the connection" : "the connection is lost",
			   s->connection.reason);
	s->blocked = false;
	connection_drop(&s->connection);
	for (size_t i = 0; i < SESSION_CHANNELS_MAX; i++)
		if (s->channels[i])
			session_channel_down(s->channels[i], s->reason);
	return -ECONNABORTED;
}

void session_give_up(struct session *s, const char *reason) {
	for (size_t i = 0; i < SESSION_CHANNELS_MAX; i++)
		if (s->channels[i])
			session_channel_down(s->channels[i], reason);
	if (!s->connection.up)
		return;
	(void)connection_fail(&s->connection, "%s", reason);
	(void)session_lost(s);
}

int session_sent(struct session *s, int r) {
	if (r == -EMSGSIZE)
		return session_fail(s, r, EXIT_FAILURE, "%s", s->connection.reason);
	return r < 0 ? session_lost(s) : 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* Frames of the connection as a whole. */
static int connection_frame(struct session *s, const amqp_frame_t *frame) {
	amqp_method_number_t id = frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;
	char reason[REASON_MAX];

	if (id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = frame->payload.method.decoded;
		amqp_connection_close_ok_t ok = {0};

		s->close_code = s->connection.close_code = close->reply_code;
		error_format_text(&close->reply_text, s->close_text, sizeof(s->close_text));
		error_from_close(close->reply_code, &close->reply_text, reason, sizeof(reason));
		(void)connection_send(&s->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
		return connection_fail(&s->connection, "%s", reason);
	}
	if (id == AMQP_CONNECTION_BLOCKED_METHOD) {
		const amqp_connection_blocked_t *blocked = frame->payload.method.decoded;

		error_format_text(&blocked->reason, s->blocked_reason, sizeof(s->blocked_reason));
		set_blocked(s, true);
	} else if (id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
		set_blocked(s, false);
	}
	return 0;
}

static int take_frame(struct session *s, const amqp_frame_t *frame) {
	unsigned number = frame->channel;

	if (number == 0)
		return connection_frame(s, frame);
	if (number > SESSION_CHANNELS_MAX || !s->channels[number - 1])
		return 0;
	return session_channel_frame(s->channels[number - 1], frame);
}

/* Reads what there is: how many frames. */
static int read_frames(struct session *s) {
	amqp_frame_t frame;
	int n = 0, r = 1;

	if (!s->connection.up)
		return -ECONNABORTED;
	while (n < FRAMES_PER_TURN && (r = connection_read(&s->connection, &frame)) > 0) {
		r = take_frame(s, &frame);
		if (r < 0)
			break;
		connection_release(&s->connection, &frame);
		n++;
	}
	return r < 0 ? session_lost(s) : n;
}

/* The library looks after heartbeats when it is called. */
static int poll_msec(const struct session *s, uint64_t deadline, uint64_t now) {
	unsigned heartbeat = s->connection.heartbeat;
	uint64_t turn = heartbeat ? now + heartbeat * USEC_PER_SEC / 4 : USEC_INFINITY;

	return wait_msec(turn < deadline ? turn : deadline, now);
}

int session_poll(struct session *s, int fd, bool want_write, unsigned signals, uint64_t deadline_usec) {
	for (;;) {
		struct pollfd p[] = {
			{.fd = -1, .events = (short)(POLLIN | (want_write ? POLLOUT : 0))},
			{.fd = interrupt_fd(), .events = POLLIN},
			{.fd = fd, .events = POLLIN},
		};
		int n = read_frames(s), flags = 0;
		uint64_t now = clock_now_usec();

		if (n != 0)
			return n < 0 ? n : SESSION_CAME;
		if (interrupt_count() > s->signals + signals)
			return session_fail(s, -EINTR, EXIT_FAILURE, "interrupted");
		if (interrupt_count() > s->signals)
			p[1].fd = -1; /* it is readable */
		p[0].fd = connection_fd(&s->connection);
		n = poll(p, ARRAY_SIZE(p), poll_msec(s, deadline_usec, now));
		if (n < 0 && errno != EINTR) {
			(void)connection_fail(&s->connection, "poll: %s", strerror(errno));
			return session_lost(s);
		}
		if (n > 0) {
			flags |= p[0].revents & POLLOUT ? SESSION_WRITABLE : 0;
			flags |= p[2].revents ? SESSION_READABLE : 0;
		}
		if (flags)
			return flags;
		/* Pieces of a frame that never ends are no reason to go on. */
		if (now >= deadline_usec || (n == 0 && clock_now_usec() >= deadline_usec))
			return session_fail(s, -ETIMEDOUT, EX_TEMPFAIL, "the time is over");
	}
}

int session_wait(struct session *s, int fd, uint64_t deadline_usec) {
	int r = session_poll(s, fd, false, 0, deadline_usec);

	return r < 0 ? r : r & SESSION_READABLE ? 1 : 0;
}
