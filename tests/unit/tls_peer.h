/* SPDX-License-Identifier: MIT */
/* A peer that a connection can be made to, with or without TLS: it logs a client in and then does not read any more, or
 * it misbehaves earlier. One connection after the other, on a thread of its own. */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum peer_mode {
	PEER_LOGS_IN,    /* then sends three frames at once, and reads nothing any more */
	PEER_MUTE,       /* never says a word, not even in TLS */
	PEER_HANGS_UP,   /* at the first byte */
	PEER_TALKS_HTTP, /* without TLS in any case */
};

struct peer {
	/* Set before it is started. */
	bool tls;
	enum peer_mode mode;
	/* Its own. */
	int listen_fd;
	uint16_t port;
	pthread_t thread;
	SSL_CTX *ctx;
	atomic_uint connections; /* complete logins */
	atomic_bool ended;
	char start_ok[2048]; /* what the client told of itself */
	size_t start_ok_len;
};

struct peer_bytes {
	uint8_t data[512];
	size_t len;
};

static inline void peer_put(struct peer_bytes *b, uint64_t value, unsigned n) {
	while (n-- > 0)
		b->data[b->len++] = (uint8_t)(value >> 8 * n);
}

static inline void peer_put_text(struct peer_bytes *b, const char *text, unsigned length_bytes) {
	peer_put(b, strlen(text), length_bytes);
	memcpy(b->data + b->len, text, strlen(text));
	b->len += strlen(text);
}

/* Begins a method frame on channel 0; its length comes with peer_end. */
static inline size_t peer_begin(struct peer_bytes *b, unsigned method) {
	peer_put(b, 1, 1);
	peer_put(b, 0, 6);
	peer_put(b, 10, 2);
	peer_put(b, method, 2);
	return b->len - 4;
}

static inline void peer_end(struct peer_bytes *b, size_t begin) {
	size_t len = b->len - begin;

	b->data[begin - 2] = (uint8_t)(len >> 8);
	b->data[begin - 1] = (uint8_t)len;
	peer_put(b, 0xce, 1);
}

static inline bool peer_write(SSL *ssl, int fd, const struct peer_bytes *b) {
	if (ssl)
		return SSL_write(ssl, b->data, (int)b->len) == (int)b->len;
	return send(fd, b->data, b->len, MSG_NOSIGNAL) == (ssize_t)b->len;
}

static inline bool peer_read(SSL *ssl, int fd, void *data, size_t len) {
	for (size_t n = 0; n < len;) {
		ssize_t got =
			ssl ? SSL_read(ssl, (char *)data + n, (int)(len - n)) : recv(fd, (char *)data + n, len - n, 0);

		if (got <= 0)
			return false;
		n += (size_t)got;
	}
	return true;
}

/* Reads one frame; its payload, cut to size, into buf. */
static inline bool peer_read_frame(SSL *ssl, int fd, char *buf, size_t size, size_t *ret_len) {
	uint8_t head[7], rest[4096];
	size_t len;

	if (!peer_read(ssl, fd, head, sizeof(head)))
		return false;
	len = (size_t)head[5] << 8 | head[6];
	if (len + 1 > sizeof(rest) || !peer_read(ssl, fd, rest, len + 1))
		return false;
	if (buf) {
		*ret_len = len < size ? len : size;
		memcpy(buf, rest, *ret_len);
	}
	return true;
}

static inline bool peer_log_in(struct peer *p, SSL *ssl, int fd) {
	struct peer_bytes start = {.len = 0}, tune = {.len = 0}, open = {.len = 0};
	char protocol[8];
	size_t begin;

	begin = peer_begin(&start, 10);
	peer_put(&start, 9, 2);
	peer_put(&start, 0, 4);
	peer_put_text(&start, "PLAIN", 4);
	peer_put_text(&start, "en_US", 4);
	peer_end(&start, begin);
	begin = peer_begin(&tune, 30);
	peer_put(&tune, 2047, 2);
	peer_put(&tune, 131072, 4);
	peer_put(&tune, 60, 2);
	peer_end(&tune, begin);
	begin = peer_begin(&open, 41);
	peer_put_text(&open, "", 1);
	peer_end(&open, begin);
	return peer_read(ssl, fd, protocol, sizeof(protocol)) && peer_write(ssl, fd, &start) &&
	       peer_read_frame(ssl, fd, p->start_ok, sizeof(p->start_ok), &p->start_ok_len) &&
	       peer_write(ssl, fd, &tune) && peer_read_frame(ssl, fd, NULL, 0, NULL) &&
	       peer_read_frame(ssl, fd, NULL, 0, NULL) && peer_write(ssl, fd, &open);
}

/* connection.unblocked, three times. */
static inline void peer_send_three(SSL *ssl, int fd) {
	struct peer_bytes b = {.len = 0};

	for (int i = 0; i < 3; i++)
		peer_end(&b, peer_begin(&b, 61));
	(void)peer_write(ssl, fd, &b);
}

/* Takes nothing out of the socket any more. */
static inline void peer_freeze(const struct peer *p) {
	while (!atomic_load(&p->ended))
		usleep(10000);
}

static inline void peer_serve(struct peer *p, int fd) {
	SSL *ssl = NULL;
	char c;

	if (p->mode == PEER_MUTE) {
		peer_freeze(p);
		return;
	}
	if (p->mode == PEER_HANGS_UP || p->mode == PEER_TALKS_HTTP) {
		static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

		(void)recv(fd, &c, 1, MSG_PEEK);
		if (p->mode == PEER_TALKS_HTTP)
			(void)send(fd, http, sizeof(http) - 1, MSG_NOSIGNAL);
		/* Without what was sent still lying here unread, which would make a reset of it. */
		while (recv(fd, (char[256]){0}, 256, MSG_DONTWAIT) > 0)
			;
		return;
	}
	if (p->tls) {
		ssl = SSL_new(p->ctx);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) != 1)
			goto out;
	}
	if (peer_log_in(p, ssl, fd)) {
		peer_send_three(ssl, fd);
		atomic_fetch_add(&p->connections, 1);
		peer_freeze(p);
	}
out:
	SSL_free(ssl);
}

static inline void *peer_main(void *arg) {
	struct peer *p = arg;
	int fd;

	while ((fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		peer_serve(p, fd);
		close(fd);
	}
	return NULL;
}

/* A key and a certificate that it signed itself, for these names ("DNS:localhost,IP:127.0.0.1"), in use by ctx and in a
 * file. */
static inline void peer_make_certificate(SSL_CTX *ctx, const char *names, const char *path) {
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(extension);
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const uint8_t *)"peer", -1,
				   -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, extension, -1);
	ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, certificate), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	ck_assert_int_eq(PEM_write_X509(f, certificate), 1);
	fclose(f);
	X509_EXTENSION_free(extension);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static inline void peer_start(struct peer *p, const char *names, const char *certificate_path) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	if (p->tls) {
		p->ctx = SSL_CTX_new(TLS_server_method());
		ck_assert_ptr_nonnull(p->ctx);
		peer_make_certificate(p->ctx, names, certificate_path);
	}
	p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(p->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(p->listen_fd, 8), 0);
	ck_assert_int_eq(getsockname(p->listen_fd, (struct sockaddr *)&a, &len), 0);
	p->port = ntohs(a.sin_port);
	ck_assert_int_eq(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static inline void peer_stop(struct peer *p) {
	atomic_store(&p->ended, true);
	(void)shutdown(p->listen_fd, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(p->thread, NULL), 0);
	close(p->listen_fd);
	SSL_CTX_free(p->ctx);
}
