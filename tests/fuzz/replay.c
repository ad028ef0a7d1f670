/* SPDX-License-Identifier: MIT */
/* Runs every input of a target's corpus through it, in an ordinary build: what was found once stays found. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX 1048576

/* Of exactly `size` bytes, so that a sanitizer sees what is read beyond them. */
static void replay(const char *path) {
	static uint8_t buffer[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	EXPECT(f);
	size = fread(buffer, 1, sizeof(buffer), f);
	EXPECT(!ferror(f) && feof(f));
	(void)fclose(f);
	data = malloc(size ? size : 1);
	EXPECT(data);
	memcpy(data, buffer, size);
	EXPECT(LLVMFuzzerTestOneInput(data, size) == 0);
	free(data);
}

int main(void) {
	struct dirent **entries;
	int n = scandir(TEST_SRCDIR "/tests/fuzz/corpus/" CORPUS, &entries, NULL, alphasort), inputs = 0;
	char path[4096];

	EXPECT(n >= 0);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			(void)snprintf(path, sizeof(path), "%s/%s", TEST_SRCDIR "/tests/fuzz/corpus/" CORPUS, entries[i]->d_name);
			(void)fprintf(stderr, "%s\n", entries[i]->d_name);
			replay(path);
			inputs++;
		}
		free(entries[i]);
	}
	free(entries);
	EXPECT(inputs > 0);
	/* As the unit tests say it, for scripts/test. */
	(void)printf("100%%: Checks: %d, Failures: 0, Errors: 0\n", inputs);
	return 0;
}
