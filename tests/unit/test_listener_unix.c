/* test_listener_unix.c - Unix sockets: mode and owner, left-over files, whose file it is, changes.
 */
#include "listener_support.h"

#include <dirent.h>

static void test_unix_mode_and_name(void **state)
{
	struct listener_spec spec = unix_spec(path_of("mode.sock"));
	char path[300], text[LISTENER_TEXT_MAX], expected[400];
	struct sockaddr_un un = {.sun_family = 0};
	socklen_t len = sizeof(un);
	struct listener listener;
	struct stat st;
	mode_t old;
	(void)state;

	strcpy(path, spec.path);
	spec.path = path;
	spec.mode = 0666;
	spec.group = "0"; /* a number is as good as a name */
	if (geteuid() == 0)
		spec.owner = "65534";
	else
		spec.group = NULL;
	old = umask(0077); /* our umask has no say */
	listener = open_ok(&spec);
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&un, &len), 0);
	assert_string_equal(un.sun_path, path);
	snprintf(expected, sizeof(expected), "unix %s", path);
	assert_string_equal(listener_describe(&listener, text, sizeof(text)), expected);
	assert_reached(connect_path(path));
	listener_close(&listener);
	assert_int_equal(stat(path, &st), -1);
}

static void test_unix_errors(void **state)
{
	char path[300], long_path[200];
	struct listener_spec spec;
	struct stat st;
	(void)state;

	memset(long_path, 'x', sizeof(long_path));
	memcpy(long_path, "/tmp/", 5);
	long_path[108] = '\0';
	spec = unix_spec(long_path);
	assert_open_fails(
	    &spec, ENAMETOOLONG,
	    "cannot bind unix %s: the path has 108 bytes, a socket's path may have at most 107",
	    long_path);

	spec = unix_spec("/no/such/dir/x.sock");
	assert_open_fails(
	    &spec, ENOENT,
	    "cannot bind unix /no/such/dir/x.sock: the directory /no/such/dir does not exist");
	spec.path = "/dev/null/x.sock";
	assert_open_fails(&spec, ENOTDIR,
			  "cannot bind unix /dev/null/x.sock: /dev/null is no directory");

	unit_write(directory, "plain", "precious", 8);
	strcpy(path, path_of("plain"));
	spec.path = path;
	assert_open_fails(&spec, EEXIST,
			  "cannot bind unix %s: there is a regular file in its place, which is "
			  "left alone; move it away",
			  path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8);

	strcpy(path, path_of("link"));
	assert_int_equal(symlink("nowhere", path), 0);
	assert_open_fails(&spec, EEXIST,
			  "cannot bind unix %s: there is a symbolic link in its place, which is "
			  "left alone; move it away",
			  path);
	spec.path = directory;
	assert_open_fails(&spec, EEXIST,
			  "cannot bind unix %s: there is a directory in its place, which is left "
			  "alone; move it away",
			  directory);

	strcpy(path, path_of("owner.sock"));
	spec.path = path;
	spec.owner = "no-such-user";
	assert_open_fails(&spec, ENOENT, "cannot bind unix %s: there is no user no-such-user",
			  path);
	spec.owner = NULL;
	spec.group = "no-such-group";
	assert_open_fails(&spec, ENOENT, "cannot bind unix %s: there is no group no-such-group",
			  path);
	assert_int_equal(lstat(path, &st), -1); /* nothing is left of the tries */
}

static void try_without_rights(void *arg)
{
	const char *path = arg;
	struct listener_spec spec = unix_spec(path);
	struct listener listener;
	char *error = NULL, expected[600];

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
		_exit(4);
	snprintf(expected, sizeof(expected),
		 "cannot bind unix %s: permission denied: we (uid %u) may not make files in /",
		 path, geteuid());
	if (listener_open(&spec, &listener, &error) != -EACCES)
		_exit(6);
	_exit(strcmp(error, expected) == 0 ? 0 : 7);
}

