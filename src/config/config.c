/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "config/document.h"
#include "config/reader.h"
#include "config/section.h"
#include "config/url.h"

/* What a reference is to: the tree that others see is its first member. */
struct shared_config {
	struct config config;
	atomic_uint references;
};

static struct shared_config *shared(struct config *c) {
	return CONTAINER_OF(c, struct shared_config, config);
}

struct config *config_ref(struct config *c) {
	atomic_fetch_add_explicit(&shared(c)->references, 1, memory_order_relaxed);
	return c;
}

struct config *config_unref(struct config *c) {
	/* Release: what this thread did with the tree comes before its end in the thread that frees it. */
	if (!c || atomic_fetch_sub_explicit(&shared(c)->references, 1, memory_order_acq_rel) > 1)
		return NULL;
	section_clear(SECTION_ROOT, c);
	free(c->path);
	for (size_t i = 0; i < c->n_secret_files; i++)
		free(c->secret_files[i]);
	free(c->secret_files);
	free(shared(c));
	return NULL;
}

static int config_new(const char *path, struct config **ret) {
	struct shared_config *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	atomic_init(&s->references, 1);
	s->config.path = strdup(path);
	if (!s->config.path) {
		free(s);
		return -ENOMEM;
	}
	*ret = &s->config;
	return 0;
}

static int read_all(const char *path, const struct privileges *privileges, bool outside,
		    struct config_problems *problems, struct config **ret) {
	CLEANUP(config_unref) struct config *c = NULL;
	CLEANUP(documents_clear) struct documents documents = {0};
	struct reader reader = {
		.documents = &documents, .problems = problems, .privileges = privileges, .outside = outside};
	int r;

	r = documents_add(&documents, path, false, problems);
	if (r < 0)
		return r;
	r = config_new(path, &c);
	if (r < 0)
		return r;
	reader.config = c;
	reader.document = documents.items[0];
	reader_read(&reader);
	strbuf_free(&reader.path);
	if (reader.error < 0)
		return reader.error;
	problems_sort(problems);
	if (problems->n_errors > 0)
		return -EINVAL;
	*ret = TAKE(c);
	return 0;
}

int config_load_for(const char *path, const struct privileges *privileges, struct config_problems *problems,
		    struct config **ret) {
	return read_all(path, privileges, false, problems, ret);
}

int config_load(const char *path, struct config_problems *problems, struct config **ret) {
	struct privileges privileges;
	int r = privileges_look(&privileges);

	return r < 0 ? r : read_all(path, &privileges, false, problems, ret);
}

int config_examine(const char *path, struct config_problems *problems, struct config **ret) {
	struct privileges privileges;
	int r = privileges_look(&privileges);

	return r < 0 ? r : read_all(path, &privileges, true, problems, ret);
}

const char *config_ready_to_string(enum config_ready r) {
	return config_ready_names[r];
}

const char *outcome_to_string(enum outcome o) {
	return config_outcome_names[o];
}

bool outcome_is_possible(const struct config_outcomes *o, enum outcome outcome) {
	static const struct config_statuses none;
	const struct config_statuses *const sets[] = {
		[OUTCOME_ACK] = &o->ack,
		[OUTCOME_REQUEUE] = &o->requeue,
		[OUTCOME_RETRY] = &o->retry,
		[OUTCOME_REJECT] = &o->reject,
	};

	return memcmp(sets[outcome], &none, sizeof(none)) != 0 || o->otherwise == outcome || o->on_timeout == outcome ||
	       o->on_signal == outcome;
}

bool config_queue_can(const struct config_queue *q, enum outcome outcome) {
	if (q->handler.mode == CONFIG_MODE_WORKER || outcome_is_possible(&q->outcomes, outcome))
		return true;
	if ((q->reply.present || q->forward.present) && q->outcomes.on_large_output == outcome)
		return true;
	return q->reply.present && q->reply.unroutable == outcome;
}

bool config_queue_publishes(const struct config_queue *q) {
	return q->dead_letter.present || q->reply.present || q->forward.present || config_queue_can(q, OUTCOME_RETRY);
}

/* What the URL says goes before the defaults, which are those of the broker's keys. */
static int set_address(struct config_address *a, const struct url *u) {
	const struct {
		char **to;
		const char *from;
	} texts[] = {{&a->host, u->host}, {&a->vhost, u->vhost}, {&a->username, u->username}, {&a->password, u->password}};

	a->port = u->port;
	a->tls = u->tls;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!texts[i].from)
			continue;
		secret_free(*texts[i].to);
		*texts[i].to = strdup(texts[i].from);
		if (!*texts[i].to)
			return -ENOMEM;
	}
	return 0;
}

int config_from_url(const char *url, const char **ret_why, struct config **ret) {
	CLEANUP(config_unref) struct config *c = NULL;
	CLEANUP(url_clear) struct url u = {0};
	struct reader reader = {.partial = true};
	int r = url_parse(url, &u, ret_why);

	if (r == 0)
		r = config_new("", &c);
	if (r < 0)
		return r;
	c->brokers = calloc(1, sizeof(*c->brokers));
	if (!c->brokers)
		return -ENOMEM;
	c->n_brokers = 1;
	reader.config = c;
	reader_read_section(&reader, SECTION_BROKER, NULL, NULL, c->brokers);
	strbuf_free(&reader.path);
	if (reader.error < 0)
		return reader.error;
	r = set_address(c->brokers[0].addresses, &u);
	if (r < 0)
		return r;
	c->brokers[0].name = strdup("default");
	if (!c->brokers[0].name)
		return -ENOMEM;
	*ret = TAKE(c);
	return 0;
}
