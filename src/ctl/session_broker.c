/* SPDX-License-Identifier: MIT */
/* Which broker a session is with: by URL, or as the daemon's configuration says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/session.h"
#include "ctl/text.h"

#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"
/* What the unit loads. */
#define CREDENTIALS_FOLDER SYSCONFDIR "/amqp-execd/credentials"

bool session_take_option(struct session_options *o, int option, char *argument) {
	switch (option) {
	case SESSION_OPTION_URL:
		free(o->url);
		o->url = strdup(argument);
		explicit_bzero(argument, strlen(argument));
		return true;
	case SESSION_OPTION_CONFIG:
		o->config = argument;
		return true;
	case SESSION_OPTION_BROKER:
		o->broker = argument;
		return true;
	default:
		return false;
	}
}

void session_options_clear(struct session_options *o) {
	if (o->url)
		explicit_bzero(o->url, strlen(o->url));
	free(o->url);
	*o = (struct session_options){0};
}

static int from_url(const char *url, struct config **ret) {
	const char *why = NULL;
	int r = config_from_url(url, &why, ret);

	if (r == 0)
		return 0;
	command_complain("the URL cannot be used: %s", r == -EINVAL ? why : "out of memory");
	return r == -EINVAL ? EX_CONFIG : EXIT_FAILURE;
}

static bool is_credential(const struct config_problem *p) {
	static const char ending[] = ".credential";
	size_t len = p->key ? strlen(p->key) : 0, end = sizeof(ending) - 1;

	return p->warning && len >= end && strcmp(p->key + len - end, ending) == 0;
}

/* Errors; and which passwords are not known, as they are the service's credentials. */
static void tell_problems(const struct config_problems *problems) {
	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *p = &problems->items[i];
		CLEANUP(free) char *line = NULL;

		if ((!p->warning || is_credential(p)) && config_problem_format(p, &line) == 0)
			command_complain("%s", line);
	}
}

/* The credentials that the unit would load, which root can read: with them, if all that are named are there. */
static bool load_with_credentials(const char *path, struct config **ret) {
	struct config_problems problems = {0};
	int r;

	if (access(CREDENTIALS_FOLDER, R_OK | X_OK) < 0 || setenv(CREDENTIALS_VARIABLE, CREDENTIALS_FOLDER, 0) < 0)
		return false;
	r = config_examine(path, &problems, ret);
	(void)unsetenv(CREDENTIALS_VARIABLE);
	config_problems_clear(&problems);
	return r == 0;
}

static int from_file(const char *path, struct config **ret) {
	struct config_problems problems = {0};
	struct config *better = NULL;
	bool lacking = false;
	int r = config_examine(path, &problems, ret);

	for (size_t i = 0; i < problems.n; i++)
		lacking |= is_credential(&problems.items[i]);
	if (r == 0 && lacking && !getenv(CREDENTIALS_VARIABLE) && load_with_credentials(path, &better)) {
		config_unref(*ret);
		*ret = better;
	} else {
		tell_problems(&problems);
	}
	config_problems_clear(&problems);
	if (r == 0)
		return 0;
	if (r == -EINVAL && access(path, R_OK) < 0 && errno == EACCES)
		command_complain("--url, or %s, names a broker without this file", SESSION_URL_VARIABLE);
	if (r != -EINVAL)
		command_complain("%s: %s", path, strerror(-r));
	return r == -ENOMEM ? EXIT_FAILURE : EX_CONFIG;
}

static int choose(const struct config *c, const char *name, const struct config_broker **ret) {
	CLEANUP(strbuf_free) struct strbuf names = STRBUF_INIT;

	if (!name && c->n_brokers == 1) {
		*ret = c->brokers;
		return 0;
	}
	for (size_t i = 0; i < c->n_brokers; i++) {
		if (name && strcmp(c->brokers[i].name, name) == 0) {
			*ret = &c->brokers[i];
			return 0;
		}
		strbuf_append_str(&names, i > 0 ? ", " : "");
		text_append(&names, c->brokers[i].name);
	}
	if (name)
		command_complain("the configuration has no broker \"%s\"; it has: %s", name, strbuf_str(&names));
	else
		command_complain("the configuration has several brokers: give --broker, one of: %s",
				 strbuf_str(&names));
	return EX_USAGE;
}

int session_find_broker(const struct session_options *o, struct config **ret, const struct config_broker **ret_broker) {
	CLEANUP(config_unref) struct config *c = NULL;
	const char *url = o->url;
	int status;

	if (url && (o->config || o->broker)) {
		command_complain("either --url, or --config and --broker");
		return EX_USAGE;
	}
	if (!url && !o->config && !o->broker)
		url = getenv(SESSION_URL_VARIABLE);
	status = url && *url ? from_url(url, &c) : from_file(o->config ? o->config : SESSION_CONFIG_DEFAULT, &c);
	if (status == 0)
		status = choose(c, o->broker, ret_broker);
	if (status == 0)
		*ret = TAKE(c);
	return status;
}

int session_open_to(struct config *config, const struct config_broker *broker, const char *command,
		    struct session **ret) {
	CLEANUP(session_free) struct session *s = NULL;

	if (session_new(config, broker, command, &s) < 0) {
		command_complain("out of memory");
		return EXIT_FAILURE;
	}
	if (session_connect(s) < 0) {
		command_complain("%s", session_reason(s));
		return session_exit_status(s);
	}
	*ret = TAKE(s);
	return 0;
}

int session_open(const struct session_options *o, const char *command, struct session **ret) {
	CLEANUP(config_unref) struct config *config = NULL;
	const struct config_broker *broker;
	int status = session_find_broker(o, &config, &broker);

	return status ? status : session_open_to(config, broker, command, ret);
}
