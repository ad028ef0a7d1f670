/* SPDX-License-Identifier: MIT */
#include "service/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "config/problem.h"
#include "service/control_handlers.h"
#include "service/control_json.h"
#include "service/http_route.h"
#include "service/metrics_route.h"

#define TYPE_JSON "application/json"
/* That many users who may not ask are told in the log; more of them are no news. */
#define CONTROL_STRANGERS_MAX 32
/* Requests for a reload that wait; each keeps a connection, of which others have need. */
#define CONTROL_WAITERS_MAX 16
/* The overflow ids of a kernel that does not tell (ProcSubset=pid). */
#define CONTROL_OVERFLOW_ID 65534

/* A request for a reload. */
struct waiter {
	struct list node;
	struct http_request *request; /* borrowed from the server, until it is answered */
};

struct control {
	const struct control_callbacks *callbacks; /* borrowed */
	void *userdata;                            /* borrowed */
	struct http_server *http;                  /* owned */
	struct control_rule rule;
	struct list asking;                     /* of waiter, owned; their reload has not begun */
	struct list waiting;                    /* of waiter, owned; theirs is under way */
	uid_t strangers[CONTROL_STRANGERS_MAX]; /* n_strangers users who were refused, which the log has */
	size_t n_strangers;
};

/* --- who ---------------------------------------------------------------------------------------------------------- */

bool control_may(const struct http_peer *peer, const struct control_rule *rule) {
	if (!peer->known)
		return false;
	if (peer->uid == 0 || (peer->uid == rule->own && peer->uid != rule->overflow_uid))
		return true;
	/* With PrivateUsers=yes the groups of almost everybody read the same, that of the socket maybe, too. */
	if (rule->group == (gid_t)-1 || rule->group == rule->overflow_gid)
		return false;
	for (size_t i = 0; i < peer->n_groups; i++)
		if (peer->groups[i] == rule->group)
			return true;
	return peer->gid == rule->group;
}

static unsigned read_overflow_id(const char *path) {
	FILE *file = fopen(path, "re");
	unsigned id;

	if (!file)
		return CONTROL_OVERFLOW_ID;
	if (fscanf(file, "%u", &id) != 1)
		id = CONTROL_OVERFLOW_ID;
	(void)fclose(file);
	return id;
}

static void log_stranger(struct control *c, const struct http_peer *peer) {
	for (size_t i = 0; i < c->n_strangers; i++)
		if (c->strangers[i] == peer->uid)
			return;
	if (c->n_strangers == CONTROL_STRANGERS_MAX)
		return;
	c->strangers[c->n_strangers++] = peer->uid;
	log_event(LOG_EVENT_CONTROL_REFUSED, LOG_WARNING, NULL, 0,
		  "control: user %ju (process %jd) may not give orders: refused", (uintmax_t)peer->uid,
		  (intmax_t)peer->pid);
}

/* --- status ------------------------------------------------------------------------------------------------------ */

static void on_status(struct http_request *request, void *userdata) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	struct control *c = userdata;
	struct snapshot s;

	if (c->callbacks->look(c->userdata, &s) < 0) {
		http_respond_error(request, 500, "out of memory");
		return;
	}
	control_json_status(&s, &body);
	http_respond(request, 200, TYPE_JSON, &body);
}

static void on_metrics(struct http_request *request, void *userdata) {
	struct control *c = userdata;
	struct snapshot s;

	metrics_respond(request, c->callbacks->look(c->userdata, &s), &s);
}

/* --- orders ------------------------------------------------------------------------------------------------------ */

static void respond_unknown(struct http_request *request, const struct snapshot *s, const char *queue,
			    const char *broker) {
	struct closest closest;
	bool elsewhere = false;

	closest_init(&closest, queue);
	for (size_t i = 0; i < s->n_queues; i++) {
		if (control_json_meant(&s->queues[i], NULL, broker))
			closest_consider(&closest, s->queues[i].name);
		elsewhere |= control_json_meant(&s->queues[i], queue, NULL);
	}
	if (elsewhere)
		http_respond_error(request, 404, "there is no queue \"%s\" at a broker \"%s\"", queue, broker);
	else if (closest.best)
		http_respond_error(request, 404, "there is no queue \"%s\"; did you mean \"%s\"?", queue, closest.best);
	else
		http_respond_error(request, 404, "there is no queue \"%s\"", queue);
}

