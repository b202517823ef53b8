/* test_worker_sockets.c - libhandover's sockets, inherited and sent, and a listener's last moments.
 */
#include "worker_support.h"

#include <sys/resource.h>

/* As exec would leave them: from FIRST_FD on, without close-on-exec. */
static void bequeath(int n, const int *fds, const char *names)
{
	char text[16];
	int spare[8];

	for (int i = 0; i < n; i++) /* out of the way of each other */
		assert_int_not_equal(spare[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64), -1);
	for (int i = 0; i < n; i++) {
		assert_int_not_equal(dup2(spare[i], FIRST_FD + i), -1);
		close(spare[i]);
	}
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
}

/* Listening sockets above those that are to be inherited. */
static int listening_high(void)
{
	int low = listening(), high = fcntl(low, F_DUPFD_CLOEXEC, 32);

	close(low);
	return high;
}

static void test_nobody_supervises(void **state)
{
	struct handover *handover = (struct handover *)1;
	char name[8];
	int fd = -7, before = descriptors();

	(void)state;
	master_forget_environment();
	assert_int_equal(handover_open(HANDOVER_THREAD, &handover), 0);
	assert_null(handover);
	assert_int_equal(descriptors(), before);
	assert_int_equal(handover_ready(NULL, "x"), 0);
	assert_int_equal(handover_status(NULL, "x"), 0);
	assert_int_equal(handover_stopping(NULL), 0);
	assert_int_equal(handover_extend(NULL, 1), 0);
	assert_int_equal(handover_watchdog(NULL), 0);
	assert_int_equal(handover_watchdog_interval(NULL), 0);
	assert_int_equal(handover_socket(NULL, "web", HANDOVER_FOREVER, &fd), -ENOENT);
	assert_int_equal(fd, -7);
	assert_int_equal(handover_has_socket(NULL, "web"), 0);
	assert_int_equal(handover_socket_name(NULL, 0, name, sizeof(name)), -ENOENT);
	assert_int_equal(handover_store(NULL, "x", 0, 0), 0);
	assert_int_equal(handover_unstore(NULL, "x"), 0);
	assert_int_equal(handover_stored(NULL, "x", &fd), -ENOENT);
	assert_int_equal(handover_stored_name(NULL, 0, name, sizeof(name)), -ENOENT);
	assert_int_equal(fd, -7);
	handover_begin(NULL);
	handover_end(NULL);
	assert_int_equal(handover_inflight(NULL), 0);
	assert_int_equal(handover_fd(NULL), -1);
	assert_int_equal(handover_dispatch(NULL), 0);
	handover_set_callback(NULL, NULL, NULL);
	assert_int_equal(handover_lame_duck_fd(NULL), -1);
	assert_int_equal(handover_drain_fd(NULL), -1);
	assert_int_equal(handover_is_lame_duck(NULL), 0);
	assert_int_equal(handover_is_draining(NULL), 0);
	assert_int_equal(handover_drain_reason(NULL), HANDOVER_REASON_NONE);
	assert_true(handover_time_left(NULL) == HANDOVER_FOREVER);
	assert_true(handover_drain_timeout(NULL) == HANDOVER_FOREVER);
	handover_drain(NULL);
	assert_int_equal(handover_handle_signal(NULL, 15), 0);
	handover_close(NULL);
}

