/* SPDX-License-Identifier: MIT */
/* The manager's sockets: those that systemd hands over, and those that the configuration asks for. */
#include "manager_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

/* --- what is asked there ------------------------------------------------------------------------------------------ */

static int on_reload(void *userdata) {
	return manager_reload(userdata);
}

/* Those of earlier configurations, too, as far as they still consume. */
static void pause_all_of(struct manager *m, const struct config_queue *config) {
	LIST_FOREACH (s, &m->members, struct member, node) {
		if (member_is_named(s, config))
			queue_order_pause(s->queue);
	}
}

static int on_order(void *userdata, enum control_order order, const char *queue, const char *broker) {
	struct manager *m = userdata;

	if (m->state != MANAGER_RUNNING)
		return -ESHUTDOWN;
	LIST_FOREACH (s, &m->members, struct member, node) {
		const struct config_queue *config = queue_config(s->queue);

		if (s->leaving || strcmp(config->name, queue) != 0 || strcmp(config->broker->name, broker) != 0)
			continue;
		if (order == CONTROL_PAUSE) {
			pause_all_of(m, config);
		} else {
			queue_order_resume(s->queue);
			uplink_introduce(s->uplink, s->queue);
		}
		return 0;
	}
	return -ENOENT;
}

static const struct control_callbacks control_callbacks = {
	.look = manager_look, .reload = on_reload, .order = on_order,
	.handlers = manager_list_handlers, .kill = manager_kill_handler};
static const struct monitor_callbacks monitor_callbacks = {.look = manager_look};

/* --- sockets of systemd ------------------------------------------------------------------------------------------- */

static int take_inherited(struct manager *m, struct listen_inherited *in) {
	struct listening *l = &m->listening;
	int r = 0;

	if (in->control >= 0) {
		l->control_inherited = true;
		r = control_listen(l->control, TAKE_FD(in->control), in->control_group);
	}
	for (size_t i = 0; r >= 0 && i < in->n_monitor; i++) {
		l->monitor_inherited = true;
		r = monitor_add_socket(l->monitor, TAKE_FD(in->monitor[i]));
	}
	return r;
}

int manager_listen_init(struct manager *m) {
	struct listen_inherited in = LISTEN_INHERITED_INIT;
	int r = listen_inherit(&in);

	if (r >= 0)
		r = control_new(m->event, &control_callbacks, m, &m->listening.control);
	if (r >= 0)
		r = monitor_new(m->event, &monitor_callbacks, m, &m->listening.monitor);
	if (r >= 0)
		r = take_inherited(m, &in);
	listen_inherited_clear(&in);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
			  "cannot set up the control socket and the monitor: %s", strerror(-r));
	return r < 0 ? r : 0;
}

/* --- sockets of the configuration --------------------------------------------------------------------------------- */

static void socket_clear(struct monitor_socket *s) {
	free(s->host);
	fd_close(s->fd);
}

static void sockets_clear(struct monitor_sockets *s) {
	for (size_t i = 0; i < s->n; i++)
		socket_clear(&s->items[i]);
	free(s->items);
	*s = (struct monitor_sockets){0};
}

void listen_plan_clear(struct listen_plan *p) {
	listen_unix_free(p->control);
	sockets_clear(&p->monitor);
	*p = (struct listen_plan){0};
}

void manager_listen_clear(struct manager *m) {
	m->listening.control = control_free(m->listening.control);
	m->listening.monitor = monitor_free(m->listening.monitor);
	m->listening.control_socket = listen_unix_free(m->listening.control_socket);
	sockets_clear(&m->listening.monitor_sockets);
}

