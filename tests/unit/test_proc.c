/* test_proc.c - real sockets in real processes, found again through /proc. */
#include "support.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/proc.h"

static char *directory;

static char *worker_env[] = {(char *)"PATH=/bin:/usr/bin",
			     (char *)"HANDOVER_INSTANCE=payments",
			     (char *)"HANDOVER_POOL=api",
			     (char *)"HANDOVER_SLOT=3",
			     (char *)"HANDOVER_GENERATION=17",
			     (char *)"NOTIFY_SOCKET=@handover/0123",
			     (char *)"HANDOVER_POOL=second-one-does-not-count",
			     NULL};
static char *other_env[] = {(char *)"A=b", NULL};

/* --- holders of addresses --- */

static struct sockaddr_storage inet_address(const char *host, uint16_t port, socklen_t *ret_len)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		*ret_len = sizeof(*in);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*ret_len = sizeof(*in6);
	}
	return address;
}

static struct sockaddr_storage unix_address(const char *path, socklen_t *ret_len)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	struct sockaddr_un *un = (struct sockaddr_un *)&address;

	memcpy(un->sun_path, path, strlen(path));
	if (path[0] == '@')
		un->sun_path[0] = '\0';
	*ret_len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (path[0] != '@'));
	return address;
}

static int open_bound(const struct sockaddr_storage *address, socklen_t len, int type)
{
	int fd = socket(address->ss_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 10), 0);
	return fd;
}

static int find(const struct sockaddr_storage *address, socklen_t len, int type,
		struct proc_holder *holder)
{
	return proc_find_holder((const struct sockaddr *)address, len, type, holder);
}

static void assert_found(const struct sockaddr_storage *address, socklen_t len, int type, pid_t pid)
{
	struct proc_holder found = {.pid = -1};

	assert_int_equal(find(address, len, type, &found), 0);
	assert_int_equal(found.pid, pid);
	assert_int_equal(found.uid, getuid());
	assert_string_equal(found.name, "cat");
	assert_string_equal(found.instance, "payments");
}

static void test_inet_holders(void **state)
{
	static const struct {
		const char *bound, *asked;
		bool clash;
	} rows[] = {
	    {"127.0.0.1", "127.0.0.1", true},
	    {"127.0.0.1", "0.0.0.0", true},
	    {"0.0.0.0", "127.0.0.1", true},
	    {"127.0.0.1", "127.0.0.2", false},
	    {"::1", "::1", true},
	    {"::", "::1", true},
	    {"::1", "::", true},
	    {"::", "127.0.0.1", true},
	    {"127.0.0.1", "::", true},
	    {"127.0.0.1", "::ffff:127.0.0.1", true},
	    {"::1", "127.0.0.1", false},
	    {"::1", "0.0.0.0", false},
	    {"0.0.0.0", "::1", false},
	    {"0.0.0.0", "::", true},
	};
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	struct sockaddr_storage address;
	struct proc_holder found;
	struct support_holder holder;
	socklen_t len;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
		uint16_t port = support_free_port();
		int type = types[i % 2];

		address = inet_address(rows[i / 2].bound, port, &len);
		holder = support_hold(open_bound(&address, len, type), worker_env);
		address = inet_address(rows[i / 2].asked, port, &len);
		if (rows[i / 2].clash)
			assert_found(&address, len, type, holder.pid);
		else
			assert_int_equal(find(&address, len, type, &found), -ENOENT);
		assert_int_equal(
		    find(&address, len, type == SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM, &found),
		    -ENOENT);
		support_stop_holder(&holder);
		assert_int_equal(find(&address, len, type, &found), -ENOENT);
	}
}

