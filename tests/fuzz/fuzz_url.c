/* SPDX-License-Identifier: MIT */
/* The address of a broker: what is taken apart is put together to something that is taken apart into the same. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/url.h"

static bool same(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void there_and_back(const struct url *u) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(url_clear) struct url again = {0};
	const char *why;

	EXPECT(u->host && *u->host && u->vhost && u->port > 0 && (u->username || !u->password));
	url_format(u, &b);
	for (const char *s = strbuf_str(&b); *s; s++)
		EXPECT(*s > ' ' && *s < 0x7f);
	EXPECT(url_parse(strbuf_str(&b), &again, &why) == 0);
	EXPECT(again.tls == u->tls && again.port == u->port);
	EXPECT(same(again.host, u->host) && same(again.vhost, u->vhost) && same(again.username, u->username));
	EXPECT(!again.password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	CLEANUP(url_clear) struct url u = {0};
	char *text = strndup((const char *)data, size);
	const char *why = NULL;
	int r;

	EXPECT(text);
	r = url_parse(text, &u, &why);
	free(text);
	if (r == 0)
		there_and_back(&u);
	else
		EXPECT(r == -EINVAL && why && *why);
	return 0;
}
