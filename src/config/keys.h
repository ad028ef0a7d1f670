/* SPDX-License-Identifier: MIT */
/* The table of keys: one row for each key of the configuration, with its type, range, default, help and place in the
 * tree. Reading, checking, defaults, --dump-config and the test of the manual all go by it; no key is named anywhere
 * else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf;

/* The groups that keys stand in. */
enum section {
	SECTION_ROOT,        /* the file; struct config */
	SECTION_BROKER,      /* struct config_broker */
	SECTION_TLS,         /* struct config_tls */
	SECTION_RECONNECT,   /* struct config_broker */
	SECTION_LIMITS,      /* struct config */
	SECTION_CONTROL,     /* struct config_control */
	SECTION_MONITOR,     /* struct config_monitor */
	SECTION_QUEUE,       /* struct config_queue */
	SECTION_DECLARE,     /* struct config_declare */
	SECTION_BINDING,     /* struct config_binding */
	SECTION_HANDLER,     /* struct config_handler */
	SECTION_RLIMITS,     /* struct config_rlimits */
	SECTION_OUTCOMES,    /* struct config_outcomes */
	SECTION_REQUEUE,     /* struct config_queue */
	SECTION_RETRY,       /* struct config_retry */
	SECTION_DEAD_LETTER, /* struct config_dead_letter */
	SECTION_BREAKER,     /* struct config_breaker */
	SECTION_RESULTS,     /* struct config_results */
	SECTION_RATE,        /* struct config_rate */
	SECTION_REPLY,       /* struct config_reply */
	SECTION_FORWARD,     /* struct config_forward */
};

/* What a value is, and as what it is kept. min and max of the key are ... */
enum key_type {
	KEY_BOOL,         /* bool */
	KEY_INT,          /* int; the least and the greatest value */
	KEY_UINT,         /* unsigned; likewise */
	KEY_FLOAT,        /* double; whole numbers */
	KEY_MODE,         /* unsigned, written in octal as a string: "027"; the least and the greatest value */
	KEY_SECONDS,      /* unsigned, a duration of whole seconds; seconds */
	KEY_DURATION,     /* uint64_t; microseconds (max USEC_INFINITY: "infinity" is allowed) */
	KEY_SIZE,         /* uint64_t; bytes */
	KEY_STRING,       /* char *; length in bytes (max 0: any) */
	KEY_PATH,         /* char *, an absolute path */
	KEY_SOCKET,       /* likewise, of a socket, or "" for none; its length in bytes */
	KEY_INCLUDE_DIR,  /* char *, the absolute path of a folder, whose files are documents of their own */
	KEY_LISTEN,       /* struct config_monitor: addresses to listen at; their number */
	KEY_ENUM,         /* an enum, by `names`; the first and the last one that may be given (max 0: all) */
	KEY_STATUSES,     /* struct config_statuses */
	KEY_FILE,         /* char *, the absolute path of a file that can be read */
	KEY_PRIVATE_FILE, /* likewise, of one that others should not read */
	KEY_SECRET_FILE, /* char *, a path; and at secret_offset what the first line of the file is, char *, never shown
			  */
	KEY_URL,         /* struct config_broker's addresses: the only one */
	KEY_URLS,        /* likewise, several; their number */
	KEY_USERNAME,    /* username of each address; length in bytes */
	KEY_PASSWORD,    /* password of each address, never shown */
	KEY_PASSWORD_FILE, /* the same, read from the file of this path */
	KEY_CREDENTIAL,    /* the same, from the credential of this name; length in bytes */
	KEY_BROKER,        /* const struct config_broker *, by its name */
	KEY_TEMPLATE,      /* char *, with %{...} to be expanded for a message; length in bytes */
	KEY_STRINGS,       /* char **: a string or several; length of each in bytes */
	KEY_COMMAND,       /* char **: a program's absolute path, and its arguments, which are templates */
	KEY_ENVIRONMENT,   /* char **: a group of NAME = "value" */
	KEY_TABLE,         /* struct table */
	KEY_GROUP,         /* the keys of `child`, in the same struct or one that is part of it */
	KEY_LIST,          /* an array of the struct of `child`, allocated */
	KEY_ONE,           /* the same array, with the one group that is given */
	KEY_DEFAULTS,      /* values for keys of `child` that are not given there; not kept */
};

