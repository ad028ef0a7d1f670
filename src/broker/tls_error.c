/* SPDX-License-Identifier: MIT */
#include "broker/tls_error.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/strbuf.h"

/* Of the names in a certificate, which may have thousands. */
#define NAMES_MAX 5

static void copy(const struct strbuf *b, char *buf, size_t size) {
	(void)snprintf(buf, size, "%s", b->failed ? "out of memory" : strbuf_str(b));
}

static void append_string(struct strbuf *b, const ASN1_STRING *s) {
	strbuf_append_escaped(b, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static void append_ip(struct strbuf *b, const ASN1_OCTET_STRING *ip) {
	int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if (family == AF_INET6 && ASN1_STRING_length(ip) != 16)
		return;
	if (inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text)))
		strbuf_append_str(b, text);
}

/* The last common name of the subject, which is the one that counts. */
static void append_common_name(struct strbuf *b, const X509 *certificate) {
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int last = -1;

	for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
		last = i;
	if (last < 0)
		strbuf_append_str(b, "nobody in particular");
	else
		append_string(b, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
}

/* "mail.example.com, 192.0.2.1": what the certificate is for. */
static void append_names(struct strbuf *b, const X509 *certificate) {
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	unsigned n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		if (n > 0)
			strbuf_append_str(b, ", ");
		if (n++ == NAMES_MAX) {
			strbuf_append_str(b, "...");
			break;
		}
		if (name->type == GEN_DNS)
			append_string(b, name->d.dNSName);
		else
			append_ip(b, name->d.iPAddress);
	}
	GENERAL_NAMES_free(names);
	if (n == 0)
		append_common_name(b, certificate);
}

static void append_time(struct strbuf *b, const ASN1_TIME *t) {
	char text[32];
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) == 1 && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
		strbuf_append_str(b, text);
	else
		strbuf_append_str(b, "an unreadable time");
}

/* "the broker's certificate", or one of those that lead from it to a root. */
static void append_which(struct strbuf *b, const X509 *certificate, int depth) {
	if (depth == 0 || !certificate) {
		strbuf_append_str(b, "the broker's certificate");
		return;
	}
	strbuf_append_str(b, "the certificate of the CA \"");
	append_common_name(b, certificate);
	strbuf_append_str(b, "\" that signed the broker's");
}

void tls_error_verify(const struct tls *t, X509_STORE_CTX *store, char *buf, size_t size) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		append_which(&b, certificate, X509_STORE_CTX_get_error_depth(store));
		strbuf_append_str(&b,
				  error == X509_V_ERR_CERT_HAS_EXPIRED ? " has expired, on " : " is not valid before ");
		append_time(&b, error == X509_V_ERR_CERT_HAS_EXPIRED ? X509_get0_notAfter(certificate)
								     : X509_get0_notBefore(certificate));
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		strbuf_printf(&b, "the broker's certificate comes from an unknown CA: %s is not trusted by ",
			      error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ? "it signed itself, and"
									      : "what signed it");
		strbuf_append_str(&b,
				  t->config->ca_file ? t->config->ca_file : "this system (there is no tls.ca_file)");
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		strbuf_printf(&b, "the broker's certificate is for another host: expected %s, the certificate is for ",
			      t->name);
		append_names(&b, X509_STORE_CTX_get0_cert(store));
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		append_which(&b, certificate, X509_STORE_CTX_get_error_depth(store));
		strbuf_append_str(&b, " may not be used for servers, by its own key usage");
		break;
	default:
		append_which(&b, certificate, X509_STORE_CTX_get_error_depth(store));
		strbuf_printf(&b, " is not accepted: %s", X509_verify_cert_error_string(error));
		break;
	}
	copy(&b, buf, size);
}

void tls_error_alert(const struct tls *t, char *buf, size_t size) {
	const char *text = SSL_alert_desc_string_long(t->alert);
	const char *certificate = t->config->cert_file;

	switch (t->alert) {
	case SSL_AD_PROTOCOL_VERSION:
		(void)snprintf(buf, size, "the broker supports no TLS version from %s on (tls.min_version)",
			       t->config->min_version == CONFIG_TLS_1_3 ? "1.3" : "1.2");
		return;
	case SSL_AD_UNRECOGNIZED_NAME:
		(void)snprintf(buf, size, "the broker does not know the name %s (tls.server_name)", t->name);
		return;
	case TLS13_AD_CERTIFICATE_REQUIRED:
		(void)snprintf(buf, size, "the broker wants a client certificate (tls.cert_file)");
		return;
	case SSL_AD_HANDSHAKE_FAILURE:
		(void)snprintf(
			buf, size, "the broker ended the TLS handshake (%s): %s", text,
			certificate ? "it does not accept the client certificate, or no common cipher exists"
				    : "it may want a client certificate (tls.cert_file), or no common cipher exists");
		return;
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
		if (certificate)
			(void)snprintf(buf, size, "the broker does not accept the client certificate in %s: %s",
				       certificate, text);
		else
			(void)snprintf(buf, size, "the broker wants a client certificate (tls.cert_file): %s", text);
		return;
	default:
		(void)snprintf(buf, size, "the broker ended the TLS connection: %s", text);
		return;
	}
}

static const char *reason_string(unsigned long error) {
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	return text ? text : "for an unknown reason";
}

/* Whether OpenSSL calls it an error of the protocol or of the system depends on its version. */
static const char handshake_cut[] = "the peer ended the connection during the TLS handshake";

/* What OpenSSL found wrong in what the peer sent. */
static const char *peer_error(unsigned long error) {
	if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		return NULL;
	switch (ERR_GET_REASON(error)) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_UNEXPECTED_MESSAGE:
		return "the peer does not speak TLS: is this the port for amqps?";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
		return "the broker supports no TLS version that is allowed here (tls.min_version)";
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return handshake_cut;
	default:
		return NULL;
	}
}

void tls_error_handshake(const struct tls *t, char *buf, size_t size) {
	unsigned long error = ERR_peek_error();
	const char *text = peer_error(error);

	if (t->words[0])
		(void)snprintf(buf, size, "%s", t->words);
	else if (t->alert >= 0)
		tls_error_alert(t, buf, size);
	else if (t->status == AMQP_STATUS_TIMEOUT)
		(void)snprintf(buf, size, "the TLS handshake was not over in time");
	else if (text)
		(void)snprintf(buf, size, "%s", text);
	else if (error && !ERR_SYSTEM_ERROR(error))
		(void)snprintf(buf, size, "the TLS handshake failed: %s", reason_string(error));
	else
		(void)snprintf(buf, size, "%s", handshake_cut);
	ERR_clear_error();
}

void tls_error_file(const char *path, const char *what, char *buf, size_t size) {
	(void)snprintf(buf, size, "%s does not hold %s in PEM form that can be used (%s)", path, what,
		       reason_string(ERR_peek_error()));
	ERR_clear_error();
}