static void test_unix_without_rights(void **state)
{
	char path[] = "/handover-test.sock";
	int status;
	pid_t pid = support_fork(try_without_rights, path);
	(void)state;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void assert_no_file_like(const char *beginning)
{
	DIR *list = opendir(directory);
	const struct dirent *entry;

	while ((entry = readdir(list)) != NULL)
		if (strncmp(entry->d_name, beginning, strlen(beginning)) == 0)
			fail_msg("%s is left", entry->d_name);
	closedir(list);
}

static void test_unix_left_over_is_replaced(void **state)
{
	struct listener_spec spec = unix_spec(path_of("left.sock"));
	struct listener first, second;
	char path[300];
	(void)state;

	strcpy(path, spec.path);
	spec.path = path;
	first = open_ok(&spec);
	close(first.fd); /* as a process that died leaves it */
	free(first.path);
	assert_int_equal(connect_path(path), -ECONNREFUSED);
	second = open_ok(&spec);
	assert_reached(connect_path(path));
	listener_close(&second);
	assert_int_equal(connect_path(path), -ENOENT);
	assert_no_file_like("left.sock");
}

static void test_unix_in_use(void **state)
{
	struct listener_spec spec = unix_spec(path_of("used.sock"));
	struct support_holder holder;
	struct listener listener;
	char path[300];
	int fds[32], n = 0, fd;
	(void)state;

	strcpy(path, spec.path);
	spec.path = path;
	spec.backlog = 1;
	listener = open_ok(&spec);
	assert_open_fails(&spec, EADDRINUSE,
			  "cannot bind unix %s: address in use by this process itself", path);
	free(listener.path);
	holder = support_hold(listener.fd, worker_env);
	assert_open_fails(&spec, EADDRINUSE,
			  "cannot bind unix %s: address in use by cat (pid %d, a worker of the "
			  "instance payments)",
			  path, (int)holder.pid);
	/* A full queue is a living process, too. */
	do {
		struct sockaddr_un un = {.sun_family = AF_UNIX};

		strcpy(un.sun_path, path);
		fd = fds[n++] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(n < 32);
		fd = connect(fd, (struct sockaddr *)&un, sizeof(un));
	} while (fd == 0);
	assert_int_equal(errno, EAGAIN);
	assert_open_fails(&spec, EADDRINUSE,
			  "cannot bind unix %s: address in use by cat (pid %d, a worker of the "
			  "instance payments)",
			  path, (int)holder.pid);
	while (n > 0)
		close(fds[--n]);
	support_stop_holder(&holder);
	listener = open_ok(&spec);
	listener_close(&listener);
}

static void test_unix_foreign_file_is_not_unlinked(void **state)
{
	struct listener_spec spec = unix_spec(path_of("foreign.sock"));
	struct listener ours, theirs;
	char path[300], aside[300];
	(void)state;

	strcpy(path, spec.path);
	spec.path = path;
	strcpy(aside, path_of("aside.sock"));
	ours = open_ok(&spec);
	assert_int_equal(rename(path, aside), 0);
	theirs = open_ok(&spec);
	listener_close(&ours);
	assert_reached(connect_path(path));
	listener_close(&theirs);
	assert_int_equal(connect_path(path), -ENOENT);
	assert_int_equal(connect_path(aside), -ECONNREFUSED);
}

/* --- changing --- */

static void test_update(void **state)
{
	struct listener_spec spec = unix_spec(path_of("update.sock"));
	struct listener listener;
	unsigned waiting, limit;
	char path[300], *error = NULL;
	struct stat st;
	(void)state;

	strcpy(path, spec.path);
	spec.path = path;
	listener = open_ok(&spec);
	assert_int_equal(listener_queue(&listener, &waiting, &limit), 0);
	assert_int_equal(limit, 16);
	spec.mode = 0600;
	spec.backlog = 9;
	spec.send_buffer = 30000;
	assert_int_equal(listener_update(&listener, &spec, &error), 0);
	assert_int_equal(listener_queue(&listener, &waiting, &limit), 0);
	assert_int_equal(limit, 9);
	assert_int_equal(buffer_size(listener.fd, SO_SNDBUF), 30000);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	spec.owner = "no-such-user";
	assert_int_equal(listener_update(&listener, &spec, &error), -ENOENT);
	assert_non_null(strstr(error, "there is no user no-such-user"));
	free(error);
	error = NULL;
	spec.owner = NULL;
	unlink(path);
	unit_write(directory, "update.sock", "", 0);
	assert_int_equal(listener_update(&listener, &spec, &error), -ENOTSOCK);
	free(error);
	listener_close(&listener);
	assert_int_equal(stat(path, &st), 0); /* not ours */
}

/* It says what opening would say, and leaves everything as it is. */
static void assert_trying_is(const struct listener_spec *spec, int code, const char *words)
{
	char *error = NULL;

	assert_int_equal(listener_try(spec, &error), -code);
	if (code == 0) {
		assert_null(error);
	} else {
		assert_non_null(error);
		assert_non_null(strstr(error, words));
	}
	free(error);
}

static void test_trying(void **state)
{
	char *free_path = strdup(path_of("try.sock")), *file = strdup(path_of("try.file"));
	char *nowhere = strdup(path_of("no/try.sock"));
	struct listener_spec spec = unix_spec(free_path);
	struct listener listener;
	struct stat before, after;
	int fd;

	(void)state;
	assert_trying_is(&spec, 0, NULL);
	assert_int_equal(access(free_path, F_OK), -1);
	listener = open_ok(&spec);
	assert_trying_is(&spec, EADDRINUSE, "address in use");
	/* left over: nobody serves it any more */
	free(listener.path);
	listener.path = NULL;
	listener_close(&listener);
	assert_int_equal(stat(free_path, &before), 0);
	assert_trying_is(&spec, 0, NULL);
	assert_int_equal(stat(free_path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	unlink(free_path);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(fd);
	spec = unix_spec(file);
	assert_trying_is(&spec, EEXIST, "in its place, which is left alone");
	unlink(file);
	spec = unix_spec(nowhere);
	assert_trying_is(&spec, ENOENT, "does not exist");
	free(free_path);
	free(file);
	free(nowhere);
}

static void test_trying_a_port(void **state)
{
	struct listener_spec spec = inet_spec(SOCK_STREAM, "127.0.0.1", 0);
	struct listener other;
	uint16_t port = 0;

	(void)state;
	assert_trying_is(&spec, EINVAL, "port 0");
	for (port = 21000; port < 22000; port++) {
		spec.port = port;
		if (listener_try(&spec, NULL) == 0)
			break;
	}
	other = open_ok(&spec); /* so it was closed again */
	assert_trying_is(&spec, EADDRINUSE, "address in use");
	listener_close(&other);
	assert_trying_is(&spec, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unix_mode_and_name),
	    cmocka_unit_test(test_unix_errors),
	    cmocka_unit_test(test_unix_without_rights),
	    cmocka_unit_test(test_unix_left_over_is_replaced),
	    cmocka_unit_test(test_trying),
	    cmocka_unit_test(test_trying_a_port),
	    cmocka_unit_test(test_unix_in_use),
	    cmocka_unit_test(test_unix_foreign_file_is_not_unlinked),
	    cmocka_unit_test(test_update),
	};

	return cmocka_run_group_tests_name("listener unix", tests, set_up, tear_down);
}
