/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/problem.h"
#include "config/statuses.h"
#include "config/url.h"

#define MANUAL TEST_SRCDIR "/man/amqp-execd.conf.5"

static char *path_of(const struct key *k) {
	struct strbuf b = STRBUF_INIT;
	char *s;

	key_append_path(k, &b);
	ck_assert_int_eq(strbuf_take(&b, &s), 0);
	return s;
}

static bool is_parsed(const struct key *k) {
	switch (k->type) {
	case KEY_BOOL:
	case KEY_INT:
	case KEY_UINT:
	case KEY_FLOAT:
	case KEY_SECONDS:
	case KEY_DURATION:
	case KEY_SIZE:
	case KEY_ENUM:
		return true;
	default:
		return false;
	}
}

static bool is_group(const struct key *k) {
	return k->type == KEY_GROUP || k->type == KEY_LIST || k->type == KEY_ONE || k->type == KEY_DEFAULTS;
}

START_TEST(every_row_is_described) {
	const struct key *k = &config_keys[_i];
	CLEANUP(strbuf_free) struct strbuf expected = STRBUF_INIT;
	size_t len = strlen(k->help);

	key_append_expected(k, &expected);
	ck_assert_msg(len > 10 && len < 100, "%s", k->name);
	ck_assert_msg(!strchr(k->help, '\n') && k->help[len - 1] != '.', "%s", k->name);
	ck_assert_msg(expected.len > 5, "%s", k->name);
	ck_assert_msg(!(k->required && k->fallback), "%s: required, and yet has a default", k->name);
	ck_assert_ptr_eq(key_find(k->section, k->name), k); /* so there is no other of this name */
}
END_TEST

START_TEST(every_row_has_its_place) {
	const struct key *k = &config_keys[_i];

	ck_assert_msg(is_group(k) == (k->child != SECTION_ROOT), "%s", k->name);
	ck_assert_msg((k->type == KEY_LIST || k->type == KEY_ONE || k->type == KEY_LISTEN) ==
			      (k->count_offset != KEY_NO_OFFSET),
		      "%s", k->name);
	ck_assert_uint_lt(k->offset, section_size(k->section));
	if (k->present_offset != KEY_NO_OFFSET)
		ck_assert_uint_lt(k->present_offset, section_size(k->section));
	if (k->section == SECTION_ROOT)
		ck_assert_ptr_null(key_parent(k->section));
	else
		ck_assert_ptr_nonnull(key_parent(k->section));
	ck_assert_msg((k->type == KEY_ENUM) == (k->names != NULL), "%s", k->name);
	if (k->type == KEY_INT)
		ck_assert_msg((int64_t)k->min < (int64_t)k->max, "%s", k->name);
	else
		ck_assert_msg(k->min <= k->max, "%s", k->name);
}
END_TEST

START_TEST(every_default_is_right) {
	const struct key *k = &config_keys[_i];
	union key_value value = {0};

	if (!k->fallback)
		return;
	if (is_parsed(k)) {
		ck_assert_msg(key_parse(k, k->fallback, &value) == 0, "%s", k->name);
		ck_assert_int_eq(key_check_range(k, &value), 0);
	} else if (k->type == KEY_PATH) {
		ck_assert_int_eq(*k->fallback, '/');
	} else if (k->type == KEY_URL) {
		struct url u = {0};
		const char *why = NULL;

		ck_assert_msg(url_parse(k->fallback, &u, &why) == 0, "%s", why);
		url_clear(&u);
	} else if (k->type == KEY_STATUSES) {
		struct config_statuses statuses = {0};

		ck_assert_int_eq(statuses_parse(k->fallback, &statuses), 0);
	} else {
		ck_assert_msg(k->type == KEY_STRING || k->type == KEY_TEMPLATE || k->type == KEY_USERNAME || k->type == KEY_PASSWORD ||
				      k->type == KEY_STRINGS,
			      "%s", k->name);
		ck_assert_uint_ge(strlen(k->fallback), k->min);
	}
}
END_TEST

