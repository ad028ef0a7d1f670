/* SPDX-License-Identifier: MIT */
#include "handler/body.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

int body_view_open(const struct message *m, struct body_view *ret) {
	struct body_view v = {.data = m->body ? m->body : "", .len = (size_t)m->body_size};

	assert(m->body_state == BODY_COMPLETE);
	if (m->body_fd >= 0 && v.len > 0) {
		/* It is sealed: it cannot shrink under the mapping. */
		v.mapping = mmap(NULL, v.len, PROT_READ, MAP_PRIVATE, m->body_fd, 0);
		if (v.mapping == MAP_FAILED)
			return -errno;
		v.data = v.mapping;
	}
	*ret = v;
	return 0;
}

void body_view_close(struct body_view *v) {
	if (v->mapping)
		munmap(v->mapping, v->len);
	*v = (struct body_view){0};
}
