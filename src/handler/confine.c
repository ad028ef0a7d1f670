/* SPDX-License-Identifier: MIT */
#include "handler/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "handler/confine_rules.h"

/* When nothing can be confined that is not tried before each handler. */
#define RETRY_USEC (60 * USEC_PER_SEC)
/* Two changes of a directory this close to each other may leave it with the same time stamp (a tick of the kernel, at most). */
#define STAMP_NSEC 20000000

/* What tells whether it is still the same, and unchanged. All zero: it is not there. */
struct stamp {
	dev_t dev;
	ino_t ino;
	struct timespec changed; /* its content or its attributes */
};

struct secret {
	char *path;	    /* owned; as it is configured */
	struct stamp stamp; /* of what it led to, without the time: its content is nobody's business here */
};

struct confine {
	struct secret *secrets; /* owned, n_secrets of them */
	size_t n_secrets;
	bool needs_no_new_privs;
	int ruleset;	/* owned; -1: nothing is confined */
	int mounts_fd;	/* owned; tells when something was mounted; -1: nobody tells */
	bool made;	/* there was a look */
	unsigned generation;
	bool unsettled; /* a directory had changed just before it was read, so its stamp proves nothing; or something was mounted since */
	struct confine_rules rules;
	struct stamp *stamps; /* owned; one for each of rules.directories */
	struct strbuf why;    /* nothing is confined; empty: it is, or there is nothing to confine */
	uint64_t retry_usec;  /* that is not tried again before */
};

static bool may_administrate(void) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_SYS_ADMIN & 1;
}

int confine_new(struct confine **ret) {
	struct confine *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->ruleset = -1;
	c->needs_no_new_privs = !may_administrate();
	/* poll(2) tells when the list of mounts has changed. */
	c->mounts_fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	*ret = c;
	return 0;
}

int confine_add(struct confine *c, const char *path) {
	struct secret *grown;
	char *copy;

	for (size_t i = 0; i < c->n_secrets; i++) {
		if (strcmp(c->secrets[i].path, path) == 0)
			return 0;
	}
	grown = reallocarray(c->secrets, c->n_secrets + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	c->secrets = grown;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	c->secrets[c->n_secrets++] = (struct secret){.path = copy};
	c->made = false;
	return 0;
}

struct confine *confine_free(struct confine *c) {
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_secrets; i++)
		free(c->secrets[i].path);
	free(c->secrets);
	free(c->stamps);
	strbuf_free(&c->why);
	confine_rules_clear(&c->rules);
	fd_close(c->ruleset);
	fd_close(c->mounts_fd);
	free(c);
	return NULL;
}

static struct stamp stamp_of(const char *path) {
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct stamp){0};
	return (struct stamp){.dev = st.st_dev, .ino = st.st_ino, .changed = st.st_ctim};
}

static bool is_same_file(const struct stamp *a, const struct stamp *b) {
	return a->dev == b->dev && a->ino == b->ino;
}

