/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/strbuf.h"
#include "check_main.h"
#include "config/url.h"

#define U NULL

/* The examples of appendix A of the URI specification come first. */
static const struct {
	const char *text;
	const char *username;
	const char *password;
	const char *host;
	unsigned port;
	const char *vhost;
} good[] = {
	{"amqp://user:pass@host:10000/vhost", "user", "pass", "host", 10000, "vhost"},
	{"amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "usera", "apass", "hoast", 10000, "v/host"},
	{"amqp://", U, U, "localhost", 5672, "/"},
	{"amqp://:@/", "", "", "localhost", 5672, ""},
	{"amqp://user@", "user", U, "localhost", 5672, "/"},
	{"amqp://user:pass@", "user", "pass", "localhost", 5672, "/"},
	{"amqp://host", U, U, "host", 5672, "/"},
	{"amqp://:10000", U, U, "localhost", 10000, "/"},
	{"amqp:///vhost", U, U, "localhost", 5672, "vhost"},
	{"amqp://host/", U, U, "host", 5672, ""},
	{"amqp://host/%2f", U, U, "host", 5672, "/"},
	{"amqp://[::1]", U, U, "::1", 5672, "/"},
	/* and what they leave open */
	{"AMQP://host", U, U, "host", 5672, "/"},
	{"aMqP://host", U, U, "host", 5672, "/"},
	{"amqp://user:@host", "user", "", "host", 5672, "/"},
	{"amqp://:pass@host", "", "pass", "host", 5672, "/"},
	{"amqp://u:p%40%3A%2F%25%3f%23@h", "u", "p@:/%?#", "h", 5672, "/"},
	{"amqp://u:!$&'()*+,;=-._~@h", "u", "!$&'()*+,;=-._~", "h", 5672, "/"},
	{"amqp://127.0.0.1:5673/a", U, U, "127.0.0.1", 5673, "a"},
	{"amqp://[2001:db8::1]:5673/a", U, U, "2001:db8::1", 5673, "a"},
	{"amqp://u:p@[::ffff:10.0.0.1]", "u", "p", "::ffff:10.0.0.1", 5672, "/"},
	{"amqp://[fe80::1%25eth0]:1", U, U, "fe80::1%eth0", 1, "/"},
	{"amqp://host:1", U, U, "host", 1, "/"},
	{"amqp://host:65535", U, U, "host", 65535, "/"},
	{"amqp://host:005672", U, U, "host", 5672, "/"},
	{"amqp://host/a:b", U, U, "host", 5672, "a:b"},
	{"amqp://host/caf%C3%A9", U, U, "host", 5672, "caf\xc3\xa9"},
	{"amqp://my_broker.example.org./x", U, U, "my_broker.example.org.", 5672, "x"},
	/* with TLS */
	{"amqps://", U, U, "localhost", 5671, "/"},
	{"amqps://u%40x:p@host/v", "u@x", "p", "host", 5671, "v"},
	{"AMQPS://host:5672", U, U, "host", 5672, "/"},
	{"amqps://[::1]/", U, U, "::1", 5671, ""},
};

static void assert_text(const char *url, const char *found, const char *expected) {
	if (expected)
		ck_assert_msg(found && strcmp(found, expected) == 0, "%s: %s", url, found ? found : "NULL");
	else
		ck_assert_msg(!found, "%s: %s", url, found);
}

START_TEST(urls_are_taken_apart) {
	const char *text = good[_i].text, *why = NULL;
	CLEANUP(url_clear) struct url u = {0};
	int r = url_parse(text, &u, &why);

	ck_assert_msg(r == 0, "%s: %d: %s", text, r, why ? why : "");
	assert_text(text, u.username, good[_i].username);
	assert_text(text, u.password, good[_i].password);
	assert_text(text, u.host, good[_i].host);
	assert_text(text, u.vhost, good[_i].vhost);
	ck_assert_uint_eq(u.port, good[_i].port);
	ck_assert(u.tls == (text[4] == 's' || text[4] == 'S'));
}
END_TEST

START_TEST(urls_are_put_together_again) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(url_clear) struct url u = {0}, again = {0};
	const char *why = NULL;

	ck_assert_int_eq(url_parse(good[_i].text, &u, &why), 0);
	url_format(&u, &b);
	ck_assert_msg(url_parse(strbuf_str(&b), &again, &why) == 0, "%s: %s", strbuf_str(&b), why);
	ck_assert_str_eq(again.host, u.host);
	ck_assert_str_eq(again.vhost, u.vhost);
	ck_assert_uint_eq(again.port, u.port);
	ck_assert(again.tls == u.tls);
	assert_text(good[_i].text, again.username, u.username);
	ck_assert_ptr_null(again.password);
}
END_TEST

