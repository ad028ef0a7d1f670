/* SPDX-License-Identifier: MIT */
#include "config/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/strbuf.h"

#define HOST_MAX 255  /* bytes: what a DNS name can have */
#define VHOST_MAX 255 /* bytes: a short string in connection.open */

/* A part of the URL, not terminated. */
struct span {
	const char *data;
	size_t len;
};

static bool is_one_of(char c, const char *set) {
	return c && strchr(set, c);
}

static bool is_unreserved(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || is_one_of(c, "-._~");
}

static int hex_value(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static struct span span_until(const char *s, const char *stop) {
	return (struct span){.data = s, .len = strcspn(s, stop)};
}

static const char *span_find(struct span s, char c) {
	return s.len ? memchr(s.data, c, s.len) : NULL;
}

/* Checks what may stand in a part of the URL, and percent-decodes it. `extra` are characters allowed beside the
 * unreserved ones and the sub-delims of RFC 3986. */
static int decode(struct span s, const char *extra, char **ret, const char **ret_why) {
	char *out = malloc(s.len + 1);
	const char *why = NULL;
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < s.len && !why; i++) {
		char c = s.data[i];

		if (c == '%') {
			int high = s.len - i > 2 ? hex_value(s.data[i + 1]) : -1;
			int low = s.len - i > 2 ? hex_value(s.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				why = "a % is not followed by two hexadecimal digits (a % itself is written %25)";
			else if (high == 0 && low == 0)
				why = "%00 (a NUL byte) is not allowed";
			c = (char)(high * 16 + low);
			i += 2;
		} else if (!is_unreserved(c) && !is_one_of(c, "!$&'()*+,;=") && !is_one_of(c, extra)) {
			why = "it holds a character that has to be percent-encoded (as @ by %40, : by %3A, / by %2F)";
		}
		out[n++] = c;
	}
	out[n] = '\0';
	if (why) {
		explicit_bzero(out, n);
		free(out);
		*ret_why = why;
		return -EINVAL;
	}
	*ret = out;
	return 0;
}

static int fail(const char *why, const char **ret_why) {
	*ret_why = why;
	return -EINVAL;
}

static int parse_userinfo(struct span s, struct url *u, const char **ret_why) {
	const char *colon = span_find(s, ':');
	struct span user = {.data = s.data, .len = colon ? (size_t)(colon - s.data) : s.len};
	int r;

	r = decode(user, "", &u->username, ret_why);
	if (r < 0 || !colon)
		return r;
	return decode((struct span){.data = colon + 1, .len = s.len - user.len - 1}, "", &u->password, ret_why);
}

/* An address in brackets; "[fe80::1%25eth0]" has a zone (RFC 6874). */
static int parse_ipv6(struct span s, struct url *u, const char **ret_why) {
	struct in6_addr address;
	char *zone;
	int r, valid;

	r = decode(s, ":", &u->host, ret_why);
	if (r < 0)
		return r;
	zone = strchr(u->host, '%');
	if (zone && !zone[1])
		return fail("the IPv6 address has an empty zone", ret_why);
	if (zone)
		*zone = '\0';
	valid = inet_pton(AF_INET6, u->host, &address);
	if (zone)
		*zone = '%';
	return valid == 1 ? 0 : fail("what is in brackets is not an IPv6 address", ret_why);
}

static int parse_port(struct span s, struct url *u, const char **ret_why) {
	unsigned port = 0;

	if (s.len == 0)
		return fail("the port is missing after the colon", ret_why);
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return fail(
				"the port is not a number from 1 to 65535 (an IPv6 address needs brackets, and a : in "
				"a password is written %3A)",
				ret_why);
		port = port * 10 + (unsigned)(s.data[i] - '0');
		if (port > UINT16_MAX)
			break;
	}
	if (port < 1 || port > UINT16_MAX)
		return fail("the port is not a number from 1 to 65535", ret_why);
	u->port = (uint16_t)port;
	return 0;
}

static int parse_host(struct span s, struct url *u, const char **ret_why) {
	const char *end;
	int r;

	if (s.len && s.data[0] == '[') {
		end = span_find(s, ']');
		if (!end)
			return fail("the bracket of the IPv6 address is not closed", ret_why);
		r = parse_ipv6((struct span){.data = s.data + 1, .len = (size_t)(end - s.data) - 1}, u, ret_why);
		end++;
		if (r == 0 && end < s.data + s.len && *end != ':')
			return fail("only a colon and a port may follow the brackets", ret_why);
	} else {
		end = span_find(s, ':');
		if (!end)
			end = s.data + s.len;
		r = decode((struct span){.data = s.data, .len = (size_t)(end - s.data)}, "", &u->host, ret_why);
		for (const char *p = u->host; r == 0 && *p; p++)
			if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("/@[]:", *p))
				return fail("the host name holds a character that no host name has", ret_why);
	}
	if (r < 0)
		return r;
	if (strlen(u->host) > HOST_MAX)
		return fail("the host name is longer than 255 bytes", ret_why);
	if (end == s.data + s.len)
		return 0;
	return parse_port((struct span){.data = end + 1, .len = (size_t)(s.data + s.len - end) - 1}, u, ret_why);
}