static bool is_unchanged(const struct stamp *a, const struct stamp *b) {
	return is_same_file(a, b) && a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Not monotonic: it is compared with the stamps of files. */
static bool is_recent(const struct stamp *s) {
	struct timespec now;
	int64_t nsec;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	nsec = (now.tv_sec - s->changed.tv_sec) * INT64_C(1000000000) + now.tv_nsec - s->changed.tv_nsec;
	return nsec < STAMP_NSEC && nsec > -STAMP_NSEC;
}

static bool mounts_have_changed(const struct confine *c) {
	struct pollfd p = {.fd = c->mounts_fd, .events = POLLPRI};

	return c->mounts_fd >= 0 && poll(&p, 1, 0) > 0;
}

bool confine_is_stale(struct confine *c) {
	if (c->n_secrets == 0)
		return false;
	/* That is told once only. */
	c->unsettled |= mounts_have_changed(c);
	if (!c->made || c->unsettled)
		return true;
	for (size_t i = 0; i < c->rules.n_directories; i++) {
		struct stamp now = stamp_of(c->rules.directories[i]);

		if (!is_unchanged(&now, c->stamps + i))
			return true;
	}
	for (size_t i = 0; i < c->n_secrets; i++) {
		struct stamp now = stamp_of(c->secrets[i].path);

		if (!is_same_file(&now, &c->secrets[i].stamp))
			return true;
	}
	return false;
}

/* Notes how everything looks before it is read: what changes meanwhile is seen by the next look. */
static int take_stamps(struct confine *c) {
	struct stamp *stamps = calloc(c->rules.n_directories + 1, sizeof(*stamps));

	if (!stamps)
		return -ENOMEM;
	free(c->stamps);
	c->stamps = stamps;
	c->unsettled = false;
	for (size_t i = 0; i < c->rules.n_directories; i++) {
		stamps[i] = stamp_of(c->rules.directories[i]);
		c->unsettled |= is_recent(stamps + i);
	}
	return 0;
}

/* The ruleset for what the secrets lead to now. Errors of confine_rules_make. */
static int make(struct confine *c, struct strbuf *why, int *ret) {
	CLEANUP(confine_rules_clear) struct confine_rules rules = {0};
	int r = 0;

	for (size_t i = 0; i < c->n_secrets && r == 0; i++) {
		c->secrets[i].stamp = stamp_of(c->secrets[i].path);
		r = confine_rules_add(&rules, c->secrets[i].path);
	}
	if (r == 0)
		r = confine_rules_plan(&rules);
	if (r < 0)
		return r;
	confine_rules_clear(&c->rules);
	c->rules = rules;
	rules = (struct confine_rules){0};
	r = take_stamps(c);
	/* None of them is there: a ruleset that allows nothing would be one that forbids everything. */
	if (r < 0 || c->rules.n_denied == 0)
		return r;
	return confine_rules_make(&c->rules, CONFINE_ENTRIES_MAX, why, ret);
}

/* Says once that it has become impossible, or possible again. */
static void tell(struct confine *c, struct strbuf *why, int priority) {
	if (strcmp(strbuf_str(why), strbuf_str(&c->why)) == 0)
		return;
	if (why->len == 0)
		log_event(LOG_EVENT_HANDLERS_CONFINED, LOG_INFO, NULL, 0,
			  "handlers of the daemon's own user are kept from its passwords and keys again");
	else
		log_event(LOG_EVENT_HANDLERS_UNCONFINED, priority, LOG_FIELDS(log_string("AMQP_REASON", strbuf_str(why))),
			  "handlers of the daemon's own user are not kept from its passwords and keys: %s", strbuf_str(why));
	strbuf_free(&c->why);
	c->why = *why;
	*why = STRBUF_INIT;
}

int confine_look(struct confine *c, int *ret_fd) {
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;
	int r;

	if ((c->why.len > 0 && clock_now_usec() < c->retry_usec) || !confine_is_stale(c)) {
		*ret_fd = c->ruleset;
		return 0;
	}
	c->made = false;
	r = make(c, &why, &fd);
	if (r < 0 && r != -EOPNOTSUPP && r != -ENOSYS)
		return r;
	c->made = true;
	c->generation += r == 0;
	if (r < 0)
		c->retry_usec = r == -ENOSYS ? USEC_INFINITY : clock_add_usec(clock_now_usec(), RETRY_USEC);
	/* That the kernel is old is no news of today. */
	tell(c, &why, r == -ENOSYS ? LOG_INFO : LOG_WARNING);
	fd_close(c->ruleset);
	c->ruleset = TAKE_FD(fd);
	*ret_fd = c->ruleset;
	return 0;
}

unsigned confine_generation(const struct confine *c) {
	return c->ruleset >= 0 ? c->generation : 0;
}

bool confine_needs_no_new_privs(const struct confine *c) {
	return c->needs_no_new_privs;
}
