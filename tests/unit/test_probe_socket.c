/* test_probe_socket.c - a socket that nobody else can reach, and who answers on a connection: with
 * real sockets and processes. */
#include "support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "system/probe_socket.h"
#include "unit.h"

static char *directory;

static int connect_to(const void *address, socklen_t len)
{
	const struct sockaddr *sockaddr = address;
	int fd = socket(sockaddr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, sockaddr, len) == 0 || errno == EINPROGRESS)
		return fd;
	len = (socklen_t)errno;
	close(fd);
	return -(int)len;
}

static int connect_probe(int file)
{
	struct sockaddr_un address;

	probe_socket_address(file, &address);
	return connect_to(&address, sizeof(address));
}

static void test_reached_by_its_file_alone(void **state)
{
	cleanup_close int listener = -1, file = -1, conn = -1;
	char path[256];

	(void)state;
	assert_int_equal(probe_socket_open(directory, &listener, &file), 0);
	snprintf(path, sizeof(path), "%s/probe.sock", directory);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(listener, F_GETFL) & O_NONBLOCK) != 0);
	conn = connect_probe(file);
	assert_true(conn >= 0);
	listener = fd_close(listener);
	assert_int_equal(connect_probe(file), -ECONNREFUSED);
}

static void test_one_is_not_the_other(void **state)
{
	cleanup_close int a = -1, a_file = -1, b = -1, b_file = -1, conn = -1, accepted = -1;

	(void)state;
	assert_int_equal(probe_socket_open(directory, &a, &a_file), 0);
	assert_int_equal(probe_socket_open(directory, &b, &b_file), 0);
	conn = connect_probe(b_file);
	assert_true(conn >= 0);
	assert_int_equal(accept(a, NULL, NULL), -1);
	accepted = accept(b, NULL, NULL);
	assert_true(accepted >= 0);
}

/* What a killed master left is taken away; a directory that is gone is told of. */
static void test_leftovers(void **state)
{
	cleanup_close int listener = -1, file = -1;

	(void)state;
	unit_write(directory, "probe.sock", "x", 1);
	assert_int_equal(probe_socket_open(directory, &listener, &file), 0);
	assert_int_equal(probe_socket_open("/no/such", &listener, &file), -ENOENT);
	assert_int_equal(probe_socket_open("/a/very/long/name/that/goes/on/and/on/and/on/and/on/"
					   "and/on/and/on/and/on/and/on/and/on/and/on/and/on",
					   &listener, &file),
			 -ENAMETOOLONG);
}

static int listen_at_loopback(struct sockaddr_in *ret_address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret_address);

	*ret_address =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)ret_address, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &len), 0);
	return fd;
}

/* A child that accepts once (of its own, or in a grandchild) and holds on to it. */
static pid_t holder(int listener, bool grandchild)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	setsid();
	if (grandchild && fork() != 0) {
		close(listener);
		wait(NULL);
		_exit(0);
	}
	if (accept(listener, NULL, NULL) == -1)
		_exit(1);
	pause();
	_exit(0);
}

static int wait_for_owner(int conn, pid_t pid)
{
	int r = -EAGAIN;

	for (int i = 0; i < 10000 && r == -EAGAIN; i++) {
		r = probe_socket_belongs(conn, pid);
		if (r == -EAGAIN)
			unit_nap();
	}
	return r;
}

static void check_holder(bool grandchild)
{
	struct sockaddr_in address;
	cleanup_close int listener = listen_at_loopback(&address), conn = -1;
	pid_t pid;

	conn = connect_to(&address, sizeof(address));
	assert_int_equal(probe_socket_belongs(conn, getpid()), -EAGAIN);
	pid = holder(listener, grandchild);
	assert_int_equal(wait_for_owner(conn, pid), 1);
	/* it is our child, too; but init's is not */
	assert_int_equal(probe_socket_belongs(conn, getpid()), 1);
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(probe_socket_belongs(conn, pid) == 1, 0);
}

static void test_tcp_is_whose_that_accepted(void **state)
{
	(void)state;
	check_holder(false);
	check_holder(true);
}

static void test_tcp_of_another_process(void **state)
{
	struct sockaddr_in address;
	cleanup_close int listener = listen_at_loopback(&address), conn = -1, accepted = -1;
	pid_t stranger = fork();

	(void)state;
	if (stranger == 0) {
		pause();
		_exit(0);
	}
	conn = connect_to(&address, sizeof(address));
	fcntl(listener, F_SETFL, 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	assert_int_equal(probe_socket_belongs(conn, stranger), 0);
	assert_int_equal(probe_socket_belongs(conn, getpid()), 1);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
	assert_int_equal(probe_socket_belongs(conn, stranger), -ESRCH);
}

static void test_unix_is_whose_that_listens(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_close int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), conn = -1;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/own.sock", directory);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	conn = connect_to(&address, sizeof(address));
	assert_true(conn >= 0);
	assert_int_equal(probe_socket_belongs(conn, getpid()), 1);
	assert_int_equal(probe_socket_belongs(conn, 1), 0);
}

static int set_up(void **state)
{
	(void)state;
	directory = unit_directory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reached_by_its_file_alone),
	    cmocka_unit_test(test_one_is_not_the_other),
	    cmocka_unit_test(test_leftovers),
	    cmocka_unit_test(test_tcp_is_whose_that_accepted),
	    cmocka_unit_test(test_tcp_of_another_process),
	    cmocka_unit_test(test_unix_is_whose_that_listens),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