START_TEST(every_value_is_stored_where_it_is_loaded_from) {
	const struct key *k = &config_keys[_i];
	union key_value value = {0}, loaded;
	char *base;

	if (!is_parsed(k))
		return;
	base = calloc(1, section_size(k->section));
	ck_assert_ptr_nonnull(base);
	if (k->type == KEY_BOOL)
		value.boolean = true;
	else if (k->type == KEY_ENUM)
		value.index = 1;
	else if (k->type == KEY_FLOAT)
		value.number = (double)k->max - 0.25;
	else
		value.u = k->max;
	key_store(k, &value, base);
	key_load(k, base, &loaded);
	ck_assert_msg(memcmp(&value, &loaded, sizeof(value)) == 0, "%s", k->name);
	free(base);
}
END_TEST

START_TEST(no_two_keys_share_a_place) {
	for (size_t i = 0; i < config_n_keys; i++) {
		for (size_t j = i + 1; j < config_n_keys; j++) {
			const struct key *a = &config_keys[i], *b = &config_keys[j];
			bool same_struct = a->section == b->section;

			if (!same_struct || a->offset != b->offset)
				continue;
			/* But the two ways to give brokers, and keys that have no place of their own, which all say
			 * 0. */
			ck_assert_msg(a->offset == 0 || (a->type == KEY_ONE && b->type == KEY_LIST), "%s and %s",
				      a->name, b->name);
		}
	}
}
END_TEST

static void assert_parse(enum section section, const char *name, const char *text, int result) {
	union key_value value;
	int r = key_parse(key_find(section, name), text, &value);

	ck_assert_msg(r == result, "%s = %s: %d", name, text, r);
}

START_TEST(ranges_are_checked) {
	assert_parse(SECTION_QUEUE, "prefetch", "1", 0);
	assert_parse(SECTION_QUEUE, "prefetch", "65535", 0);
	assert_parse(SECTION_QUEUE, "prefetch", "0", -ERANGE);
	assert_parse(SECTION_QUEUE, "prefetch", "65536", -ERANGE);
	assert_parse(SECTION_QUEUE, "prefetch", "-1", -ERANGE);
	assert_parse(SECTION_QUEUE, "prefetch", "99999999999999999999", -ERANGE);
	assert_parse(SECTION_QUEUE, "prefetch", "many", -EINVAL);
	assert_parse(SECTION_QUEUE, "prefetch", "", -EINVAL);
	assert_parse(SECTION_QUEUE, "priority", "-2147483648", 0);
	assert_parse(SECTION_QUEUE, "priority", "-2147483649", -ERANGE);
	assert_parse(SECTION_QUEUE, "priority", "2147483648", -ERANGE);
	assert_parse(SECTION_QUEUE, "exclusive", "true", 0);
	assert_parse(SECTION_QUEUE, "exclusive", "yes", -EINVAL);
	assert_parse(SECTION_BROKER, "heartbeat", "0", 0);
	assert_parse(SECTION_BROKER, "heartbeat", "2min", 0);
	assert_parse(SECTION_BROKER, "heartbeat", "1.5", -ERANGE);
	assert_parse(SECTION_BROKER, "heartbeat", "65536", -ERANGE);
	assert_parse(SECTION_BROKER, "heartbeat", "infinity", -ERANGE);
	assert_parse(SECTION_HANDLER, "timeout", "infinity", 0);
	assert_parse(SECTION_HANDLER, "timeout", "0", -ERANGE);
	assert_parse(SECTION_HANDLER, "kill_grace", "0", 0);
	assert_parse(SECTION_HANDLER, "kill_grace", "infinity", -ERANGE);
	assert_parse(SECTION_LIMITS, "max_message_size", "1T", 0);
	assert_parse(SECTION_LIMITS, "max_message_size", "1025G", -ERANGE);
	assert_parse(SECTION_ROOT, "ready", "started", 0);
	assert_parse(SECTION_ROOT, "ready", "Started", -EINVAL);
	assert_parse(SECTION_OUTCOMES, "otherwise", "ack", 0);
	assert_parse(SECTION_OUTCOMES, "otherwise", "reject", 0);
	assert_parse(SECTION_OUTCOMES, "otherwise", "drop", -EINVAL);
	assert_parse(SECTION_OUTCOMES, "on_timeout", "ack", -EINVAL);
	assert_parse(SECTION_OUTCOMES, "on_timeout", "requeue", 0);
	assert_parse(SECTION_OUTCOMES, "on_signal", "reject", 0);
	assert_parse(SECTION_OUTCOMES, "on_too_large", "retry", -EINVAL);
	assert_parse(SECTION_REQUEUE, "max_delay", "0", 0);
	assert_parse(SECTION_REQUEUE, "max_delay", "1d 1us", -ERANGE);
	assert_parse(SECTION_RETRY, "delay", "1ms", 0);
	assert_parse(SECTION_RETRY, "delay", "999us", -ERANGE);
	assert_parse(SECTION_RETRY, "max_delay", "30d", 0);
	assert_parse(SECTION_RETRY, "max_delay", "30d 1us", -ERANGE);
	assert_parse(SECTION_RETRY, "multiplier", "1", 0);
	assert_parse(SECTION_RETRY, "multiplier", "100.0", 0);
	assert_parse(SECTION_RETRY, "multiplier", "0.99", -ERANGE);
	assert_parse(SECTION_RETRY, "multiplier", "100.01", -ERANGE);
	assert_parse(SECTION_RETRY, "multiplier", "nan", -ERANGE);
	assert_parse(SECTION_RETRY, "multiplier", "1e999", -ERANGE);
	assert_parse(SECTION_RETRY, "multiplier", "two", -EINVAL);
	assert_parse(SECTION_RETRY, "jitter", "0", 0);
	assert_parse(SECTION_RETRY, "jitter", "1", 0);
	assert_parse(SECTION_RETRY, "jitter", "-0.1", -ERANGE);
	assert_parse(SECTION_RETRY, "jitter", "1.1", -ERANGE);
	assert_parse(SECTION_RETRY, "max_attempts", "0", 0);
	assert_parse(SECTION_RETRY, "max_attempts", "1000001", -ERANGE);
	assert_parse(SECTION_BREAKER, "failures", "1000001", -ERANGE);
	assert_parse(SECTION_BREAKER, "cooldown", "0", -ERANGE);
	assert_parse(SECTION_RESULTS, "keep", "0", 0);
	assert_parse(SECTION_RESULTS, "keep", "100001", -ERANGE);
	assert_parse(SECTION_RESULTS, "max_age", "0.5", -ERANGE);
	assert_parse(SECTION_BROKER, "confirm_timeout", "1h 1us", -ERANGE);
	assert_parse(SECTION_TLS, "min_version", "1.1", -EINVAL);
	assert_parse(SECTION_QUEUE, "name", "x", -EINVAL); /* text of this type is not parsed */
}
END_TEST

