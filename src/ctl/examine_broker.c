/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/inquiry.h"
#include "ctl/examine.h"

#define WHERE_MAX 512
#define CODE_NOT_ALLOWED 530

/* What came of trying one address. */
struct attempt {
	int r; /* of inquiry_open */
	struct inquiry_answer why;
};

/* A broker that is being asked. */
struct asking {
	struct examine *examine;
	struct finding_place place;
	const struct config_broker *broker;
	struct attempt *attempts;   /* owned; one for each address */
	size_t address;             /* that is used */
	struct inquiry *inquiry;    /* owned; NULL: none works */
	struct inquiry *publishing; /* likewise; not before it is needed */
	bool cannot_publish;        /* it was needed, and does not work */
};

static const char *where(const struct config_address *a, char buf[static WHERE_MAX]) {
	const bool ipv6 = strchr(a->host, ':') != NULL;

	(void)snprintf(buf, WHERE_MAX, "%s%s%s:%u, virtual host %s", ipv6 ? "[" : "", a->host, ipv6 ? "]" : "",
		       (unsigned)a->port, a->vhost);
	return buf;
}

static size_t count_queues(const struct config *config, const struct config_broker *b) {
	size_t n = 0;

	for (size_t i = 0; i < config->n_queues; i++)
		n += config->queues[i].broker == b;
	return n;
}

static void tell_facts(const struct asking *a, const struct config_address *address, const struct inquiry *i) {
	const struct inquiry_facts facts = inquiry_facts(i);
	const size_t queues = count_queues(a->examine->config, a->broker);
	struct findings *f = &a->examine->findings;
	const bool external = a->broker->auth == CONFIG_AUTH_EXTERNAL;
	char buf[WHERE_MAX];

	findings_add(f, FINDING_OK, &a->place, "connection", NULL,
		     "%s: %s %s, logged in as %s%s, heartbeat %u s, at most %u channels, frames of %u bytes",
		     where(address, buf), *facts.product ? facts.product : "an unknown broker", facts.version,
		     external ? "the certificate says" : address->username, address->tls ? " over TLS" : "",
		     facts.heartbeat, facts.channel_max, facts.frame_max);
	if (queues > facts.channel_max)
		findings_add(f, FINDING_ERROR, &a->place, "channels",
			     "raise \"channel_max\" in the broker's own configuration, or name the broker twice and "
			     "divide the "
			     "queues",
			     "%s: %zu queues are configured, which need a channel each, and the broker allows %u",
			     where(address, buf), queues, facts.channel_max);
}

static void tell_refused(const struct asking *a, const struct config_address *address,
			 const struct inquiry_answer *why) {
	const bool unknown = a->examine->secrets_unknown;
	const char *hint =
		"correct username and password, or make the user known to the broker: \"rabbitmqctl add_user\"";
	char buf[WHERE_MAX];

	if (unknown)
		hint = "run this as root or in the service, or set CREDENTIALS_DIRECTORY to where the credentials are";
	else if (why->code == CODE_NOT_ALLOWED)
		hint = "make the virtual host (\"rabbitmqctl add_vhost\"), or give the user permissions there "
		       "(\"rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ\")";
	findings_add(&a->examine->findings, unknown ? FINDING_WARNING : FINDING_ERROR, &a->place, "login", hint,
		     "%s: %s%s", where(address, buf), why->reason,
		     unknown ? "; the password may be a credential that only the service has, so that nothing else can "
			       "be asked there"
			     : "");
	if (!unknown)
		a->examine->findings.refused = true;
}

static void tell_unreachable(const struct asking *a, const struct config_address *address,
			     const struct inquiry_answer *why) {
	const bool another = a->inquiry != NULL;
	const char *hint = "see whether the broker runs and listens there, and what is in between";
	char buf[WHERE_MAX];

	if (address->tls)
		hint = "see whether the broker runs and listens there, and speaks TLS with certificates that both "
		       "sides trust";
	if (strstr(why->reason, "cannot resolve"))
		hint = "correct the host in the URL, or see why this system does not know its name (\"getent hosts\")";
	if (another)
		hint = "another address works; this one is tried when that is lost";

	findings_add(&a->examine->findings, another ? FINDING_WARNING : FINDING_ERROR, &a->place, "connection", hint,
		     "%s: %s", where(address, buf), why->reason);
}