static void test_inherited(void **state)
{
	int fds[3] = {listening_high(), listening_high(), listening_high()}, fd, before;
	struct handover *handover, *second;
	char name[8];

	(void)state;
	master_forget_environment();
	bequeath(3, fds, "web:admin:web");
	before = descriptors();
	assert_int_equal(handover_open(0, &handover), 0);
	assert_non_null(handover);
	assert_int_equal(handover_open(0, &second), -EALREADY);
	assert_int_equal(handover_has_socket(handover, "admin"), 1);
	assert_int_equal(handover_has_socket(handover, "adm"), 0);
	assert_int_equal(handover_socket_name(handover, 1, name, sizeof(name)), 5);
	assert_string_equal(name, "admin");
	assert_int_equal(handover_socket_name(handover, 3, name, sizeof(name)), -ENOENT);
	assert_int_equal(handover_socket(handover, "none", HANDOVER_FOREVER, &fd), -ENOENT);
	assert_int_equal(handover_socket(handover, "admin", 0, &fd), 0);
	assert_int_equal(fd, FIRST_FD + 1);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(same_socket(fd, fds[1]));
	assert_int_equal(handover_socket(handover, "admin", 0, &fd), -EALREADY);
	/* two of one name: one after the other; NULL: whatever is left */
	assert_int_equal(handover_socket(handover, "web", 0, &fd), 0);
	assert_int_equal(fd, FIRST_FD);
	assert_int_equal(handover_socket(handover, NULL, 0, &fd), 0);
	assert_int_equal(fd, FIRST_FD + 2);
	assert_int_equal(handover_socket(handover, NULL, 0, &fd), -EALREADY);
	handover_close(handover);
	assert_int_equal(descriptors(), before);
	for (int n = 0; n < 3; n++)
		close(FIRST_FD + n), close(fds[n]);
}

/* Behind the sockets; with `handoff = channel` alone. */
static void test_what_was_kept(void **state)
{
	int fds[3] = {listening_high(), listening_high(), listening_high()}, fd, before;
	struct handover *handover;
	char name[8];

	(void)state;
	master_forget_environment();
	bequeath(3, fds, "web:cache:cache");
	before = descriptors();
	setenv("HANDOVER_STORED", "2", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_has_socket(handover, "cache"), 0);
	assert_int_equal(handover_stored(handover, "web", &fd), -ENOENT);
	assert_int_equal(handover_socket(handover, NULL, 0, &fd), 0);
	assert_int_equal(fd, FIRST_FD);
	assert_int_equal(handover_socket(handover, NULL, 0, &fd), -EALREADY);
	assert_int_equal(handover_stored_name(handover, 1, name, sizeof(name)), 5);
	assert_string_equal(name, "cache");
	assert_int_equal(handover_stored_name(handover, 2, name, sizeof(name)), -ENOENT);
	assert_int_equal(handover_stored(handover, "cache", &fd), 0);
	assert_int_equal(fd, FIRST_FD + 1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_stored(handover, NULL, &fd), 0);
	assert_int_equal(fd, FIRST_FD + 2);
	assert_int_equal(handover_stored(handover, "cache", &fd), -ENOENT);
	handover_close(handover);
	assert_int_equal(descriptors(), before);
	/* more than there are; and what systemd leaves open */
	setenv("HANDOVER_STORED", "9", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_socket(handover, NULL, 0, &fd), -ENOENT);
	assert_int_equal(handover_stored(handover, "web", &fd), 0);
	handover_close(handover); /* closes what was not asked for */
	assert_int_equal(descriptors(), before - 2);
	for (int n = 1; n < 3; n++)
		assert_int_equal(dup2(fds[n], FIRST_FD + n), FIRST_FD + n);
	unsetenv("HANDOVER_STORED");
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_stored(handover, NULL, &fd), -ENOENT);
	assert_int_equal(handover_stored(handover, "cache", &fd), 0);
	assert_int_equal(fd, FIRST_FD + 1);
	close(fd);
	handover_close(handover);
	close(FIRST_FD);
	for (int n = 0; n < 3; n++)
		close(fds[n]);
}

