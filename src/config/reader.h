/* SPDX-License-Identifier: MIT */
/* From libconfig's tree to ours, by the table of keys. What every file of this room that looks at libconfig's tree
 * shares: where the reader is, and how it says what is wrong there. Nothing here stops at a problem: it is noted, and
 * the value keeps its default or its zero. */
#pragma once

#include "base/macro.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/privileges.h"
#include "config/problem.h"
#include <libconfig.h>
#include <stdbool.h>

struct reader {
	struct documents *documents;     /* all files; borrowed, as the next four are */
	const struct document *document; /* the one whose settings are read now */
	struct config_problems *problems;
	struct config *config;            /* what is being filled in */
	const struct privileges *privileges; /* of the process that it is for */
	const config_setting_t *defaults; /* the group `defaults`; NULL: none */
	const config_setting_t **elements; /* the brokers or queues that are read now, by index; NULL: in no file */
	const struct config_broker *default_broker; /* the one that `broker` gives; NULL: none */
	bool has_include_dir;                       /* the key was given */
	struct strbuf path;               /* of the key that is being read */
	bool outside;   /* for one who asks, and not for the service: who has no credentials is only warned */
	unsigned muted; /* above 0: problems are not noted, as what is read is a default, whose own reading has done so
			 */
	bool partial;   /* nothing is required here */
	int error;      /* -ENOMEM, once it has happened */
};

/* Reads the documents, of which the main one is there, into r->config. Those of include_dir are added. */
void reader_read(struct reader *r);

/* Reads the keys of a group, of which each comes from `own`, else from `inherited`, else from the table; both may be
 * NULL. */
void reader_read_section(struct reader *r, enum section section, const config_setting_t *own,
			 const config_setting_t *inherited, void *base);

/* Lengthens the path by a key's name or an index; returns what to hand to reader_leave. */
size_t reader_enter(struct reader *r, const char *name);
size_t reader_enter_index(struct reader *r, int index);
void reader_leave(struct reader *r, size_t mark);

/* Notes a problem with the current path, at the setting's line. */
void reader_problem(struct reader *r, const config_setting_t *s, const char *format, ...) PRINTF_LIKE(3, 4);
void reader_warning(struct reader *r, const config_setting_t *s, const char *format, ...) PRINTF_LIKE(3, 4);

/* Notes that the setting is not what its key (or `expected`, if it is not NULL) wants: "expected ..., found ...". It is
 * marked as wrong. */
void reader_mismatch(struct reader *r, const struct key *k, const config_setting_t *s, const char *expected);

/* Notes that the group has no setting for the key. */
void reader_missing(struct reader *r, const struct key *k, const config_setting_t *group);

/* Notes an unknown key, with the known one that was probably meant: one of this group, or one of the same name
 * elsewhere; else with all keys of this group. */
void reader_unknown_key(struct reader *r, enum section section, const config_setting_t *s);

/* Whether that has been noted of the setting. What it says is not to be compared with other settings then. */
bool setting_is_wrong(const config_setting_t *s);

/* Where the setting is. */
struct place reader_place(const struct reader *r, const config_setting_t *s);

/* 0, or r->error. Remembers a negative result. */
int reader_check(struct reader *r, int result);

/* A copy of the string; NULL if there is no memory, which is remembered. */
char *reader_strdup(struct reader *r, const char *s);

/* Notes that a secret is in this file, which is to be kept from handlers. */
void reader_add_secret_file(struct reader *r, const char *path);

/* A setting's string, never NULL; it must be one. */
const char *setting_string(const config_setting_t *s);

/* A whole number: an integer, or a float that is one. */
bool setting_get_integer(const config_setting_t *s, int64_t *ret);

/* The member of a group; NULL if there is no group, or no such member in it. */
const config_setting_t *setting_member(const config_setting_t *group, const char *name);

/* Reads the value of a key that is no group of further keys. `inherited` is the default of the same key, of which
 * KEY_ENVIRONMENT takes what s does not name; s or inherited may be NULL, not both. (value.c) */
void value_read(struct reader *r, const struct key *k, const config_setting_t *s, const config_setting_t *inherited,
		void *base);

/* Gives the key its default, if it has one. `group` is where it is missing. (value.c) */
void value_default(struct reader *r, const struct key *k, const config_setting_t *group, void *base);

/* Reads a list within one file. (list.c) */
void list_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base);

/* Reads a list of the root from all files; also KEY_ONE, which stands in its place. Leaves the path of the key.
 * (list.c) */
void list_read_all(struct reader *r, const struct key *k, void *base);

/* Reads the key of a folder of further files, which become documents. (drop_ins.c) */
void drop_ins_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base);

/* Reads the key of a file: its path, and for KEY_SECRET_FILE the secret. (file.c) */
void file_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base);

/* Reads the first line of the file of this path, which s led to. False: it was noted why there is none. *ret is the
 * caller's, to be freed with secret_free. (file.c) */
bool file_read_secret(struct reader *r, const config_setting_t *s, const char *path, char **ret);

/* The path that the setting holds; NULL after noting that it holds none. (file.c) */
const char *file_path(struct reader *r, const struct key *k, const config_setting_t *s);

/* The path of the credential of this name, the caller's. NULL: it was noted why there is none, or none is needed.
 * (credential.c) */
char *credential_path(struct reader *r, const config_setting_t *s, const char *name);

/* Read and give defaults to KEY_URL, KEY_URLS, KEY_USERNAME, KEY_PASSWORD, KEY_PASSWORD_FILE and KEY_CREDENTIAL. The
 * rows of URLs come before the others in the table. (address.c) */
void address_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base);
void address_default(struct reader *r, const struct key *k, void *base);

/* Read and give a default to KEY_SOCKET and KEY_LISTEN. (listen.c) */
void listen_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base);
void listen_default(struct reader *r, const struct key *k, void *base);

/* Whether the string is a template that can be expanded; else it was noted why not. (templates.c) */
bool templates_check(struct reader *r, const config_setting_t *s);

/* Reads a group as an AMQP table. (arguments.c) */
void arguments_read(struct reader *r, const config_setting_t *s, struct table *ret);

/* What involves more than one key, and duplicates among what was read before. s is NULL for a broker that is in no
 * file. (check.c) */
void check_broker(struct reader *r, const config_setting_t *s, size_t index);
void check_queue(struct reader *r, const config_setting_t *s, size_t index);

/* Appends the names of all brokers, quoted and with commas. (check.c) */
void append_broker_names(const struct config *c, struct strbuf *b);