/* Tries all addresses, and keeps the first that works. */
static int try_addresses(struct asking *a) {
	const size_t n = a->broker->n_addresses;

	a->attempts = calloc(n, sizeof(*a->attempts));
	if (!a->attempts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		CLEANUP(inquiry_free) struct inquiry *inquiry = NULL;

		a->attempts[i].r = inquiry_open(a->broker, i, &inquiry, &a->attempts[i].why);
		if (a->attempts[i].r < 0)
			continue;
		tell_facts(a, &a->broker->addresses[i], inquiry);
		if (!a->inquiry) {
			a->inquiry = TAKE(inquiry);
			a->address = i;
		}
	}
	return 0;
}

static void tell_attempts(const struct asking *a) {
	bool refused = false;

	for (size_t i = 0; i < a->broker->n_addresses; i++) {
		const struct attempt *t = &a->attempts[i];

		if (t->r == -EACCES)
			tell_refused(a, &a->broker->addresses[i], &t->why);
		else if (t->r < 0)
			tell_unreachable(a, &a->broker->addresses[i], &t->why);
		refused = refused || t->r == -EACCES;
	}
	if (!a->inquiry && !refused)
		a->examine->findings.unreachable = true;
}

static void tell_lost(const struct asking *a) {
	char buf[WHERE_MAX];

	findings_add(&a->examine->findings, FINDING_ERROR, &a->place, "connection",
		     "see whether the broker still runs, and what its log says",
		     "%s: the connection was lost or no answer came, and not everything has been asked",
		     where(&a->broker->addresses[a->address], buf));
	a->examine->findings.unreachable = true;
}

/* As the daemon has one. */
static struct inquiry *publishing(void *userdata) {
	struct asking *a = userdata;
	struct inquiry_answer why;
	char buf[WHERE_MAX];

	if (a->publishing && inquiry_is_broken(a->publishing) && !inquiry_blocked(a->publishing)) {
		a->publishing = inquiry_free(a->publishing);
		a->cannot_publish = true;
		tell_lost(a);
	}
	if (a->publishing || a->cannot_publish)
		return a->publishing;
	if (inquiry_open(a->broker, a->address, &a->publishing, &why) == 0)
		return a->publishing;
	a->cannot_publish = true;
	findings_add(&a->examine->findings, FINDING_ERROR, &a->place, "connection",
		     "let the broker take two connections of the user: the daemon publishes on the second",
		     "%s, the second connection: %s", where(&a->broker->addresses[a->address], buf), why.reason);
	return NULL;
}

static void examine_broker(struct examine *c, const struct config_broker *b) {
	struct asking a = {.examine = c, .place = {b->name, NULL}, .broker = b};

	if (try_addresses(&a) < 0) {
		c->findings.failed = true;
		return;
	}
	tell_attempts(&a);
	for (size_t i = 0; a.inquiry && !inquiry_is_broken(a.inquiry) && i < c->config->n_queues; i++) {
		const struct config_queue *q = &c->config->queues[i];
		const struct examine_asked asked = {.examine = c,
						    .place = {b->name, q->name},
						    .queue = q,
						    .inquiry = a.inquiry,
						    .publishing = publishing,
						    .userdata = &a};

		if (q->broker != b || !examine_wants(c, q))
			continue;
		examine_queue(&asked);
		examine_publishing(&asked);
	}
	if (a.inquiry && inquiry_is_broken(a.inquiry))
		tell_lost(&a);
	(void)inquiry_free(a.inquiry);
	(void)inquiry_free(a.publishing);
	free(a.attempts);
}

void examine_brokers(struct examine *c) {
	for (size_t i = 0; i < c->config->n_brokers; i++)
		if (examine_wants_broker(c, &c->config->brokers[i]))
			examine_broker(c, &c->config->brokers[i]);
}