static void test_having_something_kept(void **state)
{
	struct master master;
	struct handover *handover;
	char longest[256], text[512];
	int fd = listening(), got;

	(void)state;
	master_open(&master, "inherit");
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_store(handover, "cache", fd, 0), 0);
	got = -1;
	assert_int_equal(channel_receive(master.notify, master.text, &got), 22);
	master.text[22] = '\0';
	assert_string_equal(master.text, "FDSTORE=1\nFDNAME=cache");
	assert_true(got != -1 && same_socket(got, fd));
	close(got);
	assert_int_equal(handover_store(handover, "a b", fd, HANDOVER_KEEP_DEAD), 0);
	assert_string_equal(master_notified(&master), "FDSTORE=1\nFDNAME=a b\nFDPOLL=0");
	assert_int_equal(handover_unstore(handover, "cache"), 0);
	assert_string_equal(master_notified(&master), "FDSTOREREMOVE=1\nFDNAME=cache");
	memset(longest, 'x', 255);
	longest[255] = '\0';
	assert_int_equal(handover_unstore(handover, longest), 0);
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", longest);
	assert_string_equal(master_notified(&master), text);
	assert_int_equal(handover_store(handover, "a:b", fd, 0), -EINVAL);
	assert_int_equal(handover_store(handover, "", fd, 0), -EINVAL);
	assert_int_equal(handover_store(handover, "a\nREADY=1", fd, 0), -EINVAL);
	assert_int_equal(handover_store(handover, "a", fd, 2), -EINVAL);
	assert_int_equal(handover_store(handover, "a", -1, 0), -EBADF);
	assert_int_equal(handover_unstore(handover, "a:b"), -EINVAL);
	assert_string_equal(master_notified(&master), "");
	handover_close(handover);
	close(fd);
	master_close(&master);
}

static void test_what_was_not_asked_for_is_closed(void **state)
{
	int fds[1] = {listening_high()}, before;
	struct handover *handover;

	(void)state;
	master_forget_environment();
	bequeath(1, fds, NULL);
	before = descriptors();
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_has_socket(handover, "unknown"), 1);
	handover_close(handover);
	assert_int_equal(descriptors(), before - 1);
	close(fds[0]);
}

static void test_environments_that_are_wrong(void **state)
{
	struct handover *handover = NULL;
	int before = descriptors();

	(void)state;
	master_forget_environment();
	/* a parent's */
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_null(handover);
	/* not open */
	bequeath(0, NULL, NULL);
	setenv("LISTEN_FDS", "400", 1);
	assert_int_equal(handover_open(0, &handover), -EBADF);
	/* no numbers: none */
	setenv("LISTEN_FDS", "-1", 1);
	assert_int_equal(handover_open(0, &handover), 0);
	assert_int_equal(handover_has_socket(handover, "unknown"), 0);
	handover_close(handover);
	setenv("NOTIFY_SOCKET", "here", 1);
	assert_int_equal(handover_open(0, &handover), -EINVAL);
	assert_int_equal(handover_open(HANDOVER_THREAD | HANDOVER_WATCHDOG, &handover), -EINVAL);
	assert_int_equal(handover_open(1u << 7, &handover), -EINVAL);
	master_forget_environment();
	assert_int_equal(descriptors(), before);
}

#define SOCKETS_MESSAGE(names) "{\"version\":1,\"kind\":\"sockets\",\"names\":[" names "]}"

static void count_event(struct handover *handover, enum handover_event event, uint64_t left,
			void *arg)
{
	(void)handover;
	assert_true(event == HANDOVER_SOCKETS && left == HANDOVER_FOREVER);
	++*(int *)arg;
}

