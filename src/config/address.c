/* SPDX-License-Identifier: MIT */
/* Where a broker is and how to log in there: its URLs, and the keys that go before what they say. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/reader.h"
#include "config/section.h"
#include "config/url.h"

/* The setting holds a password. A secret in a file that everybody may read is none. */
static void note_secret(struct reader *r, const config_setting_t *s) {
	const struct source_file *file =
		source_file_at(&document_of(s)->source, (unsigned)config_setting_source_line(s));

	reader_add_secret_file(r, file->path);
	if (file->mode & S_IROTH)
		reader_warning(r, s,
			       "everybody can read this password (the file's mode is %04o): use chmod o-r, or "
			       "password_file",
			       (unsigned)file->mode);
}

/* Makes room for n addresses in place of those that are there. False if there is no memory. */
static bool make_addresses(struct reader *r, struct config_broker *b, size_t n) {
	addresses_clear(b);
	b->addresses = calloc(n, sizeof(*b->addresses));
	if (!b->addresses) {
		(void)reader_check(r, -ENOMEM);
		return false;
	}
	return true;
}

/* Reads one URL to the next free address. s is NULL for the default. */
static void read_one(struct reader *r, const config_setting_t *s, const char *text, struct config_broker *b) {
	CLEANUP(url_clear) struct url u = {0};
	const char *why = NULL;
	int result;

	result = url_parse(text, &u, &why);
	if (result == -EINVAL) {
		reader_problem(r, s, "expected a URL such as \"amqp://host:5672/vhost\", but %s", why);
		return;
	}
	if (reader_check(r, result) < 0)
		return;
	if (u.password && s)
		note_secret(r, s);
	/* The row of each other key comes after this and so replaces what the URL says. */
	b->addresses[b->n_addresses++] = (struct config_address){
		.host = u.host,
		.port = u.port,
		.vhost = u.vhost,
		.username = u.username,
		.password = u.password,
		.tls = u.tls,
	};
	u = (struct url){0};
}

static void read_url(struct reader *r, const struct key *k, const config_setting_t *s, struct config_broker *b) {
	if (config_setting_type(s) != CONFIG_TYPE_STRING)
		reader_mismatch(r, k, s, NULL);
	else if (make_addresses(r, b, 1))
		read_one(r, s, setting_string(s), b);
}

static void read_urls(struct reader *r, const struct key *k, const config_setting_t *s, struct config_broker *b) {
	bool several = config_setting_is_array(s) || config_setting_is_list(s);
	int n = several ? config_setting_length(s) : 0;

	for (const struct key *other = key_next(k->section, NULL); other; other = key_next(k->section, other))
		if (other->type == KEY_URL && setting_member(config_setting_parent(s), other->name))
			reader_problem(r, s, "give either this or \"%s\", not both", other->name);
	if (several && (uint64_t)n > k->max) {
		reader_problem(r, s, "expected at most %" PRIu64 " URLs, found %d", k->max, n);
		return;
	}
	if (n == 0) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	if (!make_addresses(r, b, (size_t)n))
		return;
	for (int i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem((config_setting_t *)s, (unsigned)i);
		size_t mark = reader_enter_index(r, i);

		if (config_setting_type(element) == CONFIG_TYPE_STRING)
			read_one(r, element, setting_string(element), b);
		else
			reader_mismatch(r, k, element, "a URL such as \"amqp://host:5672/vhost\"");
		reader_leave(r, mark);
	}
}

/* Gives every address this user name, or where `missing` is set every one whose URL names none. */
static void set_username(struct reader *r, struct config_broker *b, const char *username, bool missing) {
	for (size_t i = 0; i < b->n_addresses; i++) {
		struct config_address *a = &b->addresses[i];

		if (missing && a->username)
			continue;
		free(a->username);
		a->username = reader_strdup(r, username);
	}
}

/* The same with the password. */
static void set_password(struct reader *r, struct config_broker *b, const char *password, bool missing) {
	for (size_t i = 0; i < b->n_addresses; i++) {
		struct config_address *a = &b->addresses[i];

		if (missing && a->password)
			continue;
		secret_free(a->password);
		a->password = reader_strdup(r, password);
	}
}

static void read_username(struct reader *r, const struct key *k, const config_setting_t *s, struct config_broker *b) {
	const char *string = config_setting_type(s) == CONFIG_TYPE_STRING ? setting_string(s) : NULL;

	if (!string || strlen(string) < k->min || strlen(string) > k->max)
		reader_mismatch(r, k, s, NULL);
	else
		set_username(r, b, string, false);
}

static void read_password(struct reader *r, const struct key *k, const config_setting_t *s, struct config_broker *b) {
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	set_password(r, b, setting_string(s), false);
	note_secret(r, s);
}

/* Reads the password from the file of this path, which s led to. */
static void read_password_at(struct reader *r, const config_setting_t *s, const char *path, struct config_broker *b) {
	char *password;

	if (!file_read_secret(r, s, path, &password))
		return;
	set_password(r, b, password, false);
	secret_free(password);
}

static void read_password_file(struct reader *r, const struct key *k, const config_setting_t *s,
			       struct config_broker *b) {
	const char *path = file_path(r, k, s);

	if (path)
		read_password_at(r, s, path, b);
}

static void read_credential(struct reader *r, const struct key *k, const config_setting_t *s, struct config_broker *b) {
	const char *name = config_setting_type(s) == CONFIG_TYPE_STRING ? setting_string(s) : NULL;
	CLEANUP(free) char *path = NULL;

	if (!name || strlen(name) < k->min || strlen(name) > k->max) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	path = credential_path(r, s, name);
	if (path)
		read_password_at(r, s, path, b);
}

static bool is_password(const struct key *k) {
	return k->type == KEY_PASSWORD || k->type == KEY_PASSWORD_FILE || k->type == KEY_CREDENTIAL;
}

/* Notes each key that gives the password, too, and comes before this one. */
static void check_single(struct reader *r, const struct key *k, const config_setting_t *s) {
	for (const struct key *other = key_next(k->section, NULL); other != k; other = key_next(k->section, other))
		if (is_password(other) && setting_member(config_setting_parent(s), other->name))
			reader_problem(r, s, "give either this or \"%s\", not both", other->name);
}

void address_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	struct config_broker *b = base;

	if (is_password(k))
		check_single(r, k, s);
	if (k->type == KEY_URL)
		read_url(r, k, s, b);
	else if (k->type == KEY_URLS)
		read_urls(r, k, s, b);
	else if (k->type == KEY_USERNAME)
		read_username(r, k, s, b);
	else if (k->type == KEY_PASSWORD)
		read_password(r, k, s, b);
	else if (k->type == KEY_PASSWORD_FILE)
		read_password_file(r, k, s, b);
	else
		read_credential(r, k, s, b);
}

void address_default(struct reader *r, const struct key *k, void *base) {
	struct config_broker *b = base;

	if (!k->fallback)
		return;
	if (k->type == KEY_USERNAME)
		set_username(r, b, k->fallback, true);
	else if (k->type == KEY_PASSWORD)
		set_password(r, b, k->fallback, true);
	else if (make_addresses(r, b, 1))
		read_one(r, NULL, k->fallback, b);
}
