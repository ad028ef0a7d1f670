/* SPDX-License-Identifier: MIT */
#include "service/http.h"
#include "service/http_private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* How many connections are accepted in one turn of the loop. */
#define HTTP_ACCEPT_MAX 16
/* How long listening sockets rest when there are no descriptors: they would be reported as readable all the time. */
#define HTTP_REST_USEC USEC_PER_SEC
#define HTTP_ACCURACY_USEC (50 * USEC_PER_MSEC)
/* What the library keeps in a connection's memory beside a request's headers: its own structures, and the headers of the answer. */
#define HTTP_POOL_EXTRA 8192

/* A listening socket. */
struct http_socket {
	struct list node;
	struct http_server *server; /* borrowed: the owner */
	int fd;			    /* owned */
	sd_event_source *source;    /* owned */
};

const struct http_limits http_limits_default = {
	.connections = 64,
	.header_size = 16 * 1024,
	.body_size = 64 * 1024,
	.answers_size = 64 * 1024 * 1024,
	.request_usec = 10 * USEC_PER_SEC,
	.response_usec = 30 * USEC_PER_SEC,
};

/* --- the library's loop within ours ------------------------------------------------------------------------------ */

/* Lets the library do what can be done, and notes when it wants to be called next. */
static void http_run(struct http_server *s) {
	MHD_UNSIGNED_LONG_LONG msec;

	(void)MHD_run(s->daemon);
	if (MHD_get_timeout(s->daemon, &msec) != MHD_YES) {
		sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(s->timer, clock_add_usec(clock_now_usec(), msec * USEC_PER_MSEC));
	sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

void http_wake(struct http_server *s) {
	sd_event_source_set_time(s->timer, 0);
	sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_library_event(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	http_run(userdata);
	return 0;
}

static int on_library_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	http_run(userdata);
	return 0;
}

static void on_library_log(void *userdata, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* What clients do wrong is no news of ours. */
static void on_library_log(void *userdata, const char *format, va_list args) {
	CLEANUP(strbuf_free) struct strbuf raw = STRBUF_INIT, text = STRBUF_INIT;

	if (!log_enabled(LOG_DEBUG))
		return;
	strbuf_vprintf(&raw, format, args);
	while (raw.len > 0 && raw.data[raw.len - 1] == '\n')
		raw.len--;
	strbuf_append_escaped(&text, strbuf_str(&raw), raw.len);
	log_debug("http: %s", strbuf_str(&text));
}

/* --- connections ------------------------------------------------------------------------------------------------- */

/* The library sees the end of the stream, and closes it as if the client had. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
	struct http_connection *c = userdata;

	(void)shutdown(c->fd, SHUT_RDWR);
	return 0;
}

void http_connection_set_deadline(struct http_connection *c, uint64_t usec) {
	uint64_t due = clock_add_usec(clock_now_usec(), usec);
	int r;

	if (!c->deadline)
		r = sd_event_add_time(c->server->event, &c->deadline, CLOCK_MONOTONIC, due, HTTP_ACCURACY_USEC, on_deadline, c);
	else
		r = sd_event_source_set_time(c->deadline, due);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->deadline, usec == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
	if (r < 0)
		(void)shutdown(c->fd, SHUT_RDWR);
}

/* Also where the groups cannot be told: then the peer has none but its first one. */
static void peer_read(struct http_connection *c) {
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t none;
	int domain;

	if (getsockopt(c->fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof(domain)}) < 0 || domain != AF_UNIX ||
	    getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	c->peer = (struct http_peer){.known = true, .pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
	len = 0;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, &none, &len) == 0 || errno != ERANGE || len == 0)
		return;
	c->groups = malloc(len);
	if (!c->groups || getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, c->groups, &len) < 0)
		return;
	c->peer.groups = c->groups;
	c->peer.n_groups = len / sizeof(gid_t);
}

static struct http_connection *connection_free(struct http_connection *c) {
	if (!c)
		return NULL;
	list_remove(&c->node);
	sd_event_source_disable_unref(c->deadline);
	http_request_free(c->request);
	free(c->groups);
	free(c);
	return NULL;
}

/* Without memory for it the connection has no context, and its requests end it. */
static void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code) {
	struct http_server *s = cls;
	struct http_connection *c;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		*context = connection_free(*context);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->server = s;
	c->mhd = mhd;
	c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	list_append(&s->connections, &c->node);
	peer_read(c);
	http_connection_set_deadline(c, s->limits.request_usec);
	*context = c;
}

/* --- listening sockets ------------------------------------------------------------------------------------------- */

