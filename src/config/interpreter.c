/* SPDX-License-Identifier: MIT */
#include "config/interpreter.h"

#include <string.h>

#include "base/macro.h"

/* How an interpreter reads its arguments. Options end at the first operand, or at "--". */
struct interpreter {
	const char *names[12];
	const char *code;         /* options that come with a script, as letters */
	const char *takes;        /* options that take another argument */
	const char *long_code[3]; /* as `code` */
	const char *data;         /* of `takes`, those whose argument can be anything; NULL: none */
	bool operand;             /* the script is the first operand, also with an option of `code` */
	bool attached;            /* an option's argument may be in the same word: -eCODE */
	bool last;                /* options end with the script */
	bool permutes;            /* options may come behind operands, too */
	const char *instead;      /* how a script names its first argument; NULL: not at all */
};

static const struct interpreter interpreters[] = {
	{.names = {"sh", "bash", "rbash", "dash", "ash", "ksh", "mksh", "zsh"},
	 .code = "c",
	 .takes = "oO",
	 .operand = true,
	 .instead = "\"$1\""},
	{.names = {"fish"},
	 .code = "cC",
	 .long_code = {"--command", "--init-command"},
	 .takes = "odDf",
	 .attached = true,
	 .instead = "$argv[1]"},
	{.names = {"perl"}, .code = "eE", .takes = "I", .attached = true, .instead = "$ARGV[0]"},
	{.names = {"python", "pypy"},
	 .code = "cm",
	 .takes = "WX",
	 .attached = true,
	 .last = true,
	 .instead = "sys.argv[1]"},
	{.names = {"ruby"}, .code = "e", .takes = "rICE", .attached = true, .instead = "ARGV[0]"},
	{.names = {"php", "php-cgi"},
	 .code = "rBREfF",
	 .long_code = {"--run", "--file"},
	 .takes = "dcztS",
	 .attached = true,
	 .instead = "$argv[1]"},
	{.names = {"node", "nodejs"},
	 .code = "ep",
	 .long_code = {"--eval", "--print"},
	 .takes = "rC",
	 .instead = "process.argv[1]"},
	{.names = {"lua"}, .code = "e", .takes = "l", .attached = true, .instead = "arg[1]"},
	{.names = {"awk", "gawk", "mawk", "nawk"},
	 .code = "fe",
	 .long_code = {"--file", "--source"},
	 .takes = "Fv",
	 .data = "v",
	 .attached = true,
	 .instead = "ARGV[1]"},
	{.names = {"sed"},
	 .code = "ef",
	 .long_code = {"--expression", "--file"},
	 .takes = "l",
	 .attached = true,
	 .permutes = true},
	{.names = {"su", "runuser"},
	 .code = "c",
	 .long_code = {"--command", "--session-command"},
	 .takes = "gGsuw",
	 .attached = true,
	 .permutes = true},
};

/* What runs a program that its arguments name. */
static const char *const wrappers[] = {"env",     "nice",    "ionice",  "chrt",       "nohup", "setsid",
				       "setpriv", "timeout", "stdbuf",  "xargs",      "sudo",  "doas",
				       "su",      "runuser", "busybox", "toybox",     "flock", "chroot",
				       "unshare", "prlimit", "taskset", "systemd-run"};

static const char *base_name(const char *path) {
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Also with a version: python3.11. */
static bool is_named(const char *path, const char *name) {
	const char *base = base_name(path);
	size_t len = strlen(name);

	return strncmp(base, name, len) == 0 && base[len + strspn(base + len, "0123456789.-")] == '\0';
}

static const struct interpreter *find_interpreter(const struct word *w) {
	for (size_t i = 0; w->constant && i < ARRAY_SIZE(interpreters); i++)
		for (size_t j = 0; interpreters[i].names[j]; j++)
			if (is_named(w->text, interpreters[i].names[j]))
				return &interpreters[i];
	return NULL;
}

static bool is_wrapper(const char *path) {
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++)
		if (strcmp(base_name(path), wrappers[i]) == 0)
			return true;
	return false;
}

/* What an option means for the words behind it. */
struct option {
	bool code;  /* its argument is a script */
	bool takes; /* the next word is its argument */
	bool data;  /* which can be anything */
};

