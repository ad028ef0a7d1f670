/* SPDX-License-Identifier: MIT */
/* amqp-execd: arguments, signal mask, exit status. */
#include "autoconf.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "guard.h"
#include "handler/program.h"
#include "log_problems.h"
#include "manager.h"

#define DEFAULT_CONFIG SYSCONFDIR "/amqp-execd/amqp-execd.conf"

/* gcc and clang say it in different ways. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(leak_sanitizer)
#define LEAK_CHECKER 1
#endif
#endif

struct arguments {
	const char *config;
	bool check;
	bool dump;
	int log_priority;
};

enum { OPTION_CHECK = 256, OPTION_DUMP, OPTION_LOG_LEVEL, OPTION_VERSION };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"dump-config", no_argument, NULL, OPTION_DUMP},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static void print_help(void) {
	printf("Usage: amqp-execd [OPTION...]\n"
	       "Consume RabbitMQ queues and run a handler process for each message.\n"
	       "\n"
	       "  -c, --config FILE      read FILE instead of " DEFAULT_CONFIG "\n"
	       "      --check            check the configuration, say what is wrong, and exit\n"
	       "      --dump-config      print the effective configuration, secrets hidden, and exit\n"
	       "      --log-level LEVEL  err, warning, notice, info (default) or debug\n"
	       "  -h, --help             print this and exit\n"
	       "      --version          print the version and exit\n"
	       "\n"
	       "Stays in the foreground. SIGTERM and SIGINT stop it: running handlers end first;\n"
	       "a second one stops the handlers, too.\n"
	       "\n"
	       "Exit status: 0 clean stop, 64 wrong usage, 70 internal error, 78 configuration error.\n"
	       "\n"
	       "amqp-execd(8), amqp-execd.conf(5)\n");
}

/* 0: go on. Positive: leave with *ret_status. */
static int parse_arguments(int argc, char **argv, struct arguments *args, int *ret_status) {
	int c;

	while ((c = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			args->config = optarg;
			break;
		case OPTION_CHECK:
			args->check = true;
			break;
		case OPTION_DUMP:
			args->dump = true;
			break;
		case OPTION_LOG_LEVEL:
			args->log_priority = log_priority_from_string(optarg);
			if (args->log_priority < 0) {
				fprintf(stderr, "amqp-execd: unknown log level \"%s\": err, warning, notice, info or debug\n", optarg);
				*ret_status = EX_USAGE;
				return 1;
			}
			break;
		case 'h':
			print_help();
			*ret_status = 0;
			return 1;
		case OPTION_VERSION:
			printf("amqp-execd %s\n", PACKAGE_VERSION);
			*ret_status = 0;
			return 1;
		default:
			fprintf(stderr, "Try \"amqp-execd --help\".\n");
			*ret_status = EX_USAGE;
			return 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "amqp-execd: unexpected argument \"%s\"\nTry \"amqp-execd --help\".\n", argv[optind]);
		*ret_status = EX_USAGE;
		return 1;
	}
	return 0;
}

/* To stderr as plain text for the one who asked (--check, --dump-config), else to the log. */
static void tell_problems(const struct config_problems *problems, bool to_log) {
	if (to_log) {
		log_problems(problems);
		return;
	}
	for (size_t i = 0; i < problems->n; i++) {
		CLEANUP(free) char *text = NULL;

		if (config_problem_format(&problems->items[i], &text) == 0)
			fprintf(stderr, "%s\n", text);
	}
}

/* What --check can tell beyond the files: handlers that could not be executed here and now. */
static void check_handlers(const struct config *config) {
	for (size_t i = 0; i < config->n_queues; i++) {
		CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;
		CLEANUP(program_free) struct program *program = NULL;
		struct spawn_error error;
		char what[512];

		strbuf_append_value(&name, config->queues[i].name, strlen(config->queues[i].name));
		if (program_new(NULL, &config->queues[i], &program) == 0 && program_probe(program, &error) < 0)
			fprintf(stderr, "amqp-execd: queue %s: warning: the handler cannot be executed: %s\n",
				strbuf_str(&name), spawn_error_format(&error, what, sizeof(what)));
	}
}