START_TEST(keys_are_found_by_section_and_name) {
	char *path;

	ck_assert_ptr_null(key_find(SECTION_QUEUE, "timeout"));
	ck_assert_ptr_null(key_find(SECTION_QUEUE, ""));
	ck_assert_ptr_ne(key_find(SECTION_QUEUE, "arguments"), key_find(SECTION_DECLARE, "arguments"));
	path = path_of(key_find(SECTION_HANDLER, "timeout"));
	ck_assert_str_eq(path, "queues.handler.timeout");
	free(path);
	path = path_of(key_find(SECTION_RECONNECT, "min_delay"));
	ck_assert_str_eq(path, "broker.reconnect.min_delay");
	free(path);
	path = path_of(key_find(SECTION_TLS, "ca_file"));
	ck_assert_str_eq(path, "broker.tls.ca_file");
	free(path);
	path = path_of(key_find(SECTION_OUTCOMES, "requeue"));
	ck_assert_str_eq(path, "queues.outcomes.requeue");
	free(path);
	path = path_of(key_find(SECTION_ROOT, "ready"));
	ck_assert_str_eq(path, "ready");
	free(path);
}
END_TEST

static const char *closest_key(enum section section, const char *name) {
	struct closest c;

	closest_init(&c, name);
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k))
		closest_consider(&c, k->name);
	return c.best;
}

