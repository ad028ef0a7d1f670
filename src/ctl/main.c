/* SPDX-License-Identifier: MIT */
/* amqp-execctl: gives orders to amqp-execd, and asks how it is. */
#include "autoconf.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "ctl/command.h"

#define DEFAULT_SOCKET "/run/amqp-execd/control.sock"
#define SOCKET_VARIABLE "AMQP_EXECCTL_SOCKET"
/* Of systemd, for ExecReload= as for the daemon. */
#define FOLDER_VARIABLE "RUNTIME_DIRECTORY"

enum { OPTION_SOCKET = 256, OPTION_INSTANCE, OPTION_VERSION };

static const struct option options[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"instance", required_argument, NULL, OPTION_INSTANCE},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

struct arguments {
	const char *socket;   /* NULL: not given */
	const char *instance; /* NULL: not given */
};

static void print_help(void) {
	printf("Usage: amqp-execctl [--socket PATH | --instance NAME] COMMAND [ARGUMENT...]\n"
	       "Give orders to amqp-execd, and ask how it is; publish, look at and replay messages.\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	printf("\n"
	       "Options:\n"
	       "      --socket PATH      the daemon's control socket, instead of $" SOCKET_VARIABLE ",\n"
	       "                         $" FOLDER_VARIABLE "/control.sock where that is there, or\n"
	       "                         " DEFAULT_SOCKET "\n"
	       "      --instance NAME    that of amqp-execd@NAME.service: /run/amqp-execd-NAME/control.sock\n"
	       "  -h, --help             print this and exit; after a command, its help\n"
	       "      --version          print the version and exit\n"
	       "\n"
	       "Exit status: 0 done, 64 wrong usage, 69 the daemon or broker cannot be reached, 75 the time is\n"
	       "over, 77 not permitted, 78 the configuration is refused, 1 anything else.\n"
	       "\n"
	       "amqp-execctl(1), amqp-execd(8)\n");
}

static int usage(void) {
	fprintf(stderr, "Try \"amqp-execctl --help\".\n");
	return EX_USAGE;
}

/* Options before the command. 0: go on. Positive: leave with *ret_status. */
static int parse_arguments(int argc, char **argv, struct arguments *args, int *ret_status) {
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case OPTION_SOCKET:
			args->socket = optarg;
			break;
		case OPTION_INSTANCE:
			args->instance = optarg;
			break;
		case 'h':
			print_help();
			*ret_status = 0;
			return 1;
		case OPTION_VERSION:
			printf("amqp-execctl %s\n", PACKAGE_VERSION);
			*ret_status = 0;
			return 1;
		default:
			*ret_status = usage();
			return 1;
		}
	}
	if (args->socket && args->instance) {
		command_complain("either --socket or --instance");
		*ret_status = usage();
		return 1;
	}
	if (args->instance && (!*args->instance || strchr(args->instance, '/'))) {
		command_complain("\"%s\" is no name of an instance", args->instance);
		*ret_status = usage();
		return 1;
	}
	return 0;
}

static const struct command *find_command(const char *name) {
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The variable is set in every unit with RuntimeDirectory=, which may as well be one that only looks after the daemon:
 * so what counts is that there is a socket. Of several folders the daemon uses the first one. */
static bool append_runtime_socket(struct strbuf *b) {
	const char *folders = getenv(FOLDER_VARIABLE);
	struct stat st;

	if (!folders || *folders != '/')
		return false;
	strbuf_append(b, folders, strcspn(folders, ":"));
	strbuf_append_str(b, "/control.sock");
	if (!b->failed && stat(strbuf_str(b), &st) == 0 && S_ISSOCK(st.st_mode))
		return true;
	strbuf_reset(b);
	return false;
}

static void append_socket(const struct arguments *args, struct strbuf *b) {
	const char *variable = getenv(SOCKET_VARIABLE);

	if (args->socket)
		strbuf_append_str(b, args->socket);
	else if (args->instance)
		strbuf_printf(b, "/run/amqp-execd-%s/control.sock", args->instance);
	else if (variable && *variable)
		strbuf_append_str(b, variable);
	else if (!append_runtime_socket(b))
		strbuf_append_str(b, DEFAULT_SOCKET);
}

static bool wants_colour(void) {
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
}

static int run_command(const struct arguments *args, const struct command *command, int argc, char **argv) {
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;
	struct ctl ctl = {.colour = wants_colour()};
	int r;

	append_socket(args, &path);
	ctl.socket = strbuf_str(&path);
	r = path.failed ? -ENOMEM : client_new(ctl.socket, &ctl.client);
	if (r < 0) {
		command_complain("%s: %s", ctl.socket,
				 r == -ENAMETOOLONG ? "too long for the path of a socket" : "out of memory");
		return r == -ENAMETOOLONG ? EX_USAGE : EXIT_FAILURE;
	}
	r = command->run(&ctl, command, argc, argv);
	client_free(ctl.client);
	return r;
}

int main(int argc, char **argv) {
	struct arguments args = {0};
	const struct command *command;
	char *program = argv[0];
	int status;

	/* For the width of characters. */
	(void)setlocale(LC_CTYPE, "");
	if (parse_arguments(argc, argv, &args, &status) > 0)
		return status;
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		command_complain("no command");
		return usage();
	}
	command = find_command(argv[0]);
	if (!command) {
		command_complain("there is no command \"%s\"", argv[0]);
		return usage();
	}
	/* 0 has getopt begin anew, at what follows the command. Its complaints begin with the program's name. */
	argv[0] = program;
	optind = 0;
	return run_command(&args, command, argc, argv);
}
