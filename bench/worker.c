/* SPDX-License-Identifier: MIT */
/* A worker (handler.mode = "worker") that does nothing: reads each message to its end and acknowledges it. Static, and with system
 * calls alone, so that little but the daemon is measured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 17];
static size_t start, end; /* what was read and not used yet */

/* Reads more behind what there is. False at the end of file. */
static int fill(void) {
	ssize_t n;

	memmove(buffer, buffer + start, end - start);
	end -= start;
	start = 0;
	n = read(0, buffer + end, sizeof(buffer) - end);
	if (n <= 0)
		return 0;
	end += (size_t)n;
	return 1;
}

/* The size at the end of a line of metadata. */
static size_t body_size(const char *line, size_t len) {
	const char *at = line + len;

	while (at > line && at[-1] != ':')
		at--;
	return strtoul(at, NULL, 10);
}

int main(void) {
	for (;;) {
		char *newline;
		size_t body;

		while (!(newline = memchr(buffer + start, '\n', end - start)))
			if (!fill())
				return 0;
		body = body_size(buffer + start, (size_t)(newline - buffer) - start);
		start = (size_t)(newline - buffer) + 1;
		while (end - start < body) {
			body -= end - start;
			start = end;
			if (!fill())
				return 1;
		}
		start += body;
		if (write(1, "ack\n", 4) != 4)
			return 1;
	}
}