/* What follows the authority: nothing, or a slash and the virtual host. */
static int parse_path(const char *s, struct url *u, const char **ret_why) {
	int r;

	if (!*s) {
		u->vhost = strdup("/");
		return u->vhost ? 0 : -ENOMEM;
	}
	if (strchr(s + 1, '/'))
		return fail("the virtual host is one path segment: a / in its name is written %2F", ret_why);
	/* The specification allows an @ here, but what is seen here in practice is the rest of a password with a slash
	 * in it: this part is logged, so better refuse it. */
	r = decode(span_until(s + 1, ""), ":", &u->vhost, ret_why);
	if (r == 0 && strlen(u->vhost) > VHOST_MAX)
		return fail("the virtual host is longer than 255 bytes", ret_why);
	return r;
}

static int parse_scheme(const char **s, struct url *u, const char **ret_why) {
	size_t n = strcspn(*s, ":/");

	if (strncmp(*s + n, "://", 3) != 0)
		return fail("it does not begin with amqp:// or amqps://", ret_why);
	u->tls = n == 5 && strncasecmp(*s, "amqps", n) == 0;
	if (!u->tls && (n != 4 || strncasecmp(*s, "amqp", n) != 0))
		return fail("its scheme is not amqp or amqps", ret_why);
	u->port = u->tls ? URL_PORT_DEFAULT_TLS : URL_PORT_DEFAULT;
	*s += n + 3;
	return 0;
}

static int parse(const char *s, struct url *u, const char **ret_why) {
	struct span authority;
	const char *at, *path;
	int r;

	r = parse_scheme(&s, u, ret_why);
	if (r < 0)
		return r;
	if (strchr(s, '?'))
		return fail(
			"query parameters are not supported: use the keys heartbeat, connect_timeout and tls (a ? in a "
			"name or password is written %3F)",
			ret_why);
	if (strchr(s, '#'))
		return fail("a fragment (#) has no meaning here (a # in a name or password is written %23)", ret_why);
	authority = span_until(s, "/");
	path = s + authority.len;
	at = span_find(authority, '@');
	if (at) {
		struct span host = {.data = at + 1, .len = authority.len - (size_t)(at + 1 - s)};

		if (span_find(host, '@'))
			return fail("it holds more than one @ (in a name or password it is written %40)", ret_why);
		r = parse_userinfo((struct span){.data = s, .len = (size_t)(at - s)}, u, ret_why);
		if (r < 0)
			return r;
		authority = host;
	}
	r = parse_host(authority, u, ret_why);
	if (r < 0)
		return r;
	if (!*u->host) {
		free(u->host);
		u->host = strdup("localhost");
		if (!u->host)
			return -ENOMEM;
	}
	return parse_path(path, u, ret_why);
}

int url_parse(const char *s, struct url *ret, const char **ret_why) {
	struct url u = {0};
	int r;

	r = parse(s, &u, ret_why);
	if (r < 0) {
		url_clear(&u);
		return r;
	}
	*ret = u;
	return 0;
}

void url_clear(struct url *u) {
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->password);
	free(u->username);
	free(u->vhost);
	free(u->host);
	*u = (struct url){0};
}

static void append_encoded(struct strbuf *b, const char *s) {
	for (; *s; s++) {
		if (is_unreserved(*s))
			strbuf_append_char(b, *s);
		else
			strbuf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

void url_format(const struct url *u, struct strbuf *b) {
	strbuf_append_str(b, u->tls ? "amqps://" : "amqp://");
	if (u->username) {
		append_encoded(b, u->username);
		strbuf_append_char(b, '@');
	}
	if (strchr(u->host, ':')) {
		const char *zone = strchr(u->host, '%');
		size_t n = zone ? (size_t)(zone - u->host) : strlen(u->host);

		strbuf_append_char(b, '[');
		strbuf_append(b, u->host, n); /* digits, letters and colons */
		append_encoded(b, u->host + n);
		strbuf_append_char(b, ']');
	} else {
		append_encoded(b, u->host);
	}
	strbuf_printf(b, ":%u/", u->port);
	append_encoded(b, u->vhost);
}