/* Whether an order for that queue (NULL: all) can be carried out. If not, it was answered. */
static bool check_order(struct http_request *request, const struct snapshot *s, const char *queue, const char *broker) {
	size_t n = 0;

	if (strcmp(s->state, "stopping") == 0) {
		http_respond_error(request, 503, "the daemon is stopping");
		return false;
	}
	for (size_t i = 0; queue && i < s->n_queues; i++)
		n += control_json_meant(&s->queues[i], queue, broker);
	if (queue && n == 0)
		respond_unknown(request, s, queue, broker);
	else if (queue && n > 1)
		http_respond_error(request, 409, "there are %zu queues \"%s\": ?broker=NAME says which", n, queue);
	return !queue || n == 1;
}

/* Later steps see the queues in the state that the ones before have brought about, but their number and order do not
 * change. */
static int give_orders(struct control *c, const struct snapshot *s, enum control_order order, const char *queue,
		       const char *broker) {
	for (size_t i = 0; i < s->n_queues; i++) {
		const struct snapshot_queue *q = &s->queues[i];
		int r;

		if (!control_json_meant(q, queue, broker))
			continue;
		r = c->callbacks->order(c->userdata, order, q->name, q->broker);
		if (r < 0)
			return r;
	}
	return 0;
}

/* For one queue, or all of them (NULL). */
static void obey(struct control *c, struct http_request *request, enum control_order order, const char *queue) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	const char *broker = http_request_parameter(request, "broker");
	struct snapshot s;
	int r = c->callbacks->look(c->userdata, &s);

	if (r >= 0) {
		if (!check_order(request, &s, queue, broker))
			return;
		r = give_orders(c, &s, order, queue, broker);
	}
	if (r >= 0)
		r = c->callbacks->look(c->userdata, &s);
	if (r == -ESHUTDOWN) {
		http_respond_error(request, 503, "the daemon is stopping");
	} else if (r < 0) {
		http_respond_error(request, 500, "%s", strerror(-r));
	} else {
		control_json_queues(&s, queue, broker, &body);
		http_respond(request, 200, TYPE_JSON, &body);
	}
}

static void on_pause_all(struct http_request *request, void *userdata) {
	obey(userdata, request, CONTROL_PAUSE, NULL);
}

static void on_resume_all(struct http_request *request, void *userdata) {
	obey(userdata, request, CONTROL_RESUME, NULL);
}

static void on_pause(struct http_request *request, void *userdata) {
	obey(userdata, request, CONTROL_PAUSE, http_request_segment(request, 2));
}

static void on_resume(struct http_request *request, void *userdata) {
	obey(userdata, request, CONTROL_RESUME, http_request_segment(request, 2));
}

/* --- handlers ----------------------------------------------------------------------------------------------------- */

static void on_handlers(struct http_request *request, void *userdata) {
	const char *queue = http_request_parameter(request, "queue"), *broker = http_request_parameter(request, "broker");
	struct control *c = userdata;
	struct snapshot s;
	bool known = !queue;

	if (c->callbacks->look(c->userdata, &s) < 0) {
		http_respond_error(request, 500, "out of memory");
		return;
	}
	/* Those that leave may have handlers, too. */
	for (size_t i = 0; !known && i < s.n_queues; i++)
		known = strcmp(s.queues[i].name, queue) == 0 && (!broker || strcmp(s.queues[i].broker, broker) == 0);
	if (known)
		control_handlers_list(request, c->callbacks, c->userdata, queue, broker);
	else
		respond_unknown(request, &s, queue, broker);
}

static void on_kill(struct http_request *request, void *userdata) {
	struct control *c = userdata;

	control_handlers_kill(request, c->callbacks, c->userdata);
}

/* --- reload ------------------------------------------------------------------------------------------------------ */

static struct waiter *waiter_free(struct waiter *w) {
	if (w) {
		list_remove(&w->node);
		free(w);
	}
	return NULL;
}

static void move_waiters(struct list *from, struct list *to) {
	LIST_FOREACH (w, from, struct waiter, node) {
		list_remove(&w->node);
		list_append(to, &w->node);
	}
}

