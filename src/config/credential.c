/* SPDX-License-Identifier: MIT */
/* What the service manager hands to the service: LoadCredential= of systemd.exec(5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/reader.h"

/* What systemd puts before the names when the unit loads a folder as "amqp-execd". */
#define FOLDER_PREFIX "amqp-execd_"

static bool is_name(const char *name) {
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Where the service has its credentials; NULL after noting that there are none. Who asks outside of the service has
 * none, and need not have any. */
static const char *find_folder(struct reader *r, const config_setting_t *s) {
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (folder && *folder == '/')
		return folder;
	if (r->outside)
		reader_warning(r, s, "not looked at: only the service has credentials ($CREDENTIALS_DIRECTORY)");
	else
		reader_problem(r, s,
			       "there are no credentials ($CREDENTIALS_DIRECTORY): expected LoadCredential= or "
			       "SetCredential= in the unit, see systemd.exec(5)");
	return NULL;
}

/* The path in the folder, if there is such a file or it cannot be told; else NULL. */
static char *find_file(struct reader *r, const char *folder, const char *prefix, const char *name) {
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;
	struct stat st;
	char *ret;

	strbuf_printf(&path, "%s/%s%s", folder, prefix, name);
	if (reader_check(r, strbuf_take(&path, &ret)) < 0)
		return NULL;
	if (stat(ret, &st) == 0 || (errno != ENOENT && errno != ENAMETOOLONG))
		return ret;
	free(ret);
	return NULL;
}

char *credential_path(struct reader *r, const config_setting_t *s, const char *name) {
	CLEANUP(strbuf_free) struct strbuf shown = STRBUF_INIT, where = STRBUF_INIT;
	const char *folder;
	char *path;

	if (!is_name(name)) {
		reader_problem(r, s, "expected the name of a credential, without a slash");
		return NULL;
	}
	folder = find_folder(r, s);
	if (!folder)
		return NULL;
	path = find_file(r, folder, "", name);
	if (!path)
		path = find_file(r, folder, FOLDER_PREFIX, name);
	if (path)
		return path;
	strbuf_append_escaped(&shown, name, strlen(name));
	strbuf_append_escaped(&where, folder, strlen(folder));
	reader_problem(r, s,
		       "there is no credential \"%s\" (nor \"" FOLDER_PREFIX
		       "%s\") in %s: the service manager hands over what "
		       "is there when the service starts, so a new one takes a restart",
		       strbuf_str(&shown), strbuf_str(&shown), strbuf_str(&where));
	return NULL;
}