/* --check and --dump-config. Returns the exit status. */
static int answer(const struct arguments *args, const struct config *config) {
	if (args->check) {
		check_handlers(config);
		fprintf(stderr, "%s: the configuration is valid: %zu broker%s, %zu queue%s", config->path,
			config->n_brokers, config->n_brokers == 1 ? "" : "s", config->n_queues,
			config->n_queues == 1 ? "" : "s");
		if (config->include_dir)
			fprintf(stderr, ", %zu file%s in %s", config->n_drop_ins, config->n_drop_ins == 1 ? "" : "s",
				config->include_dir);
		fprintf(stderr, "\n");
	}
	if (args->dump && (config_dump(config, stdout) < 0 || fflush(stdout) == EOF)) {
		fprintf(stderr, "amqp-execd: cannot write the configuration: %s\n", strerror(errno));
		return EX_SOFTWARE;
	}
	return 0;
}

/* Signals come through the event loop; threads and handlers get their masks from there. */
static int prepare_signals(void) {
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return 0;
}

/* LeakSanitizer looks at the process from outside, which it must be allowed to. Without it nobody need be: the broker
 * library does not wipe what it has freed, so a password may still be in memory. */
static void allow_leak_checker(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(LEAK_CHECKER)
	(void)prctl(PR_SET_DUMPABLE, 1);
#endif
}

static int run_daemon(struct config *config, int guard_fd) {
	int r;

	log_event(LOG_EVENT_STARTING, LOG_INFO, LOG_FIELDS(log_string("CONFIG_FILE", config->path)),
		  "amqp-execd %s starting: %s, %zu queue%s", PACKAGE_VERSION, config->path, config->n_queues,
		  PLURAL(config->n_queues));
	r = manager_run(config, guard_fd);
	if (r == -ENOTSUP)
		return EX_CONFIG;
	return r < 0 ? EX_SOFTWARE : 0;
}

int main(int argc, char **argv) {
	struct arguments args = {.config = DEFAULT_CONFIG, .log_priority = LOG_INFO};
	struct config_problems problems = {0};
	CLEANUP(config_unref) struct config *config = NULL;
	CLEANUP(fd_close) int guard_fd = -1;
	bool ask;
	int status, r;

	if (parse_arguments(argc, argv, &args, &status) > 0)
		return status;
	ask = args.check || args.dump;
	/* One who asks can interrupt as any program is interrupted; only the daemon has a loop that takes signals. */
	r = ask ? 0 : prepare_signals();
	/* Handlers may be given our output, but not what would have its number. */
	if (r >= 0 && !ask)
		r = fd_fill_standard();
	if (r >= 0 && !ask && guard_is_needed())
		r = guard_start(&guard_fd);
	if (r >= 0 && !ask)
		r = log_open(LOG_TARGET_AUTO, args.log_priority);
	if (r < 0) {
		fprintf(stderr, "amqp-execd: cannot start: %s\n", strerror(-r));
		return EX_SOFTWARE;
	}
	/* Passwords are about to be in our memory: no core dumps, and no reading through /proc by the same user. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	r = (ask ? config_examine : config_load)(args.config, &problems, &config);
	tell_problems(&problems, !ask);
	if (r == -EINVAL)
		status = EX_CONFIG;
	else if (r < 0)
		status = EX_SOFTWARE;
	else
		status = ask ? answer(&args, config) : run_daemon(config, guard_fd);
	if (r < 0 && r != -EINVAL)
		log_event(LOG_EVENT_INTERNAL_ERROR, LOG_ERR,
			  LOG_FIELDS(log_string("CONFIG_FILE", args.config), log_string("AMQP_REASON", strerror(-r))),
			  "cannot read %s: %s", args.config, strerror(-r));
	config_problems_clear(&problems);
	config = config_unref(config);
	allow_leak_checker();
	log_close();
	return status;
}