static int on_rest_over(sd_event_source *source, uint64_t usec, void *userdata) {
	struct http_server *s = userdata;

	LIST_FOREACH(socket, &s->sockets, struct http_socket, node)
		sd_event_source_set_enabled(socket->source, SD_EVENT_ON);
	return 0;
}

static void http_rest(struct http_server *s, int error) {
	log_event(LOG_EVENT_CONTROL_REFUSED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_REASON", strerror(error))),
		  "cannot accept connections: %s; tried again in a second", strerror(error));
	LIST_FOREACH(socket, &s->sockets, struct http_socket, node)
		sd_event_source_set_enabled(socket->source, SD_EVENT_OFF);
	sd_event_source_set_time(s->rest, clock_add_usec(clock_now_usec(), HTTP_REST_USEC));
	sd_event_source_set_enabled(s->rest, SD_EVENT_ONESHOT);
}

/* False: there is nothing more to accept for now. */
static bool http_accept(struct http_server *s, int fd) {
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	int client = accept4(fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0) {
		/* These have to do with us, the others with this one connection. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			http_rest(s, errno);
		else if (errno != EAGAIN)
			return true;
		return false;
	}
	/* Beyond the limit this closes it: in the queue it would keep the socket readable, and the client waiting. */
	(void)MHD_add_connection(s->daemon, client, (struct sockaddr *)&address, len);
	return true;
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct http_socket *socket = userdata;
	struct http_server *s = socket->server;

	for (int i = 0; i < HTTP_ACCEPT_MAX; i++)
		if (!http_accept(s, fd))
			break;
	http_run(s);
	return 0;
}

static struct http_socket *socket_free(struct http_socket *socket) {
	if (!socket)
		return NULL;
	list_remove(&socket->node);
	sd_event_source_disable_unref(socket->source);
	fd_close(socket->fd);
	free(socket);
	return NULL;
}
DEFINE_CLEANUP(struct http_socket *, socket_free);

int http_add_socket(struct http_server *s, int fd) {
	CLEANUP(socket_free) struct http_socket *socket = calloc(1, sizeof(*socket));
	int r;

	if (!socket) {
		fd_close(fd);
		return -ENOMEM;
	}
	list_init(&socket->node);
	socket->server = s;
	socket->fd = fd;
	r = fd_set_nonblock(fd);
	if (r >= 0)
		r = sd_event_add_io(s->event, &socket->source, fd, EPOLLIN, on_socket, socket);
	if (r < 0)
		return r;
	list_append(&s->sockets, &socket->node);
	(void)TAKE(socket);
	return 0;
}

void http_drop_sockets(struct http_server *s) {
	LIST_FOREACH(socket, &s->sockets, struct http_socket, node)
		socket_free(socket);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static int http_start_daemon(struct http_server *s) {
	const union MHD_DaemonInfo *info;
	int r;

	/* No time limits of the library's: those begin anew with each byte. */
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		http_request_on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, s, MHD_OPTION_URI_LOG_CALLBACK,
		http_request_on_line, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
		http_request_on_completed, s, MHD_OPTION_CONNECTION_LIMIT, s->limits.connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, 2 * s->limits.header_size + HTTP_POOL_EXTRA, MHD_OPTION_CONNECTION_TIMEOUT,
		0U, MHD_OPTION_END);
	if (!s->daemon)
		return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = sd_event_add_io(s->event, &s->io, info->epoll_fd, EPOLLIN, on_library_event, s);
	if (r >= 0)
		r = sd_event_add_time(s->event, &s->timer, CLOCK_MONOTONIC, USEC_INFINITY, 1, on_library_timer, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(s->event, &s->rest, CLOCK_MONOTONIC, USEC_INFINITY, HTTP_ACCURACY_USEC, on_rest_over, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->rest, SD_EVENT_OFF);
	return r;
}

int http_new(sd_event *event, const struct http_limits *limits, const struct http_callbacks *callbacks, void *userdata,
	     struct http_server **ret) {
	CLEANUP(http_free) struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = event;
	s->limits = *limits;
	s->callbacks = callbacks;
	s->userdata = userdata;
	list_init(&s->sockets);
	list_init(&s->connections);
	r = http_start_daemon(s);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

struct http_server *http_free(struct http_server *s) {
	if (!s)
		return NULL;
	http_drop_sockets(s);
	/* The library aborts if connections still wait when it is stopped. */
	LIST_FOREACH(c, &s->connections, struct http_connection, node)
		if (c->request)
			http_request_abandon(c->request);
	/* Before what it has told us to watch is closed. */
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->rest);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	free(s);
	return NULL;
}
