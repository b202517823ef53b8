/*
 * identity.h - which file an executable is, and whether that is still the file that it was.
 *
 * Device and inode say which file; size and mtime whether it was written to since; the build id
 * (NT_GNU_BUILD_ID, see elf(5)) what is in it, for people and across copies.
 */
#ifndef SYSTEM_IDENTITY_H
#define SYSTEM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IDENTITY_BUILD_ID_MAX = 32,				/* bytes; longer ones are cut */
	IDENTITY_BUILD_ID_TEXT = 2 * IDENTITY_BUILD_ID_MAX + 1, /* in hexadecimal, with the NUL */
};

/* All zeros: not known. */
struct identity {
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
	unsigned build_id_len; /* 0: it has none, or may not be read */
	uint8_t build_id[IDENTITY_BUILD_ID_MAX];
};

/* Of an open file; fd may be O_PATH. A build id that cannot be read is none. 0 or -errno. */
int identity_read(int fd, struct identity *ret_identity);
/* Of the file that path leads to. 0 or -errno. */
int identity_read_path(const char *path, struct identity *ret_identity);

bool identity_is_known(const struct identity *identity);
/* Is it the same file, whatever is in it? */
bool identity_is_same_file(const struct identity *a, const struct identity *b);
/* NULL: the same (or both not known); else in words: "replaced" (another file), "changed in place"
 * (the same file was written to), "gone" (no longer known), "appeared" (was not known). */
const char *identity_change(const struct identity *before, const struct identity *now);
/*
 * May what is in the file be taken for unchanged? As identity_change(), but it is no change where a
 * file with a build id only got another mtime (touch).
 */
bool identity_has_same_content(const struct identity *before, const struct identity *now);

/* The build id in hexadecimal, "" without one. text has IDENTITY_BUILD_ID_TEXT bytes. Returns text.
 */
char *identity_format_build_id(const struct identity *identity, char *text);

/*
 * The build id of an ELF file of our byte order; reads at most some KiB, whatever the file says.
 * Returns its length (at most size; the rest is cut off), 0 if it has none or is no such file, or
 * -errno.
 */
int identity_read_build_id(int fd, uint8_t *id, size_t size);

#endif
