/* SPDX-License-Identifier: MIT */
/* Errors of TLS in words that an operator understands, on one printable line: buffers are always terminated. Private to
 * tls.c. */
#pragma once

#include "broker/tls.h"
#include <openssl/x509_vfy.h>
#include <stddef.h>

/* Why the verification that has just failed in `store` did so. */
void tls_error_verify(const struct tls *t, X509_STORE_CTX *store, char *buf, size_t size);

/* What an alert of the peer means for us. */
void tls_error_alert(const struct tls *t, char *buf, size_t size);

/* Why the handshake failed: by the certificate, an alert, OpenSSL's queue of errors (which it empties), or time. */
void tls_error_handshake(const struct tls *t, char *buf, size_t size);

/* Why a file could not be used, by OpenSSL's queue of errors (which it empties). what: "certificates", "a private key".
 */
void tls_error_file(const char *path, const char *what, char *buf, size_t size);