#define KEY_NO_OFFSET SIZE_MAX

struct key {
	enum section section;
	const char *name;
	enum key_type type;
	enum section child; /* of the groups, lists and KEY_DEFAULTS */
	bool required;
	bool drop_in;  /* may be in files of include_dir, too */
	bool boolean;  /* KEY_GROUP with a flag: `true` stands for a group with the defaults of all its keys, `false` for none */
	bool identity; /* the name of its group: required in a list, "default" in KEY_ONE, refused in KEY_DEFAULTS */
	uint64_t min;  /* KEY_INT: as int64_t */
	uint64_t max;
	const char *const *names;  /* KEY_ENUM: by value, up to a NULL */
	const char *fallback;      /* the default as it is written in a file, without quotes; NULL: none */
	const char *fallback_note; /* the default in words where there is more to say; else NULL */
	const char *help;          /* one line, without a full stop */
	size_t offset;             /* in the struct of the section */
	size_t secret_offset;      /* KEY_SECRET_FILE; else unused */
	size_t present_offset;     /* bool in the same struct that says whether it was given; or KEY_NO_OFFSET */
	size_t count_offset;       /* KEY_LIST, KEY_ONE, KEY_LISTEN: size_t in the same struct; else KEY_NO_OFFSET */
};

extern const struct key config_keys[];
extern const size_t config_n_keys;

/* The names of enum config_ready, by value, up to a NULL. */
extern const char *const config_ready_names[];
/* Likewise of the other enums. */
extern const char *const config_outcome_names[];
extern const char *const config_auth_names[];
extern const char *const config_tls_version_names[];
extern const char *const config_too_large_names[];
extern const char *const config_queue_type_names[];
extern const char *const config_mode_names[];
extern const char *const config_input_names[];
extern const char *const config_metadata_names[];
extern const char *const config_output_names[];
extern const char *const config_descendants_names[];
extern const char *const config_compat_names[];

/* The row of that name, or NULL. */
const struct key *key_find(enum section section, const char *name);

/* The row of that section after `previous` (NULL: the first), or NULL. */
const struct key *key_next(enum section section, const struct key *previous);

/* The row of the group or list that holds the keys of this section (for SECTION_QUEUE, `queues`); NULL for the root. */
const struct key *key_parent(enum section section);

/* The size of the struct that a list of this section is made of. */
size_t section_size(enum section section);

/* Appends the key's full path: "queues.handler.timeout". */
void key_append_path(const struct key *k, struct strbuf *b);

/* Appends what a value must be: "an integer from 1 to 65535". */
void key_append_expected(const struct key *k, struct strbuf *b);

/* Appends the default as words or as a file would hold it, or nothing if there is none: "10s" in quotes, 30. */
void key_append_default(const struct key *k, struct strbuf *b);

/* Reads a scalar from its text as a default has it. -EINVAL: of no such type, or the text is none; -ERANGE: out of
 * range. Of KEY_STATUSES, KEY_URL and the types that are kept as strings the text is the value, and is not read by
 * this. */
union key_value {
	uint64_t u;     /* KEY_UINT, KEY_MODE, KEY_SECONDS, KEY_DURATION, KEY_SIZE; first, so that {0} clears all of it */
	int64_t i;      /* KEY_INT */
	bool boolean;   /* KEY_BOOL */
	double number;  /* KEY_FLOAT */
	unsigned index; /* KEY_ENUM */
};
int key_parse(const struct key *k, const char *text, union key_value *ret);

/* 0 or -ERANGE. */
int key_check_range(const struct key *k, const union key_value *value);

/* Writes the value to its place in the struct. */
void key_store(const struct key *k, const union key_value *value, void *base);

/* Reads it from there. */
void key_load(const struct key *k, const void *base, union key_value *ret);
