/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/examine.h"

#define DEFAULT_CONFIG SYSCONFDIR "/amqp-execd/amqp-execd.conf"
/* Of the package and its unit. */
#define DEFAULT_USER "amqp-execd"

enum { OPTION_JSON = 256, OPTION_BROKER, OPTION_USER };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"broker", required_argument, NULL, OPTION_BROKER},
	{"user", required_argument, NULL, OPTION_USER},
	{"json", no_argument, NULL, OPTION_JSON},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct examine_options {
	struct examine examine;
	bool json;
	bool quiet;
};

/* 0: go on. Positive: leave with *ret_status. */
static int take_options(const struct command *command, int argc, char **argv, struct examine_options *o,
			int *ret_status) {
	int c;

	while ((c = getopt_long(argc, argv, "c:qh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->examine.path = optarg;
			break;
		case OPTION_BROKER:
			o->examine.broker = optarg;
			break;
		case OPTION_USER:
			o->examine.user = optarg;
			break;
		case OPTION_JSON:
			o->json = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case 'h':
			command_print_help(command);
			*ret_status = 0;
			return 1;
		default:
			*ret_status = command_hint(command);
			return 1;
		}
	}
	o->examine.queues = argv + optind;
	o->examine.n_queues = argc - optind;
	return 0;
}

/* Whom the daemon runs as: its folder, which the unit leaves there, belongs to that user. What to free, or NULL. */
static char *guess_user(const char *socket) {
	CLEANUP(free) char *folder = strdup(socket);
	char *slash = folder ? strrchr(folder, '/') : NULL, *user = NULL;
	struct stat st;

	if (geteuid() != 0)
		return NULL;
	if (slash && slash != folder) {
		*slash = '\0';
		if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode) && asprintf(&user, "%u", (unsigned)st.st_uid) >= 0)
			return user;
	}
	return getpwnam(DEFAULT_USER) ? strdup(DEFAULT_USER) : NULL;
}

/* Returns the exit status. */
static int find_user(struct examine *c) {
	struct spawn_error error;
	char what[512];

	if (identity_resolve(c->user, NULL, &c->identity, &error) == 0)
		return 0;
	command_complain("--user: %s", spawn_error_format(&error, what, sizeof(what)));
	return EX_USAGE;
}

/* Names that are none of the configuration's are mistyped. Returns the exit status. */
static int examine_names(const struct examine *c) {
	const struct config *config = c->config;
	bool found = !c->broker;

	for (size_t i = 0; i < config->n_brokers && !found; i++)
		found = strcmp(config->brokers[i].name, c->broker) == 0;
	if (!found) {
		command_complain("there is no broker \"%s\" in %s", c->broker, c->path);
		return EX_USAGE;
	}
	for (int n = 0; n < c->n_queues; n++) {
		struct examine one = {.broker = c->broker, .queues = &c->queues[n], .n_queues = 1};
		bool known = false;

		for (size_t i = 0; i < config->n_queues && !known; i++)
			known = examine_wants(&one, &config->queues[i]);
		if (!known) {
			command_complain("there is no queue \"%s\" in %s", c->queues[n], c->path);
			return EX_USAGE;
		}
	}
	return 0;
}

/* An invalid configuration is all that there is to say: in the words of "amqp-execd --check". */
static int tell_problems(struct examine_options *o, const struct config_problems *problems) {
	for (size_t i = 0; i < problems->n; i++) {
		CLEANUP(free) char *text = NULL;

		if (o->json)
			examine_add_problem(&o->examine.findings, &problems->items[i]);
		else if (config_problem_format(&problems->items[i], &text) == 0)
			fprintf(stderr, "%s\n", text);
	}
	if (o->examine.identity.changes && !o->json)
		command_complain("this is judged for a daemon that runs as %s; --user says another one",
				 o->examine.identity.name);
	else if (!o->json && geteuid() != 0)
		command_complain("this is judged for a daemon that runs as you; only root can judge for another user");
	return EX_CONFIG;
}

static int print_findings(const struct ctl *ctl, const struct examine_options *o) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	CLEANUP(free) char *dumped = NULL;
	json_t *value;

	if (o->json) {
		value = findings_to_json(&o->examine.findings, o->quiet);
		dumped = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
		json_decref(value);
		strbuf_append_str(&text, dumped ? dumped : "");
		strbuf_append_char(&text, '\n');
		text.failed = text.failed || !dumped;
	} else {
		findings_append(&o->examine.findings, o->quiet, ctl->colour, &text);
	}
	return command_print(&text);
}

static int run(const struct ctl *ctl, struct examine_options *o) {
	CLEANUP(free) char *user = o->examine.user ? NULL : guess_user(ctl->socket);
	struct config_problems problems = {0};
	int status, printed, r;

	if (user)
		o->examine.user = user;
	status = find_user(&o->examine);
	if (status != 0)
		return status;
	r = examine_load(&o->examine, &problems);
	if (r == -EINVAL)
		status = tell_problems(o, &problems);
	config_problems_clear(&problems);
	if (r < 0 && r != -EINVAL) {
		if (r == -EPERM)
			command_complain("only root can judge for another user (%s)", o->examine.identity.name);
		else
			command_complain("%s: %s", o->examine.path, strerror(-r));
		return r == -EPERM ? EX_NOPERM : EXIT_FAILURE;
	}
	if (r == 0) {
		status = examine_names(&o->examine);
		if (status != 0)
			return status;
		examine_capacity(&o->examine);
		examine_system(&o->examine);
		examine_brokers(&o->examine);
		status = findings_status(&o->examine.findings);
	}
	printed = r < 0 && !o->json ? 0 : print_findings(ctl, o);
	return printed != 0 ? printed : status;
}

int command_examine(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	struct examine_options o = {
		.examine = {.path = DEFAULT_CONFIG, .findings = FINDINGS_INIT, .identity = IDENTITY_INIT}};
	int status;

	if (take_options(command, argc, argv, &o, &status) > 0)
		return status;
	/* A broker that hangs up while something is sent to it over TLS. */
	(void)signal(SIGPIPE, SIG_IGN);
	/* Passwords are about to be in our memory: see the daemon's main.c. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	status = run(ctl, &o);
	findings_clear(&o.examine.findings);
	identity_clear(&o.examine.identity);
	(void)config_unref(o.examine.config);
	/* A leak checker looks from outside. */
	(void)prctl(PR_SET_DUMPABLE, 1);
	return status;
}
