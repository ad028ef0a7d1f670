/* SPDX-License-Identifier: MIT */
/* TLS for a connection to a broker. The library opens the socket and carries the data; whom to trust, who we are and
 * which names count is set on its OpenSSL context here, and what went wrong is put in words. Private to this room. */
#pragma once

#include "broker/amqp_library.h"
#include "broker/dial.h"
#include "config/config.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;

#define TLS_NAME_MAX 256
#define TLS_WORDS_MAX 1024

/* Owned by its connection, and in one place as long as that is open: OpenSSL calls back; tls_clear ends it. All zero:
 * not in use. */
struct tls {
	const struct config_tls *config; /* borrowed */
	char name[TLS_NAME_MAX];         /* that the certificate must be for */
	bool name_is_ip;
	/* Called when the TCP connection is there, before the handshake, with its descriptor, which stays the
	 * library's. */
	void (*connected)(int fd, void *userdata);
	void *userdata;
	amqp_socket_t *socket;     /* borrowed from the library, while tls_open runs */
	struct ssl_st *ssl;        /* a reference, besides the library's; NULL before the handshake */
	bool dialled;              /* our files are in order, and it was tried to connect */
	int status;                /* of the library, when it failed to open the socket */
	int alert;                 /* the last one that the peer sent; -1: none */
	bool asked_password;       /* the key is encrypted */
	char words[TLS_WORDS_MAX]; /* why the broker's certificate was refused; "": it was not */
};

/* For a connection to `host`, a name or an IP address. */
void tls_init(struct tls *t, const struct config_tls *config, const char *host,
	      void (*connected)(int fd, void *userdata), void *userdata);

/* Connects `state` to the host of the dial: TCP and the TLS handshake. 0; -errno or what `wake` returned, with the
 * reason as text. The caller destroys `state` in any case. */
int tls_open(struct tls *t, amqp_connection_state_t state, const struct dial *d, uint64_t timeout_usec, char *reason,
	     size_t reason_size);

/* After tls_open has failed: whether that was for our files or in the handshake, and not because nobody could be reached. */
bool tls_is_to_blame(const struct tls *t);

/* After the connection has been destroyed, or instead of tls_open. */
void tls_clear(struct tls *t);

/* After the login has failed: whether the peer said why by an alert, and then the words for it. With TLS 1.3 it judges
 * our certificate only when the handshake is over on our side. fd: the socket, or a duplicate of it: the alert may lie
 * there unread. */
bool tls_told_why(struct tls *t, int fd, char *buf, size_t size);

/* Whether decrypted data waits where poll(2) does not see it. */
bool tls_has_pending(const struct tls *t);
