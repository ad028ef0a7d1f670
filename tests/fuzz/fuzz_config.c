/* SPDX-License-Identifier: MIT */
/* A configuration file, for root and for somebody else: it is refused with at least one problem, each a line that can
 * be printed, or read; and what is read can be dumped, read again, and is dumped as the same (but for its first line,
 * which says what was read). */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/config.h"
#include "unit/privileges_of.h"

/* libconfig itself loses the string that comes before a syntax error. The library of gcc's sanitizer looks for this by its
 * name, so it must not be hidden as everything else is. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void) {
	return "leak:libconfig.so\n";
}

static void look_at(const struct config_problems *p) {
	for (size_t i = 0; i < p->n; i++) {
		char *line;

		EXPECT(config_problem_format(p->items + i, &line) == 0);
		for (const char *s = line; *s; s++)
			EXPECT((unsigned char)*s >= 0x20 && *s != 0x7f);
		free(line);
	}
}

/* The configuration in these bytes; NULL: it is refused. */
static struct config *load(const void *data, size_t size, const struct privileges *privileges) {
	CLEANUP(fd_close) int fd = memfd_create("config", MFD_CLOEXEC);
	struct config_problems problems = {0};
	struct config *c = NULL;
	char path[64];
	int r;

	EXPECT(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_load_for(path, privileges, &problems, &c);
	EXPECT(r == 0 || r == -EINVAL);
	EXPECT((r == 0) == (problems.n_errors == 0));
	look_at(&problems);
	config_problems_clear(&problems);
	return c;
}

static char *dump(const struct config *c) {
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	EXPECT(f && config_dump(c, f) == 0 && fclose(f) == 0);
	EXPECT(strlen(text) == len);
	return text;
}

static void there_and_back(const uint8_t *data, size_t size, const struct privileges *privileges) {
	struct config *c = load(data, size, privileges), *again;
	char *text, *text_again;

	if (!c)
		return;
	text = dump(c);
	/* Only where further files may come is no queue enough, and a dump has no further files. */
	if (c->n_queues == 0) {
		free(text);
		config_unref(c);
		return;
	}
	config_unref(c);
	again = load(text, strlen(text), privileges);
	EXPECT(again);
	text_again = dump(again);
	config_unref(again);
	EXPECT(strcmp(strchr(text, '\n'), strchr(text_again, '\n')) == 0);
	free(text);
	free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	there_and_back(data, size, &nobodys_privileges);
	there_and_back(data, size, &roots_privileges);
	return 0;
}