/* Each has the word SECRET where it must not be repeated, and part of what is to be said. */
static const struct {
	const char *text;
	const char *says;
} bad[] = {
	{"", "does not begin with amqp://"},
	{"amqp", "does not begin with amqp://"},
	{"amqp:", "does not begin with amqp://"},
	{"amqp:/host", "does not begin with amqp://"},
	{"SECRET@host:5672", "does not begin with amqp://"},
	{"http://u:SECRET@host", "scheme is not amqp"},
	{"amqpx://u:SECRET@host", "scheme is not amqp"},
	{" amqp://u:SECRET@host", "scheme is not amqp"},
	{"amqpss://u:SECRET@host", "scheme is not amqp or amqps"},
	{"amqp://u:SECRET@host/?heartbeat=5", "heartbeat, connect_timeout and tls"},
	{"amqp://u:SECRET@host?connection_timeout=5", "heartbeat, connect_timeout and tls"},
	{"amqp://u:SECRET?@host", "heartbeat, connect_timeout and tls"},
	{"amqp://u:SECRET@host/#top", "fragment"},
	{"amqp://u:SECRET@SECRET@host", "more than one @"},
	{"amqp://u:SEC:SECRET@host", "percent-encoded"},
	{"amqp://u:SECRET/SECRET@host", "port"},
	{"amqp://u:12/SECRET@host", "percent-encoded"},
	{"amqp://u:SECRET%@host", "hexadecimal"},
	{"amqp://u:SECRET%4@host", "hexadecimal"},
	{"amqp://u:SECRET%4g@host", "hexadecimal"},
	{"amqp://u:%00SECRET@host", "NUL"},
	{"amqp://u%00:SECRET@host", "NUL"},
	{"amqp://u:SECRET@ho%00st", "NUL"},
	{"amqp://u:SECRET@host/%00", "NUL"},
	{"amqp://u:SEC RET@host", "percent-encoded"},
	{"amqp://u:SEC\nRET@host", "percent-encoded"},
	{"amqp://u:SECRET\xc3\xa9@host", "percent-encoded"},
	{"amqp://u:SECRET@host:0", "1 to 65535"},
	{"amqp://u:SECRET@host:65536", "1 to 65535"},
	{"amqp://u:SECRET@host:99999999999999999999", "1 to 65535"},
	{"amqp://u:SECRET@host:", "port is missing"},
	{"amqp://u:SECRET@host:-1", "1 to 65535"},
	{"amqp://u:SECRET@host:+1", "1 to 65535"},
	{"amqp://u:SECRET@host:5672x", "1 to 65535"},
	{"amqp://u:SECRET@::1", "brackets"},
	{"amqp://u:SECRET@[::1", "not closed"},
	{"amqp://u:SECRET@[]", "not an IPv6 address"},
	{"amqp://u:SECRET@[127.0.0.1]", "not an IPv6 address"},
	{"amqp://u:SECRET@[::1]x", "may follow the brackets"},
	{"amqp://u:SECRET@[::1%25]", "zone"},
	{"amqp://u:SECRET@ho%20st", "no host name has"},
	{"amqp://u:SECRET@ho%2Fst", "no host name has"},
	{"amqp://u:SECRET@ho%3Ast", "no host name has"},
	{"amqp://u:SECRET@host/a/b", "%2F"},
	{"amqp://u:SECRET@host//", "%2F"},
};

START_TEST(bad_urls_are_refused_without_repeating_them) {
	const char *why = NULL;
	struct url u = {.port = 4711};
	int r = url_parse(bad[_i].text, &u, &why);

	ck_assert_msg(r == -EINVAL, "%s: %d", bad[_i].text, r);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, bad[_i].says) != NULL, "%s: %s", bad[_i].text, why);
	ck_assert_ptr_null(strstr(why, "SEC"));
	ck_assert_uint_eq(u.port, 4711);
	ck_assert_ptr_null(u.host);
}
END_TEST

START_TEST(long_parts_are_refused) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(url_clear) struct url u = {0};
	const char *why = NULL;

	strbuf_printf(&b, "amqp://%0255d/%0255d", 0, 0);
	ck_assert_int_eq(url_parse(strbuf_str(&b), &u, &why), 0);
	ck_assert_uint_eq(strlen(u.vhost), 255);
	url_clear(&u);
	strbuf_reset(&b);
	strbuf_printf(&b, "amqp://host/%0256d", 0);
	ck_assert_int_eq(url_parse(strbuf_str(&b), &u, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "virtual host is longer"));
	strbuf_reset(&b);
	strbuf_printf(&b, "amqp://%0256d", 0);
	ck_assert_int_eq(url_parse(strbuf_str(&b), &u, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "host name is longer"));
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *tables = tcase_create("tables");

	tcase_add_loop_test(tables, urls_are_taken_apart, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tables, urls_are_put_together_again, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tables, bad_urls_are_refused_without_repeating_them, 0, ARRAY_SIZE(bad));
	suite_add_tcase(suite, tables);
	ADD_CASE(suite, "limits", long_parts_are_refused);
}

CHECK_MAIN("url", add_cases)
