/* SPDX-License-Identifier: MIT */
/* What a handler is to be that the daemon has not got the privilege for. */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/check.h"
#include "config/privileges.h"
#include "config/units.h"

/* Notes that the daemon may not do this; the sentence begins with what was found, and ends with what it takes. */
static void refuse(struct reader *r, const config_setting_t *s, const char *name, const char *what, const char *takes) {
	CLEANUP(strbuf_free) struct strbuf who = STRBUF_INIT;

	privileges_append_user(r->privileges, &who);
	check_problem(r, s, "handler", name,
		      "the daemon runs as %s, and may not run a handler as another %s: that takes root, or %s",
		      strbuf_str(&who), what, takes);
}

static void wrong_number(struct reader *r, const config_setting_t *s, const char *name) {
	check_problem(r, s, "handler", name,
		      "expected a %s's name, or a number below 4294967295, found the string \"%s\"", name,
		      setting_string(s));
}

/* A user that is unknown may be known by the time that the handler is to run, and pauses the queue until then. */
static void check_user(struct reader *r, const config_setting_t *s, const struct config_handler *h) {
	const struct privileges *p = r->privileges;
	const config_setting_t *user = check_given(r, s, "handler", "user");
	uid_t uid;
	int result;

	if (!user && p->uid == 0)
		check_problem(r, check_given(r, s, "handler", NULL), "handler", "user",
			      "the handler would run as root: expected user = \"NAME\" (or user = \"root\" where it "
			      "really has to)");
	if (!user || !h->user)
		return;
	result = privileges_find_user(h->user, &uid);
	if (result == -EINVAL)
		wrong_number(r, user, "user");
	else if (result == 0 && uid != p->uid && !(p->may_set_user && p->may_set_groups))
		refuse(r, user, "user", "user", "CAP_SETUID and CAP_SETGID");
}

static void check_group(struct reader *r, const config_setting_t *s, const struct config_handler *h) {
	const struct privileges *p = r->privileges;
	const config_setting_t *group = check_given(r, s, "handler", "group");
	gid_t gid;
	int result;

	if (!group || !h->group)
		return;
	result = privileges_find_group(h->group, &gid);
	if (result == -EINVAL)
		wrong_number(r, group, "group");
	else if (result == 0 && gid != p->gid && !p->may_set_groups)
		refuse(r, group, "group", "group", "CAP_SETGID");
}

static void check_nice(struct reader *r, const config_setting_t *s, const struct config_handler *h) {
	const struct privileges *p = r->privileges;

	if (h->has_nice && h->nice < p->nice && h->nice < p->least_nice && !p->may_be_nice)
		check_problem(r, check_given(r, s, "handler", "nice"), "handler", "nice",
			      "%d is less than the daemon's own %d: that takes root, CAP_SYS_NICE or a limit for it "
			      "(LimitNICE=%d)",
			      h->nice, p->nice, h->nice);
}

static const config_setting_t *given_limit(const struct reader *r, const config_setting_t *s, const char *name) {
	const config_setting_t *own = setting_member(check_own(s, "handler", "limits"), name);

	return own ? own : setting_member(check_own(r->defaults, "handler", "limits"), name);
}

/* A limit in the units of its key. */
static void append_limit(const struct key *k, uint64_t value, struct strbuf *b) {
	if (k->type == KEY_SIZE)
		units_format_size(value, b);
	else if (k->type == KEY_SECONDS)
		units_format_duration(value * USEC_PER_SEC, b);
	else
		strbuf_printf(b, "%" PRIu64, value);
}

static void check_limit(struct reader *r, const config_setting_t *s, const char *name, uint64_t value, rlim_t hard) {
	CLEANUP(strbuf_free) struct strbuf found = STRBUF_INIT, most = STRBUF_INIT;
	const struct key *k = key_find(SECTION_RLIMITS, name);
	const config_setting_t *at = given_limit(r, s, name);

	if (value <= hard || setting_is_wrong(at))
		return;
	append_limit(k, value, &found);
	append_limit(k, hard, &most);
	check_problem(r, at, "handler.limits", name,
		      "%s is more than the daemon's own hard limit of %s: that takes root or CAP_SYS_RESOURCE",
		      strbuf_str(&found), strbuf_str(&most));
}

static void check_limits(struct reader *r, const config_setting_t *s, const struct config_rlimits *l) {
	const struct {
		const char *name;
		bool given;
		uint64_t value;
		int resource;
	} limits[] = {
		{"memory", l->has_memory, l->memory, RLIMIT_AS},
		{"cpu", l->has_cpu, l->cpu, RLIMIT_CPU},
		{"files", l->has_files, l->files, RLIMIT_NOFILE},
		{"processes", l->has_processes, l->processes, RLIMIT_NPROC},
		{"file_size", l->has_file_size, l->file_size, RLIMIT_FSIZE},
		{"core", l->has_core, l->core, RLIMIT_CORE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits) && !r->privileges->may_exceed_limits; i++)
		if (limits[i].given)
			check_limit(r, s, limits[i].name, limits[i].value,
				    r->privileges->hard_limits[limits[i].resource]);
}

void check_privileges(struct reader *r, const config_setting_t *s, const struct config_handler *h) {
	check_user(r, s, h);
	check_group(r, s, h);
	check_nice(r, s, h);
	check_limits(r, s, &h->limits);
}
