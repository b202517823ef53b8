/* handover_page.c - what is in flight: a page of counters that the master reads without asking us.
 * handover-worker(7) describes its layout. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/handover_internal.h"

struct page_header {
	char magic[8];
	uint32_t version;
	uint32_t n_cells;
	char padding[48];
};

#define PAGE_SIZE_ALL (sizeof(struct page_header) + WORKER_CELLS * sizeof(struct worker_cell))

_Static_assert(sizeof(struct page_header) == 64, "a header is as large as a cell");
_Static_assert(sizeof(struct worker_cell) == 64, "a cell is a cache line");

/* Threads take cells in turn; 0: this one has none yet. */
static _Thread_local unsigned own_cell __attribute__((tls_model("initial-exec")));
static atomic_uint next_cell;

int page_new(struct handover *handover)
{
	static const struct page_header header = {"HANDOVER", 1, WORKER_CELLS, ""};
	int fd = memfd_create("handover-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct page_header *page;
	int r;

	if (fd == -1)
		return -errno;
	page = ftruncate(fd, (off_t)PAGE_SIZE_ALL) == 0
		   ? mmap(NULL, PAGE_SIZE_ALL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
		   : MAP_FAILED;
	if (page == MAP_FAILED) {
		r = -errno;
		close(fd);
		return r;
	}
	*page = header;
	/* whoever else gets the descriptor cannot take the memory away under us */
	(void)!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	handover->page = fd;
	handover->cells = (struct worker_cell *)(page + 1);
	return 0;
}

void page_free(struct handover *handover)
{
	if (handover->cells == NULL)
		return;
	munmap((struct page_header *)handover->cells - 1, PAGE_SIZE_ALL);
	close(handover->page);
	handover->cells = NULL;
}

static __attribute__((noinline)) unsigned cell_take(void)
{
	own_cell =
	    atomic_fetch_add_explicit(&next_cell, 1, memory_order_relaxed) % WORKER_CELLS + 1;
	return own_cell;
}

/* Only the sum counts, and nothing else rests on the order of additions: relaxed. */
static inline void cell_add(struct handover *handover, int64_t n)
{
	unsigned cell = own_cell;

	if (cell == 0)
		cell = cell_take();
	atomic_fetch_add_explicit(&handover->cells[cell - 1].count, n, memory_order_relaxed);
}

PUBLIC void handover_begin(struct handover *handover)
{
	if (handover != NULL)
		cell_add(handover, 1);
}

PUBLIC void handover_end(struct handover *handover)
{
	if (handover != NULL)
		cell_add(handover, -1);
}

PUBLIC uint64_t handover_inflight(struct handover *handover)
{
	uint64_t sum = 0;

	if (handover == NULL)
		return 0;
	for (unsigned n = 0; n < WORKER_CELLS; n++)
		sum +=
		    (uint64_t)atomic_load_explicit(&handover->cells[n].count, memory_order_relaxed);
	return (int64_t)sum > 0 ? sum : 0;
}