START_TEST(misspelt_names_are_recognised) {
	char long_name[200];

	ck_assert_str_eq(closest_key(SECTION_QUEUE, "prefech"), "prefetch");
	ck_assert_str_eq(closest_key(SECTION_QUEUE, "perfetch"), "prefetch");
	ck_assert_str_eq(closest_key(SECTION_QUEUE, "PREFETCH"), "prefetch");
	ck_assert_str_eq(closest_key(SECTION_QUEUE, "nam"), "name");
	ck_assert_str_eq(closest_key(SECTION_QUEUE, "concurency"), "concurrency");
	ck_assert_str_eq(closest_key(SECTION_QUEUE, "consumertag"), "consumer_tag");
	ck_assert_str_eq(closest_key(SECTION_BROKER, "user"), "username");
	ck_assert_str_eq(closest_key(SECTION_BROKER, "pasword_file"), "password_file");
	ck_assert_ptr_null(closest_key(SECTION_QUEUE, "frobnicate"));
	ck_assert_ptr_null(closest_key(SECTION_QUEUE, "x"));
	ck_assert_ptr_null(closest_key(SECTION_QUEUE, ""));
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_ptr_null(closest_key(SECTION_QUEUE, long_name));
}
END_TEST

/* The next line of the manual without its newline; NULL at the end. Static. */
static const char *manual_line(FILE *f) {
	static char line[1024];

	if (!fgets(line, sizeof(line), f))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void assert_line(FILE *f, const char *path, const char *expected) {
	const char *line = manual_line(f);

	ck_assert_msg(line && strcmp(line, expected) == 0, "%s: the manual says \"%s\", the table \"%s\"", path,
		      line ? line : "", expected);
}

/* Behind ".It Ic PATH" the manual says in two lines of their own what the value is and which the default. */
static void assert_documented(FILE *f, const struct key *k, const char *path) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	size_t len;

	strbuf_append_str(&b, "Value: ");
	key_append_expected(k, &b);
	strbuf_append_str(&b, ".");
	assert_line(f, path, strbuf_str(&b));
	strbuf_reset(&b);
	strbuf_append_str(&b, "Default: ");
	len = b.len;
	key_append_default(k, &b);
	if (b.len == len)
		strbuf_append_str(&b, "none");
	strbuf_append_str(&b, ".");
	assert_line(f, path, k->required ? "Required." : strbuf_str(&b));
	assert_line(f, path, ".Pp");
	ck_assert_int_ne(*manual_line(f), '.'); /* and then what it is good for */
}

START_TEST(the_manual_documents_every_key_and_no_other) {
	static const char marker[] = ".It Ic ";
	bool *seen = calloc(config_n_keys, sizeof(*seen));
	FILE *f = fopen(MANUAL, "r");
	const char *line;

	ck_assert_ptr_nonnull(seen);
	ck_assert_msg(f != NULL, MANUAL);
	while ((line = manual_line(f))) {
		bool known = false;
		char *documented;

		if (strncmp(line, marker, strlen(marker)) != 0)
			continue;
		documented = strdup(line + strlen(marker));
		ck_assert_ptr_nonnull(documented);
		for (size_t i = 0; i < config_n_keys && !known; i++) {
			char *path = path_of(&config_keys[i]);

			known = strcmp(path, documented) == 0;
			if (known) {
				ck_assert_msg(!seen[i], "%s is there twice", path);
				seen[i] = true;
				assert_documented(f, &config_keys[i], path);
			}
			free(path);
		}
		ck_assert_msg(known, "%s is in the manual, but no key", documented);
		free(documented);
	}
	(void)fclose(f);
	for (size_t i = 0; i < config_n_keys; i++) {
		char *path = path_of(&config_keys[i]);

		ck_assert_msg(seen[i], "%s is not in the manual", path);
		free(path);
	}
	free(seen);
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *rows = tcase_create("rows");

	tcase_add_loop_test(rows, every_row_is_described, 0, (int)config_n_keys);
	tcase_add_loop_test(rows, every_row_has_its_place, 0, (int)config_n_keys);
	tcase_add_loop_test(rows, every_default_is_right, 0, (int)config_n_keys);
	tcase_add_loop_test(rows, every_value_is_stored_where_it_is_loaded_from, 0, (int)config_n_keys);
	suite_add_tcase(suite, rows);
	ADD_CASE(suite, "table", no_two_keys_share_a_place, ranges_are_checked, keys_are_found_by_section_and_name);
	ADD_CASE(suite, "names", misspelt_names_are_recognised);
	ADD_CASE(suite, "manual", the_manual_documents_every_key_and_no_other);
}

CHECK_MAIN("keys", add_cases)
