/* unit.h - what the unit tests share: cmocka with the headers that it wants before it, and files in
 * a directory of their own. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* For loops that wait for another process or thread. */
static inline void unit_nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

/* A new directory; removed with all that is in it by unit_remove(). */
static inline char *unit_directory(void)
{
	char *path = strdup("/tmp/handover-unit-XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	return path;
}

static inline int unit_remove_one(const char *path, const struct stat *st, int flag,
				  struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void unit_remove(char *directory)
{
	nftw(directory, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(directory);
}

/* Writes a file below directory, and its directories. */
static inline void unit_write(const char *directory, const char *name, const void *data, size_t len)
{
	char path[512];
	char *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	for (slash = strchr(path + strlen(directory) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* A seed for random tests: of the environment (to repeat a failure), else of the kernel. It is
 * printed. */
static inline uint64_t unit_seed(void)
{
	const char *text = getenv("SEED");
	uint64_t seed = 1;

	if (text != NULL)
		seed = strtoull(text, NULL, 0);
	else if (getentropy(&seed, sizeof(seed)) != 0)
		seed = 1;
	print_message("SEED=0x%llx\n", (unsigned long long)seed);
	return seed | 1;
}

/* Cases of a random test: n, or a part of them where a checker makes each take long. */
static inline int unit_rounds(int n)
{
	const char *part = getenv("HANDOVER_CASES_PART");

	return part != NULL && atoi(part) > 0 ? n / atoi(part) : n;
}

/* xorshift64*: a number from 0 to n - 1. */
static inline uint32_t unit_random(uint64_t *state, uint32_t n)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return n == 0 ? 0 : (uint32_t)((*state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

#endif
