/* SPDX-License-Identifier: MIT */
#include "ctl/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "handler/probe.h"

/* A handler, and who it runs as. */
struct candidate {
	const struct config_handler *handler;
	const struct identity *identity;
	struct finding_place place;
	bool script; /* an interpreter has to read it */
};

static const char *hint_for(const struct spawn_error *e) {
	if (e->step == SPAWN_IDENTITY)
		return "create it, or correct handler.user and handler.group";
	if (e->step == SPAWN_DIRECTORY)
		return e->error == ENOENT
			       ? "create it, or correct handler.directory"
			       : "let the user enter it and every folder above it (\"namei -l\" shows them), or set "
				 "another handler.directory";
	if (e->error == ENOENT)
		return "install it, or correct handler.command";
	if (e->error == EACCES)
		return "it has to be a regular file that the user may execute (chmod +x), in folders that the user may "
		       "pass "
		       "(\"namei -l\" shows them), on a file system that is not mounted noexec";
	return "see to what the system says, or configure something else";
}

static void add_error(const struct candidate *c, const struct spawn_error *e, struct findings *f) {
	char what[512];

	(void)spawn_error_format(e, what, sizeof(what));
	findings_add(f, FINDING_ERROR, &c->place, "handler", hint_for(e), "as user %s: %s", c->identity->name, what);
}

/* `id`: NULL: this process is the user. */
static void look(const struct candidate *c, const struct spawn_identity *id, struct findings *f) {
	const char *program = c->handler->command[0];
	struct spawn_error error;

	if (probe_handler(c->handler, id, &error) < 0)
		add_error(c, &error, f);
	else if (c->script && identity_may(id, AT_FDCWD, program, R_OK) < 0)
		findings_add(f, FINDING_ERROR, &c->place, "handler",
			     "let the user read it (chmod +r): its interpreter has to",
			     "as user %s: %s can be executed, but is a script that the user may not read",
			     c->identity->name, program);
	else
		findings_add(f, FINDING_OK, &c->place, "handler", NULL, "%s can be executed as user %s in %s", program,
			     c->identity->name, c->handler->directory);
}

static bool is_script(const char *path) {
	CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char head[2];

	return fd >= 0 && read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
	       memcmp(head, "#!", sizeof(head)) == 0;
}

/* The child: becomes the user, looks, and writes what it has found. */
static void look_and_write(const struct candidate *c, int fd) {
	const struct spawn_identity *id = &c->identity->ids;
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;
	struct spawn_error error;
	json_t *value;

	if (setgroups(id->n_groups, id->groups) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0) {
		(void)spawn_error_set(&error, SPAWN_USER, errno, c->identity->name);
		add_error(c, &error, &f);
	} else {
		look(c, NULL, &f);
	}
	value = findings_to_json(&f, false);
	(void)json_dumpfd(json_object_get(value, "findings"), fd, JSON_COMPACT);
	json_decref(value);
}

/* What the child has written. -errno. */
static int read_findings(int fd, struct findings *f) {
	json_t *list = json_loadfd(fd, 0, NULL);
	bool taken = findings_take(f, list);

	json_decref(list);
	return taken ? 0 : -EIO;
}

/* Mode bits tell not everything (access lists, network file systems, security modules): who can become the user tries.
 */
static int look_as_user(const struct candidate *c, struct findings *f) {
	CLEANUP(fd_close) int in = -1;
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	pid = fork();
	if (pid == 0) {
		look_and_write(c, fds[1]);
		_exit(EXIT_SUCCESS);
	}
	r = pid < 0 ? -errno : 0;
	(void)fd_close(fds[1]);
	if (r < 0)
		return r;
	r = read_findings(in, f);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static void examine_handler_of(struct examine *c, const struct config_queue *q) {
	const struct config_handler *h = &q->handler;
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;
	struct candidate candidate = {.handler = h, .identity = &id, .place = {q->broker->name, q->name}};
	struct spawn_error error;
	int r;

	if (identity_resolve(h->user ? h->user : c->user, h->group, &id, &error) < 0) {
		id.name = strdup(h->user ? h->user : c->identity.name);
		add_error(&candidate, &error, &c->findings);
		return;
	}
	candidate.script = is_script(h->command[0]);
	if (!id.changes || geteuid() != 0) {
		look(&candidate, identity_ids(&id), &c->findings);
		return;
	}
	r = look_as_user(&candidate, &c->findings);
	if (r < 0)
		findings_add(&c->findings, FINDING_WARNING, &candidate.place, "handler", NULL,
			     "it could not be tried whether user %s can execute %s: %s", id.name, h->command[0],
			     strerror(-r));
}

void examine_system(struct examine *c) {
	for (size_t i = 0; i < c->config->n_queues; i++)
		if (examine_wants(c, &c->config->queues[i]))
			examine_handler_of(c, &c->config->queues[i]);
}
