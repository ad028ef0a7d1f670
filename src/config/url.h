/* SPDX-License-Identifier: MIT */
/* amqp:// and amqps:// URLs by RabbitMQ's URI specification (https://www.rabbitmq.com/uri-spec.html). Pure. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stdint.h>

struct strbuf;

#define URL_PORT_DEFAULT 5672
#define URL_PORT_DEFAULT_TLS 5671

/* Its parts, percent-decoded; all strings owned. */
struct url {
	bool tls;   /* amqps:// */
	char *host; /* name, IPv4 or IPv6 address without brackets; "localhost" if the URL names none */
	uint16_t port;
	char *vhost;    /* "/" without a path, "" if the path is a single slash */
	char *username; /* NULL: not given; may be empty */
	char *password; /* NULL: not given; may be empty */
};

/* Takes the URL apart. -ENOMEM. -EINVAL: *ret_why says what is wrong, as static text that repeats nothing of the URL,
 * so that no password ever gets into a message; *ret is untouched. */
int url_parse(const char *s, struct url *ret, const char **ret_why);

/* Frees the parts, after wiping the password. */
void url_clear(struct url *u);

static inline void url_clear_cleanup(struct url *u) {
	url_clear(u);
}

/* Appends "amqp://HOST:PORT/VHOST", or "amqps://...", with "USERNAME@" before the host if there is one,
 * percent-encoded, which url_parse takes apart into the same. The password is left out. */
void url_format(const struct url *u, struct strbuf *b);
