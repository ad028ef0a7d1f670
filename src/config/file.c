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
#define CREDENTIALS "%d/"    /* what a unit calls the folder of credentials */

const char *file_path(struct reader *r, const struct key *k, const config_setting_t *s) {
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

bool file_read_secret(struct reader *r, const config_setting_t *s, const char *path, char **ret) {
	CLEANUP(trusted_clear) struct trusted file = {0};
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	char *secret;
	int result;

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

static bool is_credential(const config_setting_t *s) {
	return config_setting_type(s) == CONFIG_TYPE_STRING &&
	       strncmp(setting_string(s), CREDENTIALS, strlen(CREDENTIALS)) == 0;
}

/* The path of the file, or of the credential, which is the caller's; NULL after noting that there is none. */
static char *find(struct reader *r, const struct key *k, const config_setting_t *s) {
	const char *path;

	if (is_credential(s))
		return credential_path(r, s, setting_string(s) + strlen(CREDENTIALS));
	path = file_path(r, k, s);
	return path ? reader_strdup(r, path) : NULL;
}

static void read_secret(struct reader *r, const struct key *k, const config_setting_t *s, const char *path,
			void *base) {
	char **secret = (char **)(void *)((char *)base + k->secret_offset), *read;

	if (!file_read_secret(r, s, path, &read))
		return;
	secret_free(*secret);
	*secret = read;
}

void file_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	char **at = (char **)(void *)((char *)base + k->offset);
	CLEANUP(free) char *path = find(r, k, s);

	if (!path) {
		/* For one who asks, what is written is all that there is. */
		if (r->outside && is_credential(s))
			*at = reader_strdup(r, setting_string(s));
		return;
	}
	if (k->type == KEY_SECRET_FILE)
		read_secret(r, k, s, path, base);
	else
		check_file(r, k, s, path);
	if (k->type == KEY_PRIVATE_FILE)
		reader_add_secret_file(r, path);
	free(*at);
	*at = TAKE(path);
}