static bool is_same_text(const char *a, const char *b) {
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_address(const struct config_listen *a, const char *host, uint16_t port) {
	return a->port == port && strcmp(a->host, host) == 0;
}

static bool is_open(const struct monitor_sockets *open, const struct config_monitor *config) {
	if (open->n != config->n_listen)
		return false;
	for (size_t i = 0; i < open->n; i++) {
		if (!is_same_address(&config->listen[i], open->items[i].host, open->items[i].port))
			return false;
	}
	return true;
}

static bool control_says(const struct config_control *c) {
	return c->has_socket || c->group;
}

/* What was warned about already is no news. */
static bool control_is_news(const struct config *before, const struct config_control *c) {
	return control_says(c) &&
	       !(before && before->control.has_socket == c->has_socket &&
		 strcmp(before->control.socket, c->socket) == 0 && is_same_text(before->control.group, c->group));
}

static bool monitor_is_news(const struct config *before, const struct config_monitor *c) {
	bool news = !before || before->monitor.n_listen != c->n_listen;

	for (size_t i = 0; !news && i < c->n_listen; i++)
		news = !is_same_address(&before->monitor.listen[i], c->listen[i].host, c->listen[i].port);
	return news && c->n_listen > 0;
}

/* It is what is open that counts, and not what was configured before: what could not be had is tried again, and so is a
 * socket whose file somebody has removed. */
static int prepare_control(struct manager *m, const struct config_control *config, struct listen_plan *p,
			   char **ret_why) {
	const struct listen_unix *open = m->listening.control_socket;
	CLEANUP(free) char *why = NULL;
	int r;

	if (m->listening.control_inherited) {
		p->control_ignored = control_is_news(m->config, config);
		return 0;
	}
	if (!*config->socket) {
		p->control_changed = open != NULL;
		return 0;
	}
	if (open && listen_unix_is(open, config->socket, config->group))
		return 0;
	p->control_changed = true;
	r = listen_unix_new(config->socket, config->group, open, &p->control, &why);
	if (r >= 0)
		return 0;
	if (config->has_socket || config->group || r == -ENOMEM) {
		*ret_why = TAKE(why);
		return r;
	}
	log_event(LOG_EVENT_CONTROL_REFUSED, LOG_WARNING,
		  LOG_FIELDS(log_string("AMQP_REASON", why ? why : strerror(-r))), "no control socket: %s",
		  why ? why : strerror(-r));
	return 0;
}

/* The socket of that address which is open already, once more; -ENOENT: none is. */
static int duplicate_open(const struct manager *m, const struct config_listen *config, int *ret) {
	const struct monitor_sockets *open = &m->listening.monitor_sockets;

	for (size_t i = 0; i < open->n; i++) {
		if (is_same_address(config, open->items[i].host, open->items[i].port))
			return fd_duplicate(open->items[i].fd, ret);
	}
	return -ENOENT;
}

static int prepare_monitor(struct manager *m, const struct config_monitor *config, struct listen_plan *p,
			   char **ret_why) {
	struct monitor_sockets *sockets = &p->monitor;
	int r = 0;

	if (m->listening.monitor_inherited) {
		p->monitor_ignored = monitor_is_news(m->config, config);
		return 0;
	}
	if (is_open(&m->listening.monitor_sockets, config))
		return 0;
	p->monitor_changed = true;
	sockets->items = calloc(config->n_listen + 1, sizeof(*sockets->items));
	if (!sockets->items)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < config->n_listen; i++) {
		const struct config_listen *listen = &config->listen[i];
		struct monitor_socket *socket = &sockets->items[sockets->n++];

		*socket = (struct monitor_socket){.host = strdup(listen->host), .port = listen->port, .fd = -1};
		r = socket->host ? duplicate_open(m, listen, &socket->fd) : -ENOMEM;
		if (r == -ENOENT)
			r = listen_tcp(listen->host, listen->port, &socket->fd, ret_why);
	}
	return r;
}

int manager_listen_prepare(struct manager *m, const struct config *config, struct listen_plan *ret, char **ret_why) {
	CLEANUP(listen_plan_clear) struct listen_plan plan = {0};
	int r = prepare_control(m, &config->control, &plan, ret_why);

	if (r >= 0)
		r = prepare_monitor(m, &config->monitor, &plan, ret_why);
	if (r < 0)
		return r;
	*ret = plan;
	plan = (struct listen_plan){0};
	return 0;
}

bool manager_listen_may_work(int r) {
	switch (-r) {
	case EADDRINUSE:    /* somebody else may go */
	case EADDRNOTAVAIL: /* the network may come up */
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return true;
	}
	return false;
}

static void log_control_failure(const char *path, const char *why) {
	log_event(LOG_EVENT_CONTROL_REFUSED, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", why)),
		  "control socket %s: %s", path, why);
}

/* What fails here leaves nothing, so that the next reload tries again; but one of before is better than none. */
static void commit_control(struct manager *m, struct listen_plan *p) {
	struct listening *l = &m->listening;
	CLEANUP(free) char *why = NULL;
	int r = p->control ? listen_unix_publish(p->control, l->control_socket, &why) : 0;

	if (r < 0) {
		log_control_failure(p->control->path, why ? why : strerror(-r));
		return;
	}
	control_drop_sockets(l->control);
	l->control_socket = listen_unix_free(l->control_socket);
	if (!p->control)
		return;
	r = control_listen(l->control, TAKE_FD(p->control->fd), p->control->group);
	if (r < 0) {
		log_control_failure(p->control->path, strerror(-r));
		return;
	}
	l->control_socket = TAKE(p->control);
	log_event(LOG_EVENT_CONTROL_LISTENING, LOG_INFO, NULL, 0, "control socket %s", l->control_socket->path);
}

static int commit_monitor_socket(struct manager *m, const struct monitor_socket *s) {
	int fd, r = fd_duplicate(s->fd, &fd);

	if (r >= 0)
		r = monitor_add_socket(m->listening.monitor, fd);
	if (r < 0)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-r))),
			  "monitor %s port %u: %s", s->host, s->port, strerror(-r));
	else
		log_info("monitor on %s port %u", s->host, s->port);
	return r;
}

static void commit_monitor(struct manager *m, struct listen_plan *p) {
	struct monitor_sockets *open = &m->listening.monitor_sockets;
	size_t n = p->monitor.n;

	monitor_drop_sockets(m->listening.monitor);
	sockets_clear(open);
	open->items = TAKE(p->monitor.items);
	p->monitor.n = 0;
	for (size_t i = 0; i < n; i++) {
		struct monitor_socket *s = &open->items[i];

		if (commit_monitor_socket(m, s) >= 0)
			open->items[open->n++] = *s;
		else
			socket_clear(s);
	}
}

static void warn_ignored(const char *key) {
	log_event(LOG_EVENT_CONFIGURATION_WARNING, LOG_WARNING, LOG_FIELDS(log_string("CONFIG_KEY", key)),
		  "the group %s has no effect: systemd has handed over the socket, and its socket unit says what it is",
		  key);
}

void manager_listen_commit(struct manager *m, struct listen_plan *p) {
	if (p->control_ignored)
		warn_ignored("control");
	if (p->monitor_ignored)
		warn_ignored("monitor");
	if (p->control_changed)
		commit_control(m, p);
	if (p->monitor_changed)
		commit_monitor(m, p);
}
