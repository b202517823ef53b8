/* test_fd_store.c - descriptors that are kept: the same one once, limits, dead ones, and what a
 * transaction that fails must not change. */
#include "unit.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "system/fd_store.h"
#include "system/proc.h"

static int memory(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* The store's own from then on, whatever becomes of it. */
static int add(struct fd_store *store, int fd, const char *name, unsigned max, bool tentative)
{
	int r = fd_store_add(store, fd, name, true, max, tentative);

	if (r != 0)
		close(fd);
	return r;
}

static const char *names(const struct fd_store *store, bool tentative)
{
	static char text[256];

	text[0] = '\0';
	for (size_t n = 0; n < store->n; n++)
		if (fd_store_shows(&store->list[n], tentative)) {
			strcat(text, store->list[n].name);
			strcat(text, " ");
		}
	return text;
}

static void test_the_same(void **state)
{
	int a = memory(), b = memory(), again = dup(a), pipes[2], first = eventfd(0, 0),
	    second = eventfd(0, 0);
	(void)state;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(fd_store_is_same(a, a));
	assert_true(fd_store_is_same(a, again));
	assert_false(fd_store_is_same(a, b));
	assert_false(fd_store_is_same(first, second)); /* they have one inode */
	assert_false(fd_store_is_same(pipes[0], pipes[1]));
	for (size_t n = 0; n < 7; n++)
		close((int[]){a, b, again, pipes[0], pipes[1], first, second}[n]);
}

static void test_kinds(void **state)
{
	char text[FD_STORE_KIND_MAX];
	int pairs[2], pipes[2];
	const struct {
		int fd;
		const char *kind;
	} rows[] = {
	    {memory(), "memfd"},
	    {eventfd(0, EFD_CLOEXEC), "eventfd"},
	    {epoll_create1(EPOLL_CLOEXEC), "eventpoll"},
	    {socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "tcp"},
	    {socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "udp"},
	    {socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), "socket"},
	    {open("/dev/null", O_RDONLY | O_CLOEXEC), "file"},
	    {open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "file"},
	};
	(void)state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		assert_string_equal(fd_store_kind(rows[n].fd, text), rows[n].kind);
		close(rows[n].fd);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_string_equal(fd_store_kind(pairs[0], text), "unix");
	assert_string_equal(fd_store_kind(pipes[0], text), "pipe");
	assert_string_equal(fd_store_kind(-1, text), "file");
	for (size_t n = 0; n < 2; n++) {
		close(pairs[n]);
		close(pipes[n]);
	}
}