static struct option read_option(const struct interpreter *in, const char *text) {
	struct option o = {0};

	for (size_t i = 0; text[0] == '-' && text[1] == '-' && i < ARRAY_SIZE(in->long_code) && in->long_code[i]; i++) {
		size_t len = strlen(in->long_code[i]);

		if (strncmp(text, in->long_code[i], len) == 0 && (text[len] == '\0' || text[len] == '='))
			return (struct option){.code = true, .takes = text[len] == '\0'};
	}
	for (const char *p = text + 1; text[1] != '-' && *p; p++) {
		bool code = strchr(in->code, *p) != NULL;

		if (!code && !strchr(in->takes, *p))
			continue;
		o.code |= code;
		o.data = !code && in->data && strchr(in->data, *p);
		o.takes |= !(code && in->operand) && !(in->attached && p[1]);
		if (in->attached)
			break;
	}
	return o;
}

/* Looks through the words behind the interpreter, from i on. *ret_at is where the danger is; *ret_code is whether an
 * option before it says that there is a script. */
static enum danger scan(const struct interpreter *in, const struct word *w, size_t n, size_t i, size_t *ret_at,
			bool *ret_code) {
	bool code = false;

	for (; i < n; i++) {
		const char *text = w[i].text;
		bool constant = w[i].constant, end = strcmp(text, "--") == 0;
		struct option o;

		*ret_code = code;
		*ret_at = i;
		if (end || (text[0] != '-' && text[0] != '+') || !text[1]) {
			*ret_at = i += end;
			if (i < n && !w[i].constant) {
				if (!code || in->operand)
					return DANGER_SCRIPT;
				if (!end && strncmp(w[i].text, "%{", 2) == 0)
					return DANGER_OPTION;
			}
			if (end || !in->permutes)
				return DANGER_NONE;
			code = true; /* where operands are looked through, the first one was it */
			continue;
		}
		o = read_option(in, text);
		if (!constant && !o.data)
			return DANGER_OPTION;
		code |= o.code;
		i += o.takes;
		if (o.takes && !o.data && i < n && !w[i].constant) {
			*ret_at = i;
			*ret_code = code;
			return o.code ? DANGER_SCRIPT : DANGER_OPTION;
		}
		if (o.code && in->last)
			return DANGER_NONE;
	}
	return DANGER_NONE;
}

/* NAME=VALUE, for which env and sudo take it, whatever the value is; but not for a variable that says what is executed.
 */
static bool is_assignment(const char *text) {
	static const char *const executed[] = {"PATH=", "LD_", "ENV=", "BASH_ENV=", "PERL5", "PYTHON", "RUBY", "NODE_"};
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	for (size_t i = 0; i < ARRAY_SIZE(executed); i++)
		if (strncmp(text, executed[i], strlen(executed[i])) == 0)
			return false;
	return n > 0 && text[n] == '=';
}

/* Words before the program that a wrapper runs: up to the first that is neither option, assignment nor number. */
static bool wrapper_is_led(const struct word *w, size_t n, size_t *ret_at) {
	for (size_t i = 1; i < n; i++) {
		const char *text = w[i].text;
		bool number = *text >= '0' && *text <= '9';

		if (!w[i].constant && !is_assignment(text)) {
			*ret_at = i;
			return true;
		}
		if (*text != '-' && !number && !strchr(text, '='))
			return false;
	}
	return false;
}

enum danger interpreter_danger(const struct word *words, size_t n, struct danger_place *ret) {
	bool wrapped = is_wrapper(words[0].text);
	size_t at;

	if (wrapped && !find_interpreter(&words[0]) && wrapper_is_led(words, n, &at)) {
		*ret = (struct danger_place){at, words[0].text, NULL};
		return DANGER_SCRIPT;
	}
	for (size_t i = 0; i < n; i++) {
		const struct interpreter *in = find_interpreter(&words[i]);
		enum danger danger;
		bool code = false;

		if (!in)
			continue;
		danger = scan(in, words, n, i + 1, &at, &code);
		/* Further on it may be a word like any other, if no option says that there is a script. */
		if (danger != DANGER_NONE && (i == 0 || wrapped || code)) {
			*ret = (struct danger_place){at, words[i].text, in->instead};
			return danger;
		}
	}
	return DANGER_NONE;
}
