/* test_fd.c - descriptors that move out of the way. */
#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fd.h"

enum { LOWEST_PARKED = 512 };

static void test_park_moves_up(void **state)
{
	int pipes[2], parked;
	char c = 0;
	(void)state;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(pipes[0] < LOWEST_PARKED);
	parked = fd_park(pipes[0]);
	assert_true(parked >= LOWEST_PARKED);
	assert_int_equal(fcntl(parked, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(pipes[0], F_GETFD), -1); /* the old number is free */
	assert_int_equal(errno, EBADF);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(read(parked, &c, 1), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(fd_park(parked), parked); /* it is where it should be */
	fd_close(parked);
	fd_close(pipes[1]);
}

static void test_park_without_room(void **state)
{
	struct rlimit before, tight;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)state;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = (struct rlimit){.rlim_cur = LOWEST_PARKED, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(fd_park(fd), fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fd_park(-1), -1);
	fd_close(fd);
}

static void test_count_free(void **state)
{
	struct rlimit before, tight;
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned n_free;
	(void)state;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fd_count_free(40), 40);
	for (rlim_t limit = 0; limit < 200; limit += 7) {
		int opened[200];
		unsigned n = 0;

		tight = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		errno = 4711;
		n_free = fd_count_free(200);
		assert_int_equal(errno, 4711);
		assert_int_equal(fd_count_free(5), n_free < 5 ? n_free : 5);
		while ((opened[n] = fcntl(first, F_DUPFD_CLOEXEC, 0)) != -1) {
			n++;
			assert_int_equal(fd_count_free(200), n_free - n);
		}
		assert_int_equal(n, n_free);
		while (n > 0)
			close(opened[--n]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fd_close(first);
}

/* What the network has not taken yet must not hold up whoever closes the last descriptor. */
static void test_close_now(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	static char data[1 << 20];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	struct timespec begin, end;
	(void)state;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
	peer = accept(listener, NULL, NULL); /* who never reads */
	assert_int_equal(fd_set_nonblock(fd), 0);
	while (write(fd, data, sizeof(data)) > 0)
		continue;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER,
				    &(struct linger){.l_onoff = 1, .l_linger = 20},
				    sizeof(struct linger)),
			 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(fd_close_now(fd), -1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec < 10);
	assert_int_equal(fd_close_now(-1), -1);
	assert_int_equal(fd_close_now(listener), -1);
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_park_moves_up),
	    cmocka_unit_test(test_close_now),
	    cmocka_unit_test(test_park_without_room),
	    cmocka_unit_test(test_count_free),
	};

	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
