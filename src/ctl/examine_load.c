/* SPDX-License-Identifier: MIT */
#include "ctl/examine.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "config/privileges.h"

#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"
/* What the unit loads. */
#define CREDENTIALS_FOLDER SYSCONFDIR "/amqp-execd/credentials"
#define CREDENTIALS_WARNING "only the service has credentials"

static const struct finding_place nowhere;

bool examine_wants(const struct examine *c, const struct config_queue *q) {
	if (c->broker && strcmp(c->broker, q->broker->name) != 0)
		return false;
	for (int i = 0; i < c->n_queues; i++)
		if (strcmp(c->queues[i], q->name) == 0)
			return true;
	return c->n_queues == 0;
}

bool examine_wants_broker(const struct examine *c, const struct config_broker *b) {
	if (c->n_queues == 0)
		return !c->broker || strcmp(c->broker, b->name) == 0;
	for (size_t i = 0; i < c->config->n_queues; i++)
		if (c->config->queues[i].broker == b && examine_wants(c, &c->config->queues[i]))
			return true;
	return false;
}

/* Reads it with the rights of the daemon's user, and takes ours back. Only root is ever another user. */
static int load_as(const struct identity *id, const char *path, struct privileges *privileges,
		   struct config_problems *problems, struct config **ret) {
	CLEANUP(free) gid_t *groups = NULL;
	const gid_t gid = getegid();
	const uid_t uid = geteuid();
	int n = getgroups(0, NULL), r;

	groups = calloc((size_t)(n > 0 ? n : 1), sizeof(*groups));
	if (!groups || n < 0 || getgroups(n, groups) < 0)
		return groups ? -errno : -ENOMEM;
	if (setgroups(id->ids.n_groups, id->ids.groups) < 0 || setegid(id->ids.gid) < 0 || seteuid(id->ids.uid) < 0)
		r = -errno;
	else
		r = privileges_look(privileges);
	if (r == 0)
		r = config_examine(path, problems, ret);
	if (seteuid(uid) < 0 || setegid(gid) < 0 || setgroups((size_t)n, groups) < 0)
		return -errno;
	return r;
}

static bool is_about_credentials(const struct config_problem *p) {
	return p->warning && strstr(p->text, CREDENTIALS_WARNING);
}

static bool lacks_credentials(const struct config_problems *problems) {
	for (size_t i = 0; i < problems->n; i++)
		if (is_about_credentials(&problems->items[i]))
			return true;
	return false;
}

/* The credentials that the unit would load can be had, by root: with them it is known how to log in. */
static struct config *load_with_credentials(const char *path, const struct privileges *privileges) {
	struct config_problems problems = {0};
	struct config *config = NULL;

	if (access(CREDENTIALS_FOLDER, R_OK | X_OK) < 0 || setenv(CREDENTIALS_VARIABLE, CREDENTIALS_FOLDER, 1) < 0)
		return NULL;
	(void)config_load_for(path, privileges, &problems, &config);
	(void)unsetenv(CREDENTIALS_VARIABLE);
	config_problems_clear(&problems);
	return config;
}

void examine_add_problem(struct findings *f, const struct config_problem *p) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	strbuf_append_str(&text, p->file);
	if (p->line > 0)
		strbuf_printf(&text, ":%u", p->line);
	strbuf_printf(&text, ": %s%s%s", p->key ? p->key : "", p->key ? ": " : "", p->text);
	if (text.failed)
		f->failed = true;
	findings_add(f, p->warning ? FINDING_WARNING : FINDING_ERROR, &nowhere, "configuration",
		     p->warning ? NULL : "correct the file: amqp-execd.conf(5)", "%s", strbuf_str(&text));
}

static void keep_warnings(struct examine *c, const struct config_problems *problems, bool have_credentials) {
	for (size_t i = 0; i < problems->n; i++)
		if (!have_credentials || !is_about_credentials(&problems->items[i]))
			examine_add_problem(&c->findings, &problems->items[i]);
}

int examine_load(struct examine *c, struct config_problems *problems) {
	struct privileges privileges;
	struct config *config = NULL, *complete;
	int r;

	if (c->identity.changes && geteuid() != 0)
		return -EPERM;
	if (c->identity.changes) {
		r = load_as(&c->identity, c->path, &privileges, problems, &config);
	} else {
		r = privileges_look(&privileges);
		if (r == 0)
			r = config_examine(c->path, problems, &config);
	}
	if (r < 0)
		return r;
	c->secrets_unknown = lacks_credentials(problems);
	complete = c->secrets_unknown ? load_with_credentials(c->path, &privileges) : NULL;
	if (complete) {
		(void)config_unref(config);
		config = complete;
		c->secrets_unknown = false;
	}
	c->config = config;
	keep_warnings(c, problems, complete != NULL);
	findings_add(&c->findings, FINDING_OK, &nowhere, "configuration", NULL,
		     "%s is valid, for a daemon that runs as %s", c->path, c->identity.name);
	return 0;
}
