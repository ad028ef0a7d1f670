/* SPDX-License-Identifier: MIT */
#include "broker/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "broker/tls_error.h"

static inline void bio_free_cleanup(BIO **bio) {
	(void)BIO_free(*bio);
}

static inline void key_free_cleanup(EVP_PKEY **key) {
	EVP_PKEY_free(*key);
}

static bool is_ip(const char *name) {
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

void tls_init(struct tls *t, const struct config_tls *config, const char *host,
	      void (*connected)(int fd, void *userdata), void *userdata) {
	size_t len;

	*t = (struct tls){.config = config, .connected = connected, .userdata = userdata, .alert = -1};
	(void)snprintf(t->name, sizeof(t->name), "%s",
		       config->server_name && config->server_name[0] ? config->server_name : host);
	/* Neither the dot that ends a complete name nor the zone of a link-local address is in a certificate. */
	len = strlen(t->name);
	if (len > 1 && t->name[len - 1] == '.')
		t->name[len - 1] = '\0';
	if (strchr(t->name, ':'))
		t->name[strcspn(t->name, "%")] = '\0';
	t->name_is_ip = is_ip(t->name);
}

/* OpenSSL itself says little about why a file cannot be opened. */
static int check_readable(const char *path, char *reason, size_t size) {
	CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return 0;
	(void)snprintf(reason, size, "cannot read %s: %s", path, strerror(errno));
	return -ENOKEY;
}

static int load_trust(const struct tls *t, SSL_CTX *ctx, char *reason, size_t size) {
	const char *path = t->config->ca_file;

	if (!t->config->verify)
		return 0;
	if (!path) {
		(void)SSL_CTX_set_default_verify_paths(ctx);
		return 0;
	}
	if (check_readable(path, reason, size) < 0)
		return -ENOKEY;
	if (SSL_CTX_load_verify_locations(ctx, path, NULL) == 1)
		return 0;
	tls_error_file(path, "certificates", reason, size);
	return -ENOKEY;
}

/* Never a prompt, which is what OpenSSL does on its own. */
static int give_password(char *buf, int size, int writing, void *userdata) {
	struct tls *t = userdata;
	const char *password = t->config->key_password;
	size_t len = password ? strlen(password) : 0;

	t->asked_password = true;
	if (!password || len > (size_t)size)
		return -1;
	memcpy(buf, password, len);
	return (int)len;
}

static int load_key(struct tls *t, SSL_CTX *ctx, char *reason, size_t size) {
	const char *path = t->config->key_file ? t->config->key_file : t->config->cert_file;
	__attribute__((cleanup(bio_free_cleanup))) BIO *bio = NULL;
	__attribute__((cleanup(key_free_cleanup))) EVP_PKEY *key = NULL;

	if (check_readable(path, reason, size) < 0)
		return -ENOKEY;
	t->asked_password = false;
	bio = BIO_new_file(path, "r");
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, t) : NULL;
	if (!key && t->asked_password) {
		(void)snprintf(reason, size, "the private key in %s is encrypted, and %s", path,
			       t->config->key_password ? "the pass phrase in tls.key_password_file does not open it"
						       : "there is no tls.key_password_file with its pass phrase");
		ERR_clear_error();
		return -ENOKEY;
	}
	if (!key) {
		tls_error_file(path, "a private key", reason, size);
		return -ENOKEY;
	}
	if (SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return 0;
	(void)snprintf(reason, size, "the private key in %s does not belong to the certificate in %s", path,
		       t->config->cert_file);
	ERR_clear_error();
	return -ENOKEY;
}

static int load_certificate(struct tls *t, SSL_CTX *ctx, char *reason, size_t size) {
	const char *path = t->config->cert_file;

	if (!path)
		return 0;
	if (check_readable(path, reason, size) < 0)
		return -ENOKEY;
	if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
		tls_error_file(path, "certificates", reason, size);
		return -ENOKEY;
	}
	return load_key(t, ctx, reason, size);
}

/* In place of OpenSSL's own call: what is wrong is known only while `store` lives. */
static int verify(X509_STORE_CTX *store, void *userdata) {
	struct tls *t = userdata;
	int r = X509_verify_cert(store);

	if (r <= 0)
		tls_error_verify(t, store, t->words, sizeof(t->words));
	return r;
}

/* The library asks for the name that it connects to, which is always a numeric address here. Not every server takes
 * these. */
static void set_server_name(struct tls *t, SSL *ssl) {
	(void)SSL_set_tlsext_host_name(ssl, t->name_is_ip ? NULL : t->name);
}

static void release(struct tls *t) {
	SSL_free(t->ssl);
	t->ssl = NULL;
}

