/*
 * fuzz.h - what the fuzz targets share. A target is a file fuzz_NAME.c with the function below; it
 * has seeds in seeds/NAME and may have words in NAME.dict. It holds what it reads against rules
 * that do not depend on the input, so that more than crashes is found.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A rule: where it does not hold, the input is a finding. */
#define FUZZ_RULE(rule)                                                                         \
	do {                                                                                    \
		if (!(rule)) {                                                                  \
			fprintf(stderr, "%s:%d: broken rule: %s\n", __FILE__, __LINE__, #rule); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The input as a string: up to its first NUL, in memory of its exact size. */
static inline char *fuzz_string(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	FUZZ_RULE(text != NULL);
	if (len > 0)
		memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

/* A file without a name; its path is written into path. */
static inline int fuzz_file(char path[static 64])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_RULE(fd >= 0);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static inline void fuzz_fill(int fd, const void *data, size_t len)
{
	FUZZ_RULE(ftruncate(fd, 0) == 0);
	FUZZ_RULE(pwrite(fd, data, len, 0) == (ssize_t)len);
}

/* What may go to a terminal: valid UTF-8 without control characters but tabs. Not parse_printable()
 * itself, which is what is tested. */
static inline bool fuzz_is_printable(const char *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = parse_utf8(text + i, len - i);
		if (n == 0 || (c < 0x20 && c != '\t') || c == 0x7f ||
		    (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0))
			return false;
	}
	return true;
}

#endif