/* An outgoing connection can sit on a port as well. */
static void test_connection_on_the_port(void **state)
{
	uint16_t port = support_free_port(), own = support_free_port();
	struct sockaddr_storage address, from;
	struct support_holder holder;
	socklen_t len;
	int server, client;
	(void)state;

	address = inet_address("127.0.0.1", port, &len);
	server = open_bound(&address, len, SOCK_STREAM);
	from = inet_address("127.0.0.1", own, &len);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(client, (struct sockaddr *)&from, len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	holder = support_hold(client, worker_env);
	assert_found(&from, len, SOCK_STREAM, holder.pid);
	support_stop_holder(&holder);
	close(server);
}

static void test_unix_holders(void **state)
{
	struct sockaddr_storage address, moved;
	char path[200], other[200], abstract[100];
	struct proc_holder found;
	struct support_holder holder;
	socklen_t len, moved_len;
	(void)state;

	snprintf(path, sizeof(path), "%s/a.sock", directory);
	snprintf(other, sizeof(other), "%s/b.sock", directory);
	snprintf(abstract, sizeof(abstract), "@%s/abstract", directory);
	for (int i = 0; i < 2; i++) {
		int type = i == 0 ? SOCK_STREAM : SOCK_DGRAM;

		address = unix_address(path, &len);
		holder = support_hold(open_bound(&address, len, type), worker_env);
		assert_found(&address, len, type, holder.pid);
		/* Its file has another name now than the one it was bound to. */
		assert_int_equal(rename(path, other), 0);
		moved = unix_address(other, &moved_len);
		assert_found(&moved, moved_len, type, holder.pid);
		support_stop_holder(&holder);
		assert_int_equal(find(&moved, moved_len, type, &found),
				 -ENOENT); /* the file alone */
		unlink(other);
	}
	address = unix_address(abstract, &len);
	holder = support_hold(open_bound(&address, len, SOCK_STREAM), worker_env);
	assert_found(&address, len, SOCK_STREAM, holder.pid);
	support_stop_holder(&holder);
	assert_int_equal(find(&address, len, SOCK_STREAM, &found), -ENOENT);
}

/* A process that was only accepted there holds a socket of that name, too, and is not meant. */
static void test_accepted_connections_do_not_count(void **state)
{
	struct sockaddr_storage address;
	struct proc_holder found;
	struct support_holder holder;
	int server, client;
	char path[200];
	socklen_t len;
	(void)state;

	snprintf(path, sizeof(path), "%s/c.sock", directory);
	address = unix_address(path, &len);
	server = open_bound(&address, len, SOCK_STREAM);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	holder = support_hold(accept4(server, NULL, NULL, SOCK_CLOEXEC), worker_env);
	assert_int_equal(find(&address, len, SOCK_STREAM, &found), 0);
	assert_int_equal(found.pid, getpid());
	close(server);
	assert_int_equal(find(&address, len, SOCK_STREAM, &found), -ENOENT);
	close(client);
	support_stop_holder(&holder);
}

static void test_holder_without_instance(void **state)
{
	struct sockaddr_storage address;
	struct proc_holder found;
	struct support_holder holder;
	socklen_t len;
	(void)state;

	address = inet_address("127.0.0.1", support_free_port(), &len);
	holder = support_hold(open_bound(&address, len, SOCK_STREAM), other_env);
	assert_int_equal(find(&address, len, SOCK_STREAM, &found), 0);
	assert_int_equal(found.pid, holder.pid);
	assert_string_equal(found.instance, "");
	support_stop_holder(&holder);
}

static void test_addresses_that_make_no_sense(void **state)
{
	struct sockaddr_storage address = {.ss_family = AF_NETLINK};
	struct proc_holder found;
	(void)state;

	assert_int_equal(find(&address, sizeof(address), SOCK_STREAM, &found), -EINVAL);
	address.ss_family = AF_INET6;
	assert_int_equal(find(&address, sizeof(struct sockaddr_in), SOCK_STREAM, &found), -EINVAL);
	address.ss_family = AF_UNIX;
	assert_int_equal(find(&address, sizeof(sa_family_t), SOCK_STREAM, &found), -EINVAL);
}

/* --- processes --- */

static void test_origin(void **state)
{
	struct support_holder worker = support_hold(-1, worker_env),
			      other = support_hold(-1, other_env);
	struct proc_origin origin;
	pid_t gone = other.pid;
	(void)state;

	assert_int_equal(proc_read_origin(worker.pid, &origin), 0);
	assert_string_equal(origin.instance, "payments");
	assert_string_equal(origin.pool, "api");
	assert_int_equal(origin.slot, 3);
	assert_int_equal(origin.generation, 17);
	assert_string_equal(origin.notify, "@handover/0123");
	assert_int_equal(proc_read_origin(other.pid, &origin), -ENOENT);
	support_stop_holder(&other);
	assert_int_equal(proc_read_origin(gone, &origin), -ENOENT);
	support_stop_holder(&worker);
}

static void test_origin_that_is_not_ours(void **state)
{
	static char long_pool[200] = "HANDOVER_POOL=";
	char *rows[][5] = {
	    {(char *)"HANDOVER_INSTANCE=i", (char *)"HANDOVER_POOL=p", (char *)"HANDOVER_SLOT=-1",
	     (char *)"HANDOVER_GENERATION=1", NULL},
	    {(char *)"HANDOVER_INSTANCE=i", (char *)"HANDOVER_POOL=p", (char *)"HANDOVER_SLOT=1",
	     (char *)"HANDOVER_GENERATION=99999999999999999999", NULL},
	    {(char *)"HANDOVER_INSTANCE=i", long_pool, (char *)"HANDOVER_SLOT=1",
	     (char *)"HANDOVER_GENERATION=1", NULL},
	    {(char *)"XHANDOVER_INSTANCE=i", (char *)"HANDOVER_POOL=p", (char *)"HANDOVER_SLOT=1",
	     (char *)"HANDOVER_GENERATION=1", NULL},
	};
	struct proc_origin origin;
	(void)state;

	memset(long_pool + strlen(long_pool), 'x', 150);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct support_holder holder = support_hold(-1, rows[i]);

		assert_int_equal(proc_read_origin(holder.pid, &origin), -ENOENT);
		support_stop_holder(&holder);
	}
}

