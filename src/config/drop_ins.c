/* SPDX-License-Identifier: MIT */
/* The files of include_dir. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "config/document.h"
#include "config/reader.h"
#include "config/trusted.h"

#define SUFFIX ".conf"
#define FILES_MAX 1000

/* Not what editors and package managers leave beside a file. */
static int is_drop_in(const struct dirent *e) {
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > strlen(SUFFIX) && strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* By bytes, whatever the language is. */
static int compare(const struct dirent **a, const struct dirent **b) {
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is for the daemon as a whole has one place. */
static void check_keys(struct reader *r, const config_setting_t *root) {
	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *s = config_setting_get_elem((config_setting_t *)root, (unsigned)i);
		const struct key *k = key_find(SECTION_ROOT, config_setting_name(s));
		CLEANUP(strbuf_free) struct strbuf main_file = STRBUF_INIT;
		size_t mark = reader_enter(r, config_setting_name(s));

		strbuf_append_escaped(&main_file, r->config->path, strlen(r->config->path));
		if (!k)
			reader_unknown_key(r, SECTION_ROOT, s);
		else if (!k->drop_in)
			reader_problem(r, s, "belongs into the main file, %s: here may only be brokers and queues",
				       strbuf_str(&main_file));
		reader_leave(r, mark);
	}
}

static void read_file(struct reader *r, const char *path) {
	const struct document *document = r->document;
	int result = documents_add(r->documents, path, true, r->problems);

	/* It has been removed since the folder was listed. */
	if (result == -ENOENT)
		return;
	r->config->n_drop_ins++;
	if (result == -EINVAL || reader_check(r, result) < 0)
		return;
	r->document = r->documents->items[r->documents->n - 1];
	check_keys(r, r->document->root);
	r->document = document;
}

static void read_files(struct reader *r, const char *folder, struct dirent **files, int n) {
	bool slash = folder[strlen(folder) - 1] == '/';

	/* The keys in them have paths of their own. */
	reader_leave(r, 0);
	for (int i = 0; i < n && !r->error; i++) {
		CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;

		strbuf_printf(&path, "%s%s%s", folder, slash ? "" : "/", files[i]->d_name);
		if (path.failed)
			(void)reader_check(r, -ENOMEM);
		else
			read_file(r, strbuf_str(&path));
	}
}

static void folder_problem(struct reader *r, const config_setting_t *s, const char *folder, const char *why) {
	CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;

	strbuf_append_escaped(&name, folder, strlen(folder));
	reader_problem(r, s, "\"%s\" %s", strbuf_str(&name), why);
	/* What is in it may be missed elsewhere. */
	r->documents->incomplete = true;
}

static void read_folder(struct reader *r, const config_setting_t *s, const char *folder) {
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	CLEANUP(fd_close) int fd = -1;
	struct dirent **files = NULL;
	int n = -1;

	if (trusted_open_directory(folder, &fd, &why) == 0) {
		n = scandirat(fd, ".", &files, is_drop_in, compare);
		if (n < 0)
			strbuf_printf(&why, "cannot be listed: %s", strerror(errno));
	}
	if (n > FILES_MAX)
		strbuf_printf(&why, "has %d files: expected at most %d", n, FILES_MAX);
	if (n < 0 || n > FILES_MAX)
		folder_problem(r, s, folder, strbuf_str(&why));
	else
		read_files(r, folder, files, n);
	for (int i = 0; i < n; i++)
		free(files[i]);
	free(files);
}

void drop_ins_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	const char *folder = config_setting_type(s) == CONFIG_TYPE_STRING ? setting_string(s) : "";

	r->has_include_dir = true;
	if (*folder != '/') {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	*(char **)(void *)((char *)base + k->offset) = reader_strdup(r, folder);
	read_folder(r, s, folder);
}
