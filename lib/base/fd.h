/* fd.h - ownership of descriptors and memory: cleanup attributes, and an explicit take to give
 * away. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* Closes fd if it is >= 0, keeps errno, and returns -1: `fd = fd_close(fd);`. */
int fd_close(int fd);

/* The same for one that somebody else made: with SO_LINGER close(2) would wait for the network,
 * also on a socket that does not block, so that is switched off first. */
int fd_close_now(int fd);

/* Sets O_NONBLOCK on fd. Never clears it: the flag is shared by all holders. Returns 0 or -errno.
 */
int fd_set_nonblock(int fd);

/* Sets FD_CLOEXEC on fd. Returns 0 or -errno. */
int fd_set_cloexec(int fd);

/*
 * Moves a descriptor that stays open for long out of the low numbers (close-on-exec). What is
 * handed to a new process then has a low number, and its table of descriptors is as small as that:
 * otherwise each start would cost more, the more processes there are. Returns the new number, or
 * the old one where it cannot be moved.
 */
int fd_park(int fd);

/*
 * How many descriptors can still be opened below RLIMIT_NOFILE, as far as that matters: at most
 * `enough`. One system call where the highest numbers are free, which they nearly always are.
 */
unsigned fd_count_free(unsigned enough);

/*
 * Reads the whole of a small file into memory that the caller frees; a NUL is added behind it.
 * At most max bytes: a larger one is -EFBIG, so that no file can make us take memory without end.
 * Works on files without a size (/proc). Refuses what is no regular file with -EISDIR or -EINVAL.
 * ret_len may be NULL. Returns 0 or -errno.
 */
int fd_read_file(const char *path, size_t max, char **ret_text, size_t *ret_len);

static inline void fd_cleanup_close(int *fd)
{
	fd_close(*fd);
}

static inline void fd_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void fd_cleanup_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

#define cleanup_close __attribute__((cleanup(fd_cleanup_close)))
#define cleanup_free  __attribute__((cleanup(fd_cleanup_free)))
#define cleanup_file  __attribute__((cleanup(fd_cleanup_file)))

/* Gives the descriptor away: the variable no longer owns it. */
#define TAKE_FD(fd)                  \
	({                           \
		int take_fd_ = (fd); \
		(fd) = -1;           \
		take_fd_;            \
	})

/* Gives the pointer away: the variable no longer owns what it led to. */
#define TAKE_PTR(p)                            \
	({                                     \
		__typeof__(p) take_ptr_ = (p); \
		(p) = NULL;                    \
		take_ptr_;                     \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