static size_t count_waiters(const struct control *c) {
	size_t n = 0;

	LIST_FOREACH (w, &c->asking, struct waiter, node)
		n += w != NULL;
	LIST_FOREACH (w, &c->waiting, struct waiter, node)
		n += w != NULL;
	return n;
}

static void on_reload(struct http_request *request, void *userdata) {
	struct control *c = userdata;
	struct waiter *w;
	int r;

	/* Also those whose client is gone: whoever asks, hangs up and asks again is no less of a crowd. */
	if (count_waiters(c) >= CONTROL_WAITERS_MAX) {
		http_respond_error(request, 503, "too many requests for a reload");
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		http_respond_error(request, 500, "out of memory");
		return;
	}
	w->request = request;
	list_init(&w->node);
	list_append(&c->asking, &w->node);
	r = c->callbacks->reload(c->userdata);
	if (r == 0) {
		move_waiters(&c->asking, &c->waiting);
	} else if (r != -EBUSY) {
		waiter_free(w);
		http_respond_error(request, r == -ESHUTDOWN ? 503 : 500, "%s",
				   r == -ESHUTDOWN ? "the daemon is stopping" : strerror(-r));
	}
}

static void answer_waiter(struct waiter *w, const struct control_reload_result *result) {
	CLEANUP(strbuf_free) struct strbuf body = STRBUF_INIT;
	bool refused = result->problems && result->problems->n_errors > 0;

	if (result->failure) {
		http_respond_error(w->request, 500, "%s", result->failure);
		return;
	}
	control_json_reload(result, &body);
	http_respond(w->request, refused ? 422 : 200, TYPE_JSON, &body);
}

void control_drop_sockets(struct control *c) {
	http_drop_sockets(c->http);
}

void control_reload_done(struct control *c, const struct control_reload_result *result) {
	LIST_FOREACH (w, &c->waiting, struct waiter, node) {
		answer_waiter(w, result);
		waiter_free(w);
	}
	/* Who has come since then was promised that another one begins now. */
	move_waiters(&c->asking, &c->waiting);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* To drain is to pause and then to look until nothing runs, which the client does. */
static const struct http_route routes[] = {
	{"GET", "v1/status", on_status},           {"POST", "v1/reload", on_reload},
	{"GET", "v1/metrics", on_metrics},         {"GET", "metrics", on_metrics},
	{"POST", "v1/pause", on_pause_all},        {"POST", "v1/resume", on_resume_all},
	{"POST", "v1/drain", on_pause_all},        {"POST", "v1/queues/@/pause", on_pause},
	{"POST", "v1/queues/@/resume", on_resume}, {"POST", "v1/queues/@/drain", on_pause},
	{"GET", "v1/handlers", on_handlers},       {"POST", "v1/handlers/@/kill", on_kill},
};

static void on_request(struct http_request *request, void *userdata) {
	struct control *c = userdata;
	const struct http_peer *peer = http_request_peer(request);

	if (control_may(peer, &c->rule)) {
		http_route(request, routes, ARRAY_SIZE(routes), c);
	} else {
		log_stranger(c, peer);
		http_respond_error(request, 403, "only root, the daemon's user and the socket's group may do this");
	}
}

static const struct http_callbacks http_callbacks = {.request = on_request};

int control_new(sd_event *event, const struct control_callbacks *callbacks, void *userdata, struct control **ret) {
	CLEANUP(control_free) struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->callbacks = callbacks;
	c->userdata = userdata;
	c->rule = (struct control_rule){.own = geteuid(),
					.group = (gid_t)-1,
					.overflow_uid = read_overflow_id("/proc/sys/kernel/overflowuid"),
					.overflow_gid = read_overflow_id("/proc/sys/kernel/overflowgid")};
	list_init(&c->asking);
	list_init(&c->waiting);
	r = http_new(event, &http_limits_default, &http_callbacks, c, &c->http);
	if (r < 0)
		return r;
	*ret = TAKE(c);
	return 0;
}

struct control *control_free(struct control *c) {
	if (!c)
		return NULL;
	move_waiters(&c->asking, &c->waiting);
	LIST_FOREACH (w, &c->waiting, struct waiter, node)
		waiter_free(w);
	http_free(c->http);
	free(c);
	return NULL;
}

int control_listen(struct control *c, int fd, gid_t group) {
	http_drop_sockets(c->http);
	c->rule.group = group;
	return http_add_socket(c->http, fd);
}