static void test_limit_and_names(void **state)
{
	struct fd_store store = {.epoll = -1};
	int before = proc_count_fds(), fd = memory();
	(void)state;

	assert_int_equal(add(&store, memory(), "a", 0, false), -EXFULL);
	assert_int_equal(fd_store_add(&store, dup(fd), "a", true, 3, false), 0);
	assert_int_equal(add(&store, dup(fd), "a", 3, false), 1);
	assert_int_equal(add(&store, dup(fd), "another", 3, false), 1);
	assert_int_equal(add(&store, memory(), "a", 3, false), 0);
	assert_int_equal(add(&store, memory(), "b", 3, false), 0);
	assert_int_equal(add(&store, memory(), "c", 3, false), -EXFULL);
	assert_int_equal(add(&store, dup(fd), "c", 3, false), 1); /* full, but it is there */
	assert_string_equal(names(&store, false), "a a b ");
	for (size_t n = 0; n < store.n; n++)
		assert_int_equal(fcntl(store.list[n].fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_store_remove(&store, "a", false), 2);
	assert_int_equal(fd_store_remove(&store, "a", false), 0);
	assert_string_equal(names(&store, false), "b ");
	fd_store_clear(&store);
	assert_int_equal(store.n, 0);
	close(fd);
	assert_int_equal(proc_count_fds(), before);
}

static void test_a_transaction(void **state)
{
	struct fd_store store = {.epoll = -1};
	int before = proc_count_fds(), fd = memory();
	(void)state;

	assert_int_equal(add(&store, memory(), "old", 2, false), 0);
	assert_int_equal(add(&store, memory(), "both", 2, false), 0);
	for (int times = 0; times < 2; times++) {
		/* the new worker sees what there is, and its own changes; the old one does not */
		assert_int_equal(fd_store_remove(&store, "old", true), 1);
		assert_int_equal(fd_store_remove(&store, "old", true), 0);
		assert_int_equal(add(&store, dup(fd), "new", 2, true), 0);
		assert_int_equal(add(&store, memory(), "more", 2, true), -EXFULL);
		assert_int_equal(fd_store_count(&store, true), 2);
		assert_string_equal(names(&store, true), "both new ");
		assert_string_equal(names(&store, false), "old both ");
		if (times == 0) {
			fd_store_undo(&store);
			assert_string_equal(names(&store, false), "old both ");
			assert_string_equal(names(&store, true), "old both ");
		}
	}
	/* the old one goes on: what it removes is gone, what it adds is its own */
	assert_int_equal(fd_store_remove(&store, "both", false), 1);
	assert_int_equal(add(&store, dup(fd), "its", 2, false), 0);
	assert_string_equal(names(&store, true), "new its ");
	assert_int_equal(fd_store_commit(&store, 2), 0);
	assert_string_equal(names(&store, false), "its "); /* the same as the new one's */
	assert_int_equal(add(&store, memory(), "x", 4, true), 0);
	assert_int_equal(add(&store, memory(), "y", 4, false), 0);
	assert_int_equal(fd_store_commit(&store, 1), 2);
	assert_string_equal(names(&store, false), "its ");
	fd_store_clear(&store);
	close(fd);
	assert_int_equal(proc_count_fds(), before);
}

static void test_dead_ones(void **state)
{
	struct fd_store store = {.key = 7};
	int before = proc_count_fds(), pipes[2], pairs[2];
	uint32_t key, serial;
	char *name = NULL;
	(void)state;

	assert_int_equal(fd_store_watch_new(&store.epoll), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs), 0);
	assert_int_equal(fd_store_add(&store, memory(), "m", true, 9, false), 0);
	assert_int_equal(fd_store_add(&store, dup(pipes[0]), "kept", false, 9, false), 0);
	assert_int_equal(fd_store_add(&store, pairs[0], "s", true, 9, false), 0);
	assert_int_equal(write(pairs[1], "x", 1), 1); /* data is no death */
	assert_int_equal(fd_store_next_dead(store.epoll, &key, &serial), 0);
	close(pairs[1]);
	close(pipes[1]);
	assert_int_equal(fd_store_next_dead(store.epoll, &key, &serial), 1);
	assert_int_equal(key, 7);
	assert_true(fd_store_drop(&store, serial, &name));
	assert_string_equal(name, "s");
	free(name);
	assert_false(fd_store_drop(&store, serial, &name));
	assert_int_equal(fd_store_next_dead(store.epoll, &key, &serial), 0);
	/* one that is dead when it comes; and one that was removed is not told of, though somebody
	 * else holds it */
	assert_int_equal(fd_store_remove(&store, "kept", false), 1);
	assert_int_equal(fd_store_add(&store, dup(pipes[0]), "late", true, 9, true), 0);
	assert_int_equal(fd_store_next_dead(store.epoll, &key, &serial), 1);
	assert_true(fd_store_drop(&store, serial, &name));
	assert_string_equal(name, "late");
	free(name);
	assert_int_equal(pipe2(pairs, O_CLOEXEC), 0);
	assert_int_equal(fd_store_add(&store, dup(pairs[0]), "x", true, 9, false), 0);
	assert_int_equal(fd_store_remove(&store, "x", false), 1);
	close(pairs[1]);
	assert_int_equal(fd_store_next_dead(store.epoll, &key, &serial), 0);
	close(pairs[0]);
	close(pipes[0]);
	fd_store_clear(&store);
	close(store.epoll);
	assert_int_equal(proc_count_fds(), before);
}

/* Whatever old and new workers do: an undo leaves what the old ones alone would have, nobody sees
 * more than the limit, and no descriptor is lost. */
static void test_random(void **state)
{
	enum { MAX = 4 };
	static const char *const some[] = {"a", "b", "c"};
	uint64_t seed = unit_seed();
	struct fd_store store = {.epoll = -1}, alone = {.epoll = -1};
	int before = proc_count_fds(), fds[6];
	(void)state;

	for (size_t n = 0; n < ARRAY_LEN(fds); n++)
		fds[n] = memory();
	for (int step = 0; step < 20000; step++) {
		const char *name = some[unit_random(&seed, ARRAY_LEN(some))];
		int fd = fds[unit_random(&seed, ARRAY_LEN(fds))];
		bool tentative = unit_random(&seed, 2);

		switch (unit_random(&seed, 8)) {
		case 0:
			fd_store_undo(&store);
			break;
		case 1:
			fd_store_commit(&store, MAX);
			fd_store_clear(&alone);
			for (size_t n = 0; n < store.n; n++)
				assert_int_equal(add(&alone, dup(store.list[n].fd),
						     store.list[n].name, MAX, false),
						 0);
			break;
		case 2:
		case 3:
			fd_store_remove(&store, name, tentative);
			if (!tentative)
				fd_store_remove(&alone, name, false);
			break;
		default: {
			int r = add(&store, dup(fd), name, MAX, tentative);

			if (!tentative)
				assert_int_equal(add(&alone, dup(fd), name, MAX, false), r);
		}
		}
		assert_true(fd_store_count(&store, false) <= MAX);
		assert_true(store.n <= 2 * MAX);
		assert_int_equal(fd_store_count(&store, false), alone.n);
		for (size_t n = 0, i = 0; n < store.n; n++)
			if (fd_store_shows(&store.list[n], false)) {
				assert_string_equal(store.list[n].name, alone.list[i].name);
				assert_true(fd_store_is_same(store.list[n].fd, alone.list[i].fd));
				i++;
			}
	}
	fd_store_clear(&store);
	fd_store_clear(&alone);
	for (size_t n = 0; n < ARRAY_LEN(fds); n++)
		close(fds[n]);
	assert_int_equal(proc_count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_same),	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_limit_and_names), cmocka_unit_test(test_a_transaction),
	    cmocka_unit_test(test_dead_ones),	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
