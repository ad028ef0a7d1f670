/* SPDX-License-Identifier: MIT */
/* Where the daemon itself can be reached: the control socket, and the addresses of monitor.listen. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/privileges.h"
#include "config/reader.h"
#include "config/section.h"

#define SOCKET_NAME "control.sock"
#define FOLDER "/run/amqp-execd" /* as the unit has it */

/* The first of the folders that systemd has made for the service; without one the usual place, where amqp-execctl
 * looks. */
static void append_default_socket(const struct key *k, struct strbuf *b) {
	const char *folders = getenv("RUNTIME_DIRECTORY");
	size_t len = folders ? strcspn(folders, ":") : 0;

	if (len > 0 && *folders == '/' && len + strlen("/" SOCKET_NAME) <= k->max)
		strbuf_append(b, folders, len);
	else
		strbuf_append_str(b, FOLDER);
	strbuf_append_str(b, "/" SOCKET_NAME);
}

static void set_socket(struct reader *r, const struct key *k, struct strbuf *path, void *base) {
	char **at = (char **)(void *)((char *)base + k->offset), *string;

	if (reader_check(r, strbuf_take(path, &string)) < 0)
		return;
	free(*at);
	*at = string;
}

static void read_socket(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	const char *path = config_setting_type(s) == CONFIG_TYPE_STRING ? setting_string(s) : NULL;
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	if (!path || (*path && *path != '/') || strlen(path) > k->max) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	strbuf_append_str(&b, path);
	set_socket(r, k, &b, base);
}

static int fail(const char *why, const char **ret_why) {
	*ret_why = why;
	return -EINVAL;
}

/* Names would have to be looked up, which can take long and fail, before the daemon could start. */
static int check_host(const char *host, bool brackets, const char **ret_why) {
	struct in6_addr address;

	if (brackets)
		return inet_pton(AF_INET6, host, &address) == 1
			       ? 0
			       : fail("what is in brackets is not an IPv6 address", ret_why);
	if (strchr(host, ':'))
		return fail("an IPv6 address needs brackets", ret_why);
	if (strcmp(host, "*") == 0 || strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &address) == 1)
		return 0;
	return fail("its host is no IP address, nor \"localhost\", nor \"*\" for all addresses (other names are not "
		    "looked up)",
		    ret_why);
}

static int parse_port(const char *s, uint16_t *ret, const char **ret_why) {
	size_t len = strlen(s);
	unsigned long port = len > 0 && len <= 5 && strspn(s, "0123456789") == len ? strtoul(s, NULL, 10) : 0;

	if (port < 1 || port > UINT16_MAX)
		return fail("its port is not a number from 1 to 65535", ret_why);
	*ret = (uint16_t)port;
	return 0;
}

/* Takes the address apart. -EINVAL: *ret_why says what is wrong with it. -ENOMEM. */
static int parse(const char *s, struct config_listen *ret, const char **ret_why) {
	bool brackets = *s == '[';
	const char *colon = strrchr(s, ':'), *end = colon;
	CLEANUP(free) char *host = NULL;
	uint16_t port;
	int r;

	if (!colon || (brackets && colon[-1] != ']' && strchr(s, ']')))
		return fail("it has no port: \"HOST:PORT\"", ret_why);
	if (brackets)
		end = colon[-1] == ']' ? colon - 1 : NULL;
	if (!end)
		return fail("the bracket of the IPv6 address is not closed", ret_why);
	host = strndup(s + brackets, (size_t)(end - s) - brackets);
	if (!host)
		return -ENOMEM;
	r = check_host(host, brackets, ret_why);
	if (r == 0)
		r = parse_port(colon + 1, &port, ret_why);
	if (r < 0)
		return r;
	*ret = (struct config_listen){.host = TAKE(host), .port = port};
	return 0;
}

static bool is_there(const struct config_monitor *m, const struct config_listen *l) {
	for (size_t i = 0; i < m->n_listen; i++)
		if (m->listen[i].port == l->port && strcmp(m->listen[i].host, l->host) == 0)
			return true;
	return false;
}

/* Reads one address to the next free place. */
static void read_address(struct reader *r, const struct key *k, const config_setting_t *s, struct config_monitor *m) {
	struct config_listen l = {0};
	const char *why = NULL;
	int result;

	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		reader_mismatch(r, k, s, "an address such as \"127.0.0.1:9419\"");
		return;
	}
	result = parse(setting_string(s), &l, &why);
	if (result == -EINVAL) {
		reader_problem(r, s, "expected an address such as \"127.0.0.1:9419\", but %s", why);
	} else if (reader_check(r, result) == 0 && is_there(m, &l)) {
		reader_problem(r, s, "this address is there already");
		free(l.host);
	} else if (result == 0) {
		m->listen[m->n_listen++] = l;
	}
}

/* An array or list of addresses, or a single one. */
static void read_addresses(struct reader *r, const struct key *k, const config_setting_t *s, struct config_monitor *m) {
	bool single = config_setting_type(s) == CONFIG_TYPE_STRING;
	bool several = config_setting_is_array(s) || config_setting_is_list(s);
	int n = several ? config_setting_length(s) : 0;

	if ((!single && !several) || (uint64_t)n > k->max) {
		reader_mismatch(r, k, s, NULL);
		return;
	}
	m->listen = calloc((size_t)n + 1, sizeof(*m->listen));
	if (!m->listen) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	if (single)
		read_address(r, k, s, m);
	for (int i = 0; i < n; i++) {
		size_t mark = reader_enter_index(r, i);

		read_address(r, k, config_setting_get_elem((config_setting_t *)s, (unsigned)i), m);
		reader_leave(r, mark);
	}
}

void listen_read(struct reader *r, const struct key *k, const config_setting_t *s, void *base) {
	if (k->type == KEY_SOCKET)
		read_socket(r, k, s, base);
	else
		read_addresses(r, k, s, base);
}

void listen_default(struct reader *r, const struct key *k, void *base) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	append_default_socket(k, &b);
	set_socket(r, k, &b, base);
}

void check_control(struct reader *r, const config_setting_t *s, const struct config_control *c) {
	const config_setting_t *group = setting_member(s, "group");
	CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;
	gid_t gid;
	int result;

	if (!c->group)
		return;
	result = privileges_find_group(c->group, &gid);
	if (result == 0)
		return;
	strbuf_append_escaped(&name, c->group, strlen(c->group));
	if (result == -ENOENT)
		check_problem(r, group, "control", "group", "there is no group \"%s\"", strbuf_str(&name));
	else if (result == -EINVAL)
		check_problem(r, group, "control", "group",
			      "expected a group's name, or a number below 4294967295, found the string \"%s\"",
			      strbuf_str(&name));
	else
		check_problem(r, group, "control", "group", "the group \"%s\" cannot be looked up: %s",
			      strbuf_str(&name), strerror(-result));
}
