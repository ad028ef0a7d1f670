/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "handler/spawn.h"

static const char *const step_names[] = {
	[SPAWN_NONE] = "none",
	[SPAWN_IDENTITY] = "identity",
	[SPAWN_PREPARE] = "prepare",
	[SPAWN_INPUT] = "input",
	[SPAWN_OUTPUT] = "output",
	[SPAWN_PROCESS] = "process",
	[SPAWN_SESSION] = "session",
	[SPAWN_CONFINEMENT] = "confinement",
	[SPAWN_DESCRIPTORS] = "descriptors",
	[SPAWN_NICE] = "nice",
	[SPAWN_LIMIT] = "limit",
	[SPAWN_USER] = "user",
	[SPAWN_DEATH_SIGNAL] = "death signal",
	[SPAWN_DIRECTORY] = "directory",
	[SPAWN_SIGNALS] = "signals",
	[SPAWN_EXECUTE] = "execute",
};

/* What each step could not do. */
static const char *const step_failures[] = {
	[SPAWN_NONE] = "no failure",
	[SPAWN_IDENTITY] = "cannot look up",
	[SPAWN_PREPARE] = "cannot prepare the handler's environment",
	[SPAWN_INPUT] = "cannot prepare the handler's input",
	[SPAWN_OUTPUT] = "cannot prepare pipes for the handler's output",
	[SPAWN_PROCESS] = "cannot create a process",
	[SPAWN_SESSION] = "cannot create a session for the handler",
	[SPAWN_CONFINEMENT] = "cannot keep the handler from the daemon's secrets",
	[SPAWN_DESCRIPTORS] = "cannot set up the handler's descriptors",
	[SPAWN_NICE] = "cannot set the handler's nice value",
	[SPAWN_LIMIT] = "cannot set the handler's limit of",
	[SPAWN_USER] = "cannot become user",
	[SPAWN_DEATH_SIGNAL] = "cannot tie the handler's life to the daemon's",
	[SPAWN_DIRECTORY] = "cannot change to directory",
	[SPAWN_SIGNALS] = "cannot reset the handler's signals",
	[SPAWN_EXECUTE] = "cannot execute",
};

const char *spawn_step_to_string(enum spawn_step s) {
	return (size_t)s < ARRAY_SIZE(step_names) ? step_names[s] : NULL;
}

int spawn_error_set(struct spawn_error *e, enum spawn_step step, int error, const char *path) {
	assert(error > 0);
	*e = (struct spawn_error){.step = step, .error = error};
	if (path)
		(void)snprintf(e->path, sizeof(e->path), "%s", path);
	return -error;
}

/* Appends s, control characters as \xHH: a script may name "/bin/sh\r", and that is worth seeing. No allocation: the
 * error may be that there is no memory. Cuts what does not fit. */
static size_t append_printable(char *buf, size_t size, size_t len, const char *s) {
	for (; *s && len + 1 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != 0x7f) {
			buf[len++] = *s;
		} else {
			char hex[5];

			(void)snprintf(hex, sizeof(hex), "\\x%02x", c);
			for (size_t i = 0; hex[i] && len + 1 < size; i++)
				buf[len++] = hex[i];
		}
	}
	buf[len] = '\0';
	return len;
}

const char *spawn_error_format(const struct spawn_error *e, char *buf, size_t size) {
	char text[128];
	const char *reason = strerror_r(e->error, text, sizeof(text));
	size_t len;

	if (e->step == SPAWN_IDENTITY && e->error == ESRCH) {
		len = append_printable(buf, size, 0, "unknown ");
		(void)append_printable(buf, size, len, e->path);
		return buf;
	}
	len = append_printable(
		buf, size, 0, (size_t)e->step < ARRAY_SIZE(step_failures) ? step_failures[e->step] : "cannot start");
	if (e->path[0]) {
		len = append_printable(buf, size, len, " ");
		len = append_printable(buf, size, len, e->path);
	}
	len = append_printable(buf, size, len, ": ");
	if (e->interpreter[0]) {
		len = append_printable(buf, size, len, "its interpreter ");
		len = append_printable(buf, size, len, e->interpreter);
		if (e->error == ENOENT) {
			(void)append_printable(buf, size, len, " does not exist");
			return buf;
		}
		len = append_printable(buf, size, len, ": ");
	} else if (e->loader) {
		(void)append_printable(buf, size, len, "the file exists, but the loader that it needs does not");
		return buf;
	}
	(void)append_printable(buf, size, len, reason);
	return buf;
}

int spawn_error_is_resource(const struct spawn_error *e) {
	switch (e->step) {
	case SPAWN_PREPARE:
	case SPAWN_INPUT:
	case SPAWN_OUTPUT:
		return 1;
	default:
		break;
	}
	switch (e->error) {
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return 1;
	default:
		return 0;
	}
}
