/* SPDX-License-Identifier: MIT */
/* Templates as a file gives them: what is wrong with one, and which name was meant. */
#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/reader.h"
#include "message/template.h"

#define OPEN "%{"

/* Names of a message's headers are anybody's. */
#define HEADER "header:"

/* "there is no ... here; did you mean ...?" of a name that is not among the known ones. */
static void append_unknown(const char *name, struct strbuf *b) {
	struct closest closest;

	strbuf_append_str(b, "there is no " OPEN);
	strbuf_append_escaped(b, name, strlen(name));
	strbuf_append_str(b, "}; ");
	closest_init(&closest, name);
	for (size_t i = 0; template_names[i]; i++)
		closest_consider(&closest, template_names[i]);
	if (closest.best) {
		strbuf_printf(b, "did you mean %%{%s}?", closest.best);
		return;
	}
	strbuf_append_str(b, "the names are ");
	for (size_t i = 0; template_names[i]; i++)
		strbuf_printf(b, "%s, ", template_names[i]);
	strbuf_append_str(b, HEADER "NAME");
}

bool templates_check(struct reader *r, const config_setting_t *s) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	CLEANUP(template_clear) struct template t = {0};
	struct template_error error;
	int result = template_parse(setting_string(s), &t, &error);

	if (result == -EINVAL) {
		if (error.name[0])
			append_unknown(error.name, &b);
		else
			strbuf_printf(&b, "%s (at byte %zu)", error.text, error.offset + 1);
		reader_problem(r, s, "%s", strbuf_str(&b));
		if (b.failed)
			(void)reader_check(r, -ENOMEM);
	} else if (result < 0) {
		(void)reader_check(r, result);
	}
	return result == 0;
}