/* OpenSSL tells what it does: the only moment between the library's connect and its handshake is told by this. */
static void on_info(const SSL *ssl, int where, int value) {
	struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (where & SSL_CB_HANDSHAKE_START && t->ssl != ssl) {
		int fd = -1;

		release(t);
		t->ssl = (SSL *)ssl;
		(void)SSL_up_ref(t->ssl);
		set_server_name(t, t->ssl);
		(void)BIO_get_fd(SSL_get_rbio(ssl), &fd);
		if (fd >= 0)
			t->connected(fd, t->userdata);
	}
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		t->alert = value & 0xff;
}

static int set_expected_name(const struct tls *t, SSL_CTX *ctx) {
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* What is in ca_file is trusted, be it a root or not. */
	if (t->config->ca_file)
		(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	return t->name_is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, t->name)
			     : X509_VERIFY_PARAM_set1_host(param, t->name, 0);
}

static int setup(struct tls *t, SSL_CTX *ctx, char *reason, size_t size) {
	int version = t->config->min_version == CONFIG_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
	int r;

	ERR_clear_error();
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_info_callback(ctx, on_info);
	if (t->config->verify) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_cert_verify_callback(ctx, verify, t);
	} else {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	}
	if (SSL_CTX_set_min_proto_version(ctx, version) != 1 || SSL_CTX_set_max_proto_version(ctx, 0) != 1 ||
	    (t->config->verify && set_expected_name(t, ctx) != 1)) {
		(void)snprintf(reason, size, "OpenSSL could not be set up for %s", t->name);
		return -ENOMEM;
	}
	r = load_trust(t, ctx, reason, size);
	return r < 0 ? r : load_certificate(t, ctx, reason, size);
}

/* The library does not tell why it could not connect: find out. */
static int find_reason(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, bool *ret_final) {
	CLEANUP(fd_close) int fd = -1;
	int r = dial_address(d, a, deadline_usec, ret_final, &fd);

	return r < 0 ? r : -ECONNREFUSED;
}

static int attempt(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, void *userdata,
		   bool *ret_final) {
	uint64_t now = clock_now_usec();
	uint64_t left = deadline_usec > now ? deadline_usec - now : 0;
	struct timeval timeout = {.tv_sec = (time_t)(left / USEC_PER_SEC),
				  .tv_usec = (suseconds_t)(left % USEC_PER_SEC)};
	struct tls *t = userdata;
	char address[NI_MAXHOST];

	dial_address_to_string(a, address, sizeof(address));
	release(t);
	t->status = amqp_socket_open_noblock(t->socket, address, d->port, &timeout);
	if (t->status == AMQP_STATUS_OK)
		return 0;
	if (t->ssl) {
		/* Somebody is there: the other addresses of the host would not be different. */
		*ret_final = true;
		return -EPROTO;
	}
	return t->status == AMQP_STATUS_TIMEOUT ? -ETIMEDOUT : find_reason(d, a, deadline_usec, ret_final);
}

int tls_open(struct tls *t, amqp_connection_state_t state, const struct dial *d, uint64_t timeout_usec, char *reason,
	     size_t reason_size) {
	int r;

	/* No cleaning up at exit: a thread that was left behind may be in the middle of something. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
		goto no_memory;
	t->socket = amqp_ssl_socket_new(state);
	if (!t->socket)
		goto no_memory;
	/* OpenSSL's own checks are better: they know IP addresses, and say what is wrong. */
	amqp_ssl_socket_set_verify_peer(t->socket, 0);
	amqp_ssl_socket_set_verify_hostname(t->socket, 0);
	r = setup(t, amqp_ssl_socket_get_context(t->socket), reason, reason_size);
	t->dialled = r == 0;
	if (r == 0)
		r = dial_each(d, timeout_usec, attempt, t, reason, reason_size);
	if (r < 0 && t->ssl)
		tls_error_handshake(t, reason, reason_size);
	t->socket = NULL;
	return r;

no_memory:
	(void)snprintf(reason, reason_size, "out of memory");
	return -ENOMEM;
}

bool tls_is_to_blame(const struct tls *t) {
	return !t->dialled || t->ssl;
}

void tls_clear(struct tls *t) {
	release(t);
}

bool tls_told_why(struct tls *t, int fd, char *buf, size_t size) {
	char byte;

	/* A send may have failed because the peer is gone, before what it said at last was read. The library has closed
	 * its descriptor by now. */
	if (t->alert < 0 && t->ssl && fd >= 0 && SSL_set_fd(t->ssl, fd) == 1)
		(void)SSL_read(t->ssl, &byte, 1);
	ERR_clear_error();
	if (t->alert < 0)
		return false;
	tls_error_alert(t, buf, size);
	return true;
}

bool tls_has_pending(const struct tls *t) {
	return t->ssl && SSL_pending(t->ssl) > 0;
}
