/* SPDX-License-Identifier: MIT */
/* An empty folder of its own for each test, which is its working directory and is removed afterwards. */
#pragma once

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_path[4096];

static inline void scratch_setup(void) {
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(scratch_path, sizeof(scratch_path), "%s/execd-test-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(scratch_path));
	ck_assert_int_eq(chdir(scratch_path), 0);
	(void)umask(022);
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw) {
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_teardown(void) {
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(nftw(scratch_path, scratch_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes a file of the scratch folder, with this mode whatever the umask is. */
static inline void scratch_write(const char *name, mode_t mode, const char *content) {
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(content, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}
