/* SPDX-License-Identifier: MIT */
/* Files that the configuration names: whether they can be read, and the secrets in them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "config/reader.h"
#include "config/section.h"
#include "config/trusted.h"

#define SECRET_FILE_MAX 4096 /* bytes */

/* The path that the setting holds; NULL after noting that it holds none. */
static const char *read_path(struct reader *r, const struct key *k, const config_setting_t *s) {
	const char *path = config_setting_type(s) == CONFIG_TYPE_STRING ? setting_string(s) : NULL;

	if (path && *path == '/')
		return path;
	reader_mismatch(r, k, s, NULL);
	return NULL;
}

static void file_problem(struct reader *r, const config_setting_t *s, const char *path, const char *why) {
	CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;

	strbuf_append_escaped(&name, path, strlen(path));
	reader_problem(r, s, "\"%s\" %s", strbuf_str(&name), why);
}

static void warn_if_readable(struct reader *r, const config_setting_t *s, mode_t mode) {
	if (mode & S_IROTH)
		reader_warning(r, s, "everybody can read this file (its mode is %04o): use chmod o-r",
			       (unsigned)(mode & 07777));
}

/* Notes it if the file cannot be read. */
static void check_file(struct reader *r, const struct key *k, const config_setting_t *s, const char *path) {
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;
	struct stat st;

	/* Without O_NONBLOCK, opening a FIFO would wait for a writer for ever. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		strbuf_printf(&why, "cannot be opened: %s", strerror(errno));
		file_problem(r, s, path, strbuf_str(&why));
	} else if (!S_ISREG(st.st_mode)) {
		file_problem(r, s, path, "is not a regular file");
	} else if (k->type == KEY_PRIVATE_FILE) {
		warn_if_readable(r, s, st.st_mode);
	}
}

bool file_read_secret(struct reader *r, const struct key *k, const config_setting_t *s, char **ret) {
	CLEANUP(trusted_clear) struct trusted file = {0};
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	const char *path = read_path(r, k, s);
	char *secret;
	int result;

	if (!path)
		return false;
	result = trusted_read(path, SECRET_FILE_MAX, &file, &why);
	if (result < 0) {
		if (result == -ENOMEM)
			(void)reader_check(r, result);
		file_problem(r, s, path, strbuf_str(&why));
		return false;
	}
	warn_if_readable(r, s, file.mode);
	if (memchr(file.data, '\0', file.len)) {
		reader_problem(r, s, "the file holds a NUL byte: expected a password on its first line");
		return false;
	}
	file.data[strcspn(file.data, "\r\n")] = '\0';
	if (!*file.data) {
		reader_problem(r, s, "the file's first line is empty: expected a password there");
		return false;
	}
	reader_add_secret_file(r, path);
	secret = reader_strdup(r, file.data);
	if (secret)
		*ret = secret;
	return secret != NULL;
}

void file_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	char **at = (char **)(void *)((char *)base + k->offset);
	const char *path;

	if (k->type == KEY_SECRET_FILE) {
		char **secret = (char **)(void *)((char *)base + k->secret_offset), *read = NULL;

		if (!file_read_secret(r, k, s, &read))
			return;
		secret_free(*secret);
		*secret = read;
		path = setting_string(s);
	} else {
		path = read_path(r, k, s);
		if (!path)
			return;
		check_file(r, k, s, path);
		if (k->type == KEY_PRIVATE_FILE)
			reader_add_secret_file(r, path);
	}
	free(*at);
	*at = reader_strdup(r, path);
}
