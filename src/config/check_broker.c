/* SPDX-License-Identifier: MIT */
/* What is wrong with a broker when several of its keys are looked at together. */
#include <string.h>

#include "config/check.h"

/* Whether there is an amqps:// URL; yes if a URL could not be read, which has been complained about. */
static bool may_use_tls(const config_setting_t *s, const struct config_broker *b) {
	const config_setting_t *urls = setting_member(s, "urls");
	size_t n = urls ? (size_t)config_setting_length(urls) : 1;

	if (b->n_addresses != n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (b->addresses[i].tls)
			return true;
	return false;
}

static void check_auth(struct reader *r, const config_setting_t *s, const struct config_broker *b) {
	const config_setting_t *auth = setting_member(s, "auth");

	if (b->auth != CONFIG_AUTH_EXTERNAL)
		return;
	if (!may_use_tls(s, b))
		check_problem(r, auth, "auth", NULL, "\"external\" needs an amqps:// URL");
	if (!check_own(s, "tls", "cert_file"))
		check_problem(r, auth, "auth", NULL, "\"external\" needs the client certificate: give tls.cert_file");
}

static void check_tls(struct reader *r, const config_setting_t *s, const struct config_broker *b) {
	static const char *const of_the_key[] = {"key_file", "key_password_file"};
	const config_setting_t *first, *tls = setting_member(s, "tls");
	const char *name;

	/* Then the key is in the same file. */
	if (b->tls.cert_file && !b->tls.key_file)
		reader_add_secret_file(r, b->tls.cert_file);
	for (size_t i = 0; i < ARRAY_SIZE(of_the_key); i++)
		if (setting_member(tls, of_the_key[i]) && !setting_member(tls, "cert_file"))
			check_problem(r, setting_member(tls, of_the_key[i]), "tls", of_the_key[i],
				      "means nothing without cert_file, the certificate that the key is for");
	if (may_use_tls(s, b)) {
		if (!b->tls.verify)
			check_warning(
				r, setting_member(tls, "verify"), "tls", "verify",
				"false: whoever is between here and the broker can read and change everything, the "
				"password included");
		return;
	}
	first = check_first_set(tls, SECTION_TLS, &b->tls, &name);
	if (first)
		check_warning(r, first, "tls", name, "has no effect: no URL of this broker begins with amqps://");
}

void check_broker(struct reader *r, const config_setting_t *s, size_t index) {
	const struct config_broker *brokers = r->config->brokers, *b = &brokers[index];
	const struct check_duration min = {"min_delay", b->reconnect_min_usec, check_own(s, "reconnect", "min_delay")};
	const struct check_duration max = {"max_delay", b->reconnect_max_usec, check_own(s, "reconnect", "max_delay")};

	for (size_t i = 0; b->name && i < index; i++) {
		if (brokers[i].name && strcmp(brokers[i].name, b->name) == 0) {
			check_duplicate(r, s, r->elements[i], "a broker");
			break;
		}
	}
	check_auth(r, s, b);
	check_tls(r, s, b);
	check_order(r, check_member_or_group(s, "reconnect"), "reconnect", &min, &max);
}