static void test_sent(void **state)
{
	int fds[2] = {listening(), listening()}, fd = -7, admin, web, moved = listening(), told = 0;
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0);
	handover_set_callback(handover, count_event, &told);
	master_accept(&master);
	assert_int_equal(handover_socket(handover, "web", 0, &fd), -ETIMEDOUT);
	assert_int_equal(handover_socket(handover, "web", 2000, &fd), -ETIMEDOUT);
	assert_int_equal(fd, -7);
	assert_int_equal(handover_has_socket(handover, "web"), 0);
	assert_int_equal(handover_ready(handover, "warm\nindeed"), 0);
	assert_string_equal(master_notified(&master), "READY=1\nSTATUS=warm indeed");
	/* half of it, twice the names, rubbish: as if nothing had come */
	master_say(&master, SOCKETS_MESSAGE("\"web\",\"admin\""), fds, 1);
	master_say(&master, "rubbish", fds, 2);
	assert_int_equal(handover_socket(handover, "web", 0, &fd), -ETIMEDOUT);
	assert_int_equal(told, 0);
	master_say(&master, SOCKETS_MESSAGE("\"web\",\"admin\""), fds, 2);
	assert_int_equal(handover_socket(handover, "none", HANDOVER_FOREVER, &fd), -ENOENT);
	assert_int_equal(handover_socket(handover, "admin", HANDOVER_FOREVER, &admin), 0);
	assert_true(same_socket(admin, fds[1]));
	assert_true((fcntl(admin, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(admin, F_GETFD), FD_CLOEXEC);
	assert_true(master_waits(handover_fd(handover), 0));
	assert_int_equal(handover_dispatch(handover), 0);
	assert_int_equal(told, 1);
	assert_false(master_waits(handover_fd(handover), 0));
	/* again: what was given away stays so */
	master_say(&master, SOCKETS_MESSAGE("\"admin\",\"web\""), (int[]){fds[1], fds[0]}, 2);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_int_equal(told, 2);
	assert_int_equal(handover_socket(handover, "admin", 0, &fd), -EALREADY);
	assert_int_equal(handover_has_socket(handover, "admin"), 1);
	assert_int_equal(handover_has_listener(handover, admin), 1);
	assert_int_equal(handover_has_listener(handover, fds[0]), 1);
	assert_int_equal(handover_has_listener(handover, 0), 0);
	assert_int_equal(handover_has_listener(handover, -1), 0);
	assert_int_equal(handover_has_listener(NULL, admin), 0);
	/* a name moves: two of that name */
	master_say(&master, SOCKETS_MESSAGE("\"web\",\"web\",\"admin\""),
		   (int[]){fds[0], moved, fds[1]}, 3);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_int_equal(handover_socket(handover, "web", 0, &fd), 0);
	assert_true(same_socket(fd, fds[0]));
	assert_int_equal(handover_socket(handover, "web", 0, &web), 0);
	assert_true(same_socket(web, moved));
	assert_int_equal(handover_has_listener(handover, fd), 1);
	master_say(&master, SOCKETS_MESSAGE("\"web\",\"admin\""), (int[]){moved, fds[1]}, 2);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_int_equal(handover_has_listener(handover, fd), 0);
	assert_int_equal(handover_has_listener(handover, web), 1);
	assert_int_equal(handover_has_socket(handover, "web"), 1);
	assert_int_equal(told, 4);
	close(fd), close(web), close(moved);
	/* another set: one has gone, one is new though of an old name */
	master_say(&master, SOCKETS_MESSAGE("\"web\""), fds + 1, 1);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_int_equal(handover_has_socket(handover, "admin"), 0);
	assert_int_equal(handover_socket(handover, "admin", 0, &fd), -ENOENT);
	assert_int_equal(handover_socket(handover, "web", 0, &fd), 0);
	assert_true(same_socket(fd, fds[1]));
	handover_close(handover);
	close(fd), close(admin), close(fds[0]), close(fds[1]);
	master_close(&master);
}

/* The probe socket is inherited also where the others are sent; it is given before they come, and
 * no message takes it away. */
static void test_probe_socket(void **state)
{
	int probe = listening_high(), web = listening_high(), fd = -7;
	struct handover *handover;
	struct master master;

	(void)state;
	for (int taken = 1; taken >= 0; taken--) {
		master_open(&master, "channel");
		bequeath(1, &probe, "probe");
		assert_int_equal(handover_open(0, &handover), 0);
		master_accept(&master);
		assert_int_equal(handover_socket(handover, "web", 0, &fd), -ETIMEDOUT);
		assert_int_equal(handover_socket(handover, NULL, 0, &fd), -ETIMEDOUT);
		if (taken) {
			assert_int_equal(handover_socket(handover, "probe", 0, &fd), 0);
			assert_true(same_socket(fd, probe));
			close(fd);
		}
		master_say(&master, SOCKETS_MESSAGE("\"web\""), &web, 1);
		assert_int_equal(handover_socket(handover, "web", HANDOVER_FOREVER, &fd), 0);
		close(fd);
		assert_int_equal(handover_has_socket(handover, "probe"), 1);
		fd = -7;
		assert_int_equal(handover_socket(handover, "probe", 0, &fd), taken ? -EALREADY : 0);
		if (!taken)
			close(fd);
		handover_close(handover);
		master_close(&master);
		unsetenv("LISTEN_FDS");
	}
	close(probe), close(web);
}

static void test_nothing_leaks(void **state)
{
	int fds[2] = {listening(), listening()}, before;
	struct handover *handover;
	struct master master;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	assert_int_equal(handover_dispatch(handover), 0);
	before = descriptors();
	for (int n = 0; n < 20; n++) {
		master_say(&master, "{}", fds, 2);
		master_say(&master, "{\"version\":1,\"kind\":\"drink\"}", fds, 2);
		master_say(&master, SOCKETS_MESSAGE("\"web\""), fds, 2);
		master_say(&master, SOCKETS_MESSAGE("\"web\",\"admin\""), NULL, 0);
		assert_int_equal(handover_dispatch(handover), 0);
		assert_int_equal(descriptors(), before);
	}
	for (int n = 0; n < 20; n++) {
		master_say(&master, SOCKETS_MESSAGE("\"web\",\"admin\""), fds, 2);
		assert_int_equal(handover_dispatch(handover), 0);
		assert_int_equal(descriptors(), before + 2);
	}
	handover_close(handover);
	close(fds[0]), close(fds[1]);
	master_close(&master);
}

#define SET_MESSAGE(names, set) \
	"{\"version\":1,\"kind\":\"sockets\",\"names\":[" names "],\"set\":" set "}"
#define ANSWER(kind, set) "{\"version\":1,\"kind\":\"" kind "\",\"set\":" set "}"

/* Told of a set, it finds out that the master has not been answered yet. */
static void not_answered_yet(struct handover *handover, enum handover_event event, uint64_t left,
			     void *arg)
{
	struct master *master = arg;

	(void)handover;
	assert_true(event == HANDOVER_SOCKETS && left == HANDOVER_FOREVER);
	assert_false(master_waits(master->channel, 0));
}

/* Each set that has a number is answered once: when the callback has had it, or at once. */
static void test_answers(void **state)
{
	struct handover *handover;
	struct master master;
	int fd = listening();

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	master_say(&master, SOCKETS_MESSAGE("\"web\""), &fd, 1);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_false(master_waits(master.channel, 0));
	master_say(&master, SET_MESSAGE("\"web\"", "7"), &fd, 1);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_string_equal(master_hear(&master), ANSWER("accepting", "7"));
	handover_set_callback(handover, not_answered_yet, &master);
	for (int n = 0; n < 3; n++)
		assert_int_equal(handover_dispatch(handover), 0);
	master_say(&master, SET_MESSAGE("\"web\"", "8"), &fd, 1);
	master_say(&master, SET_MESSAGE("\"web\"", "9007199254740993"), &fd, 1);
	assert_int_equal(handover_dispatch(handover), 0);
	assert_string_equal(master_hear(&master), ANSWER("accepting", "9007199254740993"));
	assert_int_equal(handover_dispatch(handover), 0);
	assert_false(master_waits(master.channel, 0));
	handover_close(handover);
	close(fd);
	master_close(&master);
}

/* A worker that is out of descriptors asks for its sockets again, and has them when it has some. */
static void test_out_of_descriptors(void **state)
{
	struct rlimit before, low;
	struct handover *handover;
	struct master master;
	int fd = listening(), got;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	master_say(&master, SET_MESSAGE("\"web\"", "1"), &fd, 1);
	getrlimit(RLIMIT_NOFILE, &before);
	low = before;
	low.rlim_cur = (rlim_t)master.page + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (int n = 0; n < 2; n++) {
		assert_int_equal(handover_socket(handover, "web", 0, &got), -ETIMEDOUT);
		assert_true(master_waits(handover_fd(handover), PATIENCE_MS));
		assert_int_equal(handover_dispatch(handover), 0);
		assert_string_equal(master_hear(&master), ANSWER("again", "1"));
		if (n == 1)
			assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		master_say(&master, SET_MESSAGE("\"web\"", "1"), &fd, 1);
	}
	assert_int_equal(handover_socket(handover, "web", 0, &got), 0);
	assert_true(same_socket(got, fd));
	assert_string_equal(master_hear(&master), ANSWER("accepting", "1"));
	/* and so for the other side */
	master_say(&master, "{\"version\":1,\"kind\":\"inflight\"}", NULL, 0);
	assert_int_equal(handover_dispatch(handover), 0);
	master.page = master_shut(master.page);
	assert_string_equal(master_hear(&master), "{\"version\":1,\"kind\":\"inflight\"}");
	assert_int_equal(channel_page_check(master.page), 0);
	handover_close(handover);
	close(fd), close(got);
	master_close(&master);
}

static void test_a_drain_ends_the_wait(void **state)
{
	struct handover *handover;
	struct master master;
	int fd;

	(void)state;
	master_open(&master, "channel");
	assert_int_equal(handover_open(0, &handover), 0);
	master_accept(&master);
	master_say(&master, "{\"version\":1,\"kind\":\"drain\",\"reason\":\"undo\"}", NULL, 0);
	assert_int_equal(handover_socket(handover, "web", HANDOVER_FOREVER, &fd), -ESHUTDOWN);
	assert_int_equal(handover_drain_reason(handover), HANDOVER_REASON_UNDO);
	handover_close(handover);
	master_close(&master);
}

static void take_connection(int fd, void *arg)
{
	int *n = arg;

	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	++*n;
}

static void test_last_moments(void **state)
{
	int listener = listening(), clients[10], n = 0;
	char c;

	(void)state;
	for (int i = 0; i < 10; i++)
		clients[i] = connected(listener);
	assert_int_equal(handover_finish_listener(listener, 1000000, take_connection, &n), 10);
	assert_int_equal(n, 10);
	assert_int_equal(fcntl(listener, F_GETFD), -1);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(read(clients[i], &c, 1), 1);
		close(clients[i]);
	}
	/* no time: still the one that it looks for first; nobody to take them: closed */
	listener = listening();
	clients[0] = connected(listener), clients[1] = connected(listener);
	assert_int_equal(handover_finish_listener(listener, 0, NULL, NULL), 1);
	close(clients[0]), close(clients[1]);
	assert_int_equal(handover_finish_listener(-1, 0, NULL, NULL), -EBADF);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(handover_finish_listener(listener, 0, NULL, NULL), -EINVAL);
	assert_int_equal(fcntl(listener, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nobody_supervises),
	    cmocka_unit_test(test_inherited),
	    cmocka_unit_test(test_what_was_kept),
	    cmocka_unit_test(test_having_something_kept),
	    cmocka_unit_test(test_what_was_not_asked_for_is_closed),
	    cmocka_unit_test(test_environments_that_are_wrong),
	    cmocka_unit_test(test_sent),
	    cmocka_unit_test(test_probe_socket),
	    cmocka_unit_test(test_nothing_leaks),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_out_of_descriptors),
	    cmocka_unit_test(test_a_drain_ends_the_wait),
	    cmocka_unit_test(test_last_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