static void test_stat(void **state)
{
	struct support_holder holder = support_hold(-1, other_env);
	struct proc_stat self, child, again;
	pid_t gone = holder.pid;
	(void)state;

	assert_int_equal(prctl(PR_SET_NAME, "a) R (b"),
			 0); /* a name that looks like the fields behind it */
	assert_int_equal(proc_read_stat(getpid(), &self), 0);
	assert_int_equal(self.state, 'R');
	assert_int_equal(self.ppid, getppid());
	assert_int_equal(self.pgrp, getpgrp());
	assert_int_equal(self.session, getsid(0));
	assert_int_equal(proc_read_stat(holder.pid, &child), 0);
	assert_int_equal(child.ppid, getpid());
	assert_int_equal(child.pgrp, holder.pid);
	assert_int_equal(child.session, holder.pid);
	assert_true(child.start_time >= self.start_time && self.start_time > 0);
	kill(holder.pid, SIGKILL);
	assert_true(support_wait(holder.pidfd, POLLIN));
	assert_int_equal(proc_read_stat(holder.pid, &again), 0);
	assert_int_equal(again.state, 'Z');
	assert_true(again.start_time == child.start_time);
	support_stop_holder(&holder);
	assert_int_equal(proc_read_stat(gone, &again), -ENOENT);
}

struct children {
	pid_t pids[16];
	int n, stop_after;
};

static int note_child(pid_t pid, void *arg)
{
	struct children *children = arg;

	assert_true(children->n < 16);
	children->pids[children->n++] = pid;
	return children->n == children->stop_after;
}

static void check_children(int (*walk)(int (*each)(pid_t pid, void *arg), void *arg))
{
	struct children children = {.n = 0}, one = {.stop_after = 1};
	struct support_holder holders[3];

	for (int i = 0; i < 3; i++)
		holders[i] = support_hold(-1, other_env);
	kill(holders[1].pid, SIGKILL);
	assert_true(support_wait(holders[1].pidfd, POLLIN)); /* a zombie is a child, too */
	assert_int_equal(walk(note_child, &children), 0);
	assert_int_equal(children.n, 3);
	for (int i = 0; i < 3; i++) {
		bool found = false;

		for (int k = 0; k < 3; k++)
			found |= children.pids[k] == holders[i].pid;
		assert_true(found);
	}
	assert_int_equal(walk(note_child, &one), 0);
	assert_int_equal(one.n, 1);
	for (int i = 0; i < 3; i++)
		support_stop_holder(&holders[i]);
	children.n = 0;
	assert_int_equal(walk(note_child, &children), 0);
	assert_int_equal(children.n, 0);
}

static void test_each_child(void **state)
{
	(void)state;
	check_children(proc_each_child);
	check_children(proc_walk_children);
}

static void test_count_fds(void **state)
{
	int before = proc_count_fds(), open_now = 0, fds[5];
	(void)state;

	for (int fd = 0; fd < 1024; fd++)
		open_now += fcntl(fd, F_GETFD) != -1;
	assert_int_equal(before, open_now);
	for (int i = 0; i < 5; i++)
		fds[i] = dup(0);
	assert_int_equal(proc_count_fds(), before + 5);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	assert_int_equal(proc_count_fds(), before);
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
	    cmocka_unit_test(test_inet_holders),
	    cmocka_unit_test(test_connection_on_the_port),
	    cmocka_unit_test(test_unix_holders),
	    cmocka_unit_test(test_accepted_connections_do_not_count),
	    cmocka_unit_test(test_holder_without_instance),
	    cmocka_unit_test(test_addresses_that_make_no_sense),
	    cmocka_unit_test(test_origin),
	    cmocka_unit_test(test_origin_that_is_not_ours),
	    cmocka_unit_test(test_stat),
	    cmocka_unit_test(test_each_child),
	    cmocka_unit_test(test_count_fds),
	};

	return cmocka_run_group_tests_name("proc", tests, set_up, tear_down);
}
