/* stamps.h - what idle workers write down: a file of records that all of them map. bench.py reads
 * it. */
#ifndef TESTS_BENCH_STAMPS_H
#define TESTS_BENCH_STAMPS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { STAMPS_MAX = 65535 };

/* One start of a worker. Times are CLOCK_MONOTONIC, in nanoseconds; 0: not yet. */
struct stamp {
	uint64_t first; /* its first instruction, or as near as main() is to it; written last */
	uint64_t ready;
	int32_t pid;
	uint32_t unused;
	uint64_t unused_too;
};

struct stamps {
	uint32_t n; /* records that were taken */
	uint32_t unused[7];
	struct stamp stamp[STAMPS_MAX];
};

static inline uint64_t stamps_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A record of one's own in the file at path (which has its full size already), or NULL. */
static inline struct stamp *stamps_take(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stamps *stamps;
	uint32_t place;

	if (fd == -1)
		return NULL;
	stamps = mmap(NULL, sizeof(*stamps), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (stamps == MAP_FAILED)
		return NULL;
	place = __atomic_fetch_add(&stamps->n, 1, __ATOMIC_RELAXED);
	return place < STAMPS_MAX ? &stamps->stamp[place] : NULL;
}

#endif
