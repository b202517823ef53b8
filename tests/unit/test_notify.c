/* test_notify.c - what workers say: tables, random and mutated datagrams, real sockets and senders.
 */
#include "notify_support.h"

#include <signal.h>
#if WITH_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "system/proc.h"

/* --- parsing --- */

struct row {
	const char *text;
	struct notify_message expected;
};

#define NAMED(words)  .has_fdname = true, .fdname = (words)
#define STATUS(words) .has_status = true, .status = (words)

static const struct row rows[] = {
    {"", {.ready = false}},
    {"READY=1", {.ready = true}},
    {"READY=1\n", {.ready = true}},
    {"\n\nREADY=1\n\n", {.ready = true}},
    {"READY=0", {.ready = false}},
    {"READY=11", {.ready = false}},
    {"READY=", {.ready = false}},
    {"READY", {.ready = false}},
    {"XREADY=1", {.ready = false}},
    {" READY=1", {.ready = false}},
    {"READY=1 ", {.ready = false}},
    {"READY=1\r\n", {.ready = false}},
    {"ready=1", {.ready = false}},
    {"=1\n=\n====\n", {.ready = false}},
    {"STOPPING=1", {.stopping = true}},
    {"RELOADING=1\nMONOTONIC_USEC=123", {.reloading = true}},
    {"BARRIER=1", {.barrier = true}},
    {"WATCHDOG=1", {.watchdog = true}},
    {"WATCHDOG=trigger", {.watchdog_trigger = true}},
    {"WATCHDOG=triggered", {.watchdog = false}},
    {"FDSTORE=1\nFDNAME=x\nUNKNOWN=y\nREADY=1", {.ready = true, .fd_store = true, NAMED("x")}},
    {"FDSTOREREMOVE=1\nFDNAME=a b/c", {.fd_store_remove = true, NAMED("a b/c")}},
    {"FDSTORE=1\nFDPOLL=0", {.fd_store = true, .fd_poll_off = true}},
    {"FDSTORE=0\nFDPOLL=1\nFDSTOREREMOVE=2\nFDSTORED=1", {.ready = false}},
    {"FDNAME=a:b\nFDNAME=\nFDNAME=\xc3\xa4\nFDNAME=a\tb", {.ready = false}},
    {"FDNAME=first\nFDNAME=last\nFDNAME=a:b", {NAMED("last")}},
    {"STATUS=", {STATUS("")}},
    {"STATUS=serving 12 of 30", {STATUS("serving 12 of 30")}},
    {"STATUS=a=b=c", {STATUS("a=b=c")}},
    {"STATUS=first\nREADY=1\nSTATUS=last", {.ready = true, STATUS("last")}},
    {"STATUS=a\tb\rc\x1b[31md\x7f", {STATUS("a b c [31md ")}},
    {"STATUS=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
     {STATUS("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")}},
    {"STATUS=x\xc2\x85y\xe2\x80\xa8z", {STATUS("x y z")}},
    {"STATUS=\xff\xc0\xaf\xed\xa0\x80\xe2\x82", {STATUS("????????")}},
    {"STATUS=\xf4\x90\x80\x80\xc3", {STATUS("?????")}},
    {"STATUS=\xe0\x80\xaf\xf0\x80\x80\xaf", {STATUS("???????")}},
    {"WATCHDOG_USEC=500000", {.has_watchdog_usec = true, .watchdog_usec = 500000}},
    {"WATCHDOG_USEC=0", {.has_watchdog_usec = true}},
    {"WATCHDOG_USEC=18446744073709551615", {.ready = false}},
    {"WATCHDOG_USEC=18446744073709551614",
     {.has_watchdog_usec = true, .watchdog_usec = UINT64_MAX - 1}},
    {"WATCHDOG_USEC=-1\nWATCHDOG_USEC=\nWATCHDOG_USEC=1s\nWATCHDOG_USEC=0x10", {.ready = false}},
    {"WATCHDOG_USEC=0000000000000000000000000000000000000001", {.ready = false}},
    {"EXTEND_TIMEOUT_USEC=7000000", {.has_extend = true, .extend_usec = 7000000}},
    {"MAINPID=4242", {.has_mainpid = true, .mainpid = 4242}},
    {"MAINPID=0\nMAINPID=2147483648\nMAINPID=-5\nMAINPID=1x", {.ready = false}},
    {"MAINPID=2147483647", {.has_mainpid = true, .mainpid = INT32_MAX}},
    {"ERRNO=2", {.has_errno = true, .error = 2}},
    {"ERRNO=4096", {.ready = false}},
    {"X_HANDOVER_INFLIGHT=31", {.has_inflight = true, .inflight = 31}},
    {"X_HANDOVER_INFLIGHT=31\nX_HANDOVER_INFLIGHT=", {.has_inflight = true, .inflight = 31}},
    {"READY=1\nSTATUS=up\nMAINPID=7\nWATCHDOG=1\nX_HANDOVER_INFLIGHT=0",
     {.ready = true,
      STATUS("up"),
      .has_mainpid = true,
      .mainpid = 7,
      .watchdog = true,
      .has_inflight = true}},
};

static void assert_same(const char *what, const struct notify_message *a,
			const struct notify_message *b)
{
	bool same =
	    a->ready == b->ready && a->stopping == b->stopping && a->reloading == b->reloading &&
	    a->has_status == b->has_status && strcmp(a->status, b->status) == 0 &&
	    a->watchdog == b->watchdog && a->watchdog_trigger == b->watchdog_trigger &&
	    a->has_watchdog_usec == b->has_watchdog_usec && a->watchdog_usec == b->watchdog_usec &&
	    a->has_extend == b->has_extend && a->extend_usec == b->extend_usec &&
	    a->has_mainpid == b->has_mainpid && a->mainpid == b->mainpid &&
	    a->has_errno == b->has_errno && a->error == b->error &&
	    a->has_inflight == b->has_inflight && a->inflight == b->inflight &&
	    a->barrier == b->barrier && a->fd_store == b->fd_store &&
	    a->fd_store_remove == b->fd_store_remove && a->fd_poll_off == b->fd_poll_off &&
	    a->has_fdname == b->has_fdname && strcmp(a->fdname, b->fdname) == 0;

	if (!same)
		fail_msg("'%s' was understood as status '%s' ready %d", what, a->status, a->ready);
}

/* Parses a copy that ends where the memory ends, so that a sanitizer sees every step too far. */
static struct notify_message parse(const char *text, size_t len)
{
	struct notify_message message;
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(&message, 0xa5, sizeof(message));
	notify_parse(copy, len, &message);
	free(copy);
	return message;
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct notify_message message = parse(rows[i].text, strlen(rows[i].text));

		assert_same(rows[i].text, &message, &rows[i].expected);
	}
}

static void test_nul_in_a_line(void **state)
{
	struct notify_message message = parse("READY=1\0\nMAINPID=1\0002\nSTATUS=a\0b", 31);
	(void)state;

	assert_false(message.ready);
	assert_false(message.has_mainpid);
	assert_string_equal(message.status, "a b");
}

static void test_long_status_is_cut_between_characters(void **state)
{
	char text[2000] = "STATUS=", *p = text + 7;
	struct notify_message message;
	(void)state;

	for (int i = 0; i < 300; i++, p += 3)
		memcpy(p, "\xe2\x82\xac", 3);
	message = parse(text, (size_t)(p - text));
	assert_int_equal(strlen(message.status), 255); /* 85 whole ones */
	memset(text + 7, 'x', 1);
	message = parse(text, (size_t)(p - text));
	assert_memory_equal(message.status, "x??\xe2", 4);
	memset(text + 7, '\xff', 1900);
	message = parse(text, 1900);
	assert_int_equal(strlen(message.status), 255);
	assert_int_equal(strspn(message.status, "?"), 255);
}

static bool is_printable_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		size_t n = *p < 0x80   ? 1
			   : *p < 0xc2 ? 0
			   : *p < 0xe0 ? 2
			   : *p < 0xf0 ? 3
			   : *p < 0xf5 ? 4
				       : 0;

		if (n == 0 || *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return false;
		for (size_t i = 1; i < n; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += n;
	}
	return true;
}

/* Holds for every datagram, whatever is in it. */
static void assert_sound(const struct notify_message *m)
{
	assert_true(memchr(m->status, '\0', sizeof(m->status)) != NULL);
	assert_true(is_printable_utf8(m->status));
	assert_true(m->has_status || m->status[0] == '\0');
	assert_true(m->has_mainpid ? m->mainpid > 0 : m->mainpid == 0);
	assert_true(m->has_errno ? m->error >= 0 && m->error < 4096 : m->error == 0);
	assert_true(m->has_watchdog_usec ? m->watchdog_usec < USEC_INFINITY
					 : m->watchdog_usec == 0);
	assert_true(m->has_extend ? m->extend_usec < USEC_INFINITY : m->extend_usec == 0);
	assert_true(m->has_inflight || m->inflight == 0);
	assert_true(memchr(m->fdname, '\0', sizeof(m->fdname)) != NULL);
	assert_true(m->has_fdname == (m->fdname[0] != '\0'));
	for (const char *p = m->fdname; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p <= '~' && *p != ':');
}

static size_t mutate(uint64_t *seed, char *data, size_t len, size_t max)
{
	static const char spice[] = "=\n\0\xff\xc3\xe2\x7f"
				    "019-";
	unsigned changes = unit_random(seed, 6);

	while (changes-- > 0 && len > 0 && len < max) {
		size_t at = unit_random(seed, (uint32_t)len);

		switch (unit_random(seed, 4)) {
		case 0:
			data[at] = (char)unit_random(seed, 256);
			break;
		case 1:
			data[at] = spice[unit_random(seed, sizeof(spice) - 1)];
			break;
		case 2:
			memmove(data + at + 1, data + at, len - at);
			len++;
			break;
		default:
			memmove(data + at, data + at + 1, len - at - 1);
			len--;
		}
	}
	return len;
}

static void test_random_and_mutated(void **state)
{
	uint64_t seed = unit_seed();
	char data[1024];
	unsigned ready = 0;
	(void)state;

	for (int i = 0; i < 100000; i++) {
		struct notify_message message;
		size_t len = 0;

		if (i % 4 == 0) {
			for (len = 0; len < unit_random(&seed, 300); len++)
				data[len] = (char)unit_random(&seed, 256);
		} else {
			for (unsigned k = 1 + unit_random(&seed, 4); k > 0; k--) {
				const char *text = rows[unit_random(&seed, ARRAY_LEN(rows))].text;

				memcpy(data + len, text, strlen(text));
				len += strlen(text);
				data[len++] = '\n';
			}
			len = mutate(&seed, data, len, sizeof(data));
		}
		message = parse(data, len);
		assert_sound(&message);
		ready += message.ready;
	}
	assert_true(ready > 1000); /* they are not all rubbish */
}

/* --- receiving --- */

static void say(const struct pair *pair, const void *data, size_t len)
{
	assert_int_equal(
	    sendto(pair->sender, data, len, 0, (const struct sockaddr *)&pair->un, pair->len), len);
}

static void test_open(void **state)
{
	struct pair a = open_pair(), b = open_pair();
	(void)state;

	assert_int_equal(strlen(a.address), 42);
	assert_int_equal(strncmp(a.address, "@handover/", 10), 0);
	assert_string_not_equal(a.address, b.address);
	assert_int_equal(fcntl(a.receiver, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(a.receiver, F_GETFL) & O_NONBLOCK);
	close_pair(&a);
	close_pair(&b);
}

static void test_receive(void **state)
{
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender = {.pid = -1};
	(void)state;

	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 0);
	say(&pair, "READY=1\nSTATUS=one", 18);
	say(&pair, "STATUS=two\0", 11); /* with its NUL */
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_true(message.ready);
	assert_string_equal(message.status, "one");
	assert_int_equal(sender.pid, getpid());
	assert_int_equal(sender.uid, getuid());
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_false(message.ready);
	assert_string_equal(message.status, "two");
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 0);
	assert_int_equal(notify_receive(-1, &message, &sender), -EBADF);
	close_pair(&pair);
}

static void test_bad_datagrams(void **state)
{
	static char big[NOTIFY_DATAGRAM_MAX + 1];
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender = {.pid = -1};
	(void)state;

	memset(big, '\n', sizeof(big));
	memcpy(big, "READY=1", 7);
	say(&pair, big, sizeof(big));
	say(&pair, "", 0);
	say(&pair, "READY=1\0STATUS=x", 16);
	say(&pair, "\0", 1);
	say(&pair, big, sizeof(big) - 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(notify_receive(pair.receiver, &message, &sender), -EBADMSG);
	assert_int_equal(sender.pid, -1);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_true(message.ready); /* the longest that is allowed */
	close_pair(&pair);
}

static void send_with_descriptors(const struct pair *pair, const char *text, int fd, unsigned n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	struct sockaddr_un un = pair->un;
	struct msghdr header = {.msg_name = &un,
				.msg_namelen = pair->len,
				.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair->sender, &header, 0), strlen(text));
}

static void test_descriptors_are_closed(void **state)
{
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender;
	int before = proc_count_fds(), barrier[2];
	char c;
	(void)state;

	send_with_descriptors(&pair, "FDSTORE=1\nFDNAME=x", 0, 253);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_int_equal(sender.pid, getpid());
	assert_int_equal(proc_count_fds(), before);

	assert_int_equal(pipe2(barrier, O_CLOEXEC), 0);
	say(&pair, "STATUS=before", 13);
	send_with_descriptors(&pair, "BARRIER=1", barrier[1], 1);
	close(barrier[1]);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_false(message.barrier);
	assert_int_equal(poll(&(struct pollfd){.fd = barrier[0], .events = POLLIN}, 1, 0), 0);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_true(message.barrier);
	assert_int_equal(read(barrier[0], &c, 1), 0); /* whoever waited goes on */
	close(barrier[0]);

	send_with_descriptors(&pair, "X\0", 0, 5); /* rubbish with descriptors */
	say(&pair, "", 0);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), -EBADMSG);
	assert_int_equal(proc_count_fds(), before);
	close_pair(&pair);
}

static void test_descriptors_are_given_on(void **state)
{
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender;
	struct notify_fds fds;
	int before = proc_count_fds();
	(void)state;

	send_with_descriptors(&pair, "FDSTORE=1\nFDNAME=x", 0, 253);
	send_with_descriptors(&pair, "X\0", 0, 5);
	say(&pair, "READY=1\0X", 9);
	assert_int_equal(notify_receive_fds(pair.receiver, &message, &sender, &fds), 1);
	assert_true(message.fd_store && message.has_fdname);
	assert_int_equal(fds.n, 253);
	for (size_t n = 0; n < fds.n; n++)
		assert_int_equal(fcntl(fds.list[n], F_GETFD), FD_CLOEXEC);
	fd_close(fds.list[7]);
	fds.list[7] = -1; /* taken */
	notify_close_fds(&fds);
	assert_int_equal(proc_count_fds(), before);
	assert_int_equal(notify_receive_fds(pair.receiver, &message, &sender, &fds), 1);
	assert_int_equal(fds.n, 5);
	notify_close_fds(&fds);
	assert_int_equal(notify_receive_fds(pair.receiver, &message, &sender, &fds), -EBADMSG);
	assert_int_equal(proc_count_fds(), before);
	close_pair(&pair);
}

static void test_libsystemd_speaks_to_us(void **state)
{
	struct pair pair = open_pair();
	struct notify_message message;
	struct notify_sender sender;
	(void)state;

	setenv("NOTIFY_SOCKET", pair.address, 1);
#if WITH_SYSTEMD
	assert_true(sd_notifyf(0, "READY=1\nSTATUS=%s", "by libsystemd") > 0);
#else
	close_pair(&pair);
	skip();
#endif
	assert_int_equal(notify_receive(pair.receiver, &message, &sender), 1);
	assert_true(message.ready);
	assert_string_equal(message.status, "by libsystemd");
	unsetenv("NOTIFY_SOCKET");
	close_pair(&pair);
}

/* --- whose it is --- */

static void test_sender(void **state)
{
	char *env[] = {NULL};
	struct support_holder worker = support_hold(-1, env), other = support_hold(-1, env);
	struct notify_sender sender = {.pid = worker.pid, .uid = getuid()};
	pid_t helper, gone = other.pid;
	(void)state;

	assert_true(notify_sender_belongs(&sender, worker.pid, 12345));
	sender.pid = other.pid;
	assert_false(notify_sender_belongs(&sender, worker.pid, getuid()));
	/* A helper of ours, in our session, but with a process group of its own. */
	helper = support_fork(support_pause_for_ever, NULL);
	assert_int_equal(setpgid(helper, 0), 0);
	sender.pid = helper;
	assert_true(notify_sender_belongs(&sender, helper, 12345));
	assert_true(notify_sender_belongs(&sender, getsid(0), getuid()));
	assert_false(notify_sender_belongs(&sender, worker.pid, getuid()));
	kill(helper, SIGKILL);
	waitpid(helper, NULL, 0);
	/* One that is gone counts by its uid. */
	support_stop_holder(&other);
	sender.pid = gone;
	assert_true(notify_sender_belongs(&sender, worker.pid, getuid()));
	assert_false(notify_sender_belongs(&sender, worker.pid, getuid() + 1));
	support_stop_holder(&worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_nul_in_a_line),
	    cmocka_unit_test(test_long_status_is_cut_between_characters),
	    cmocka_unit_test(test_random_and_mutated),
	    cmocka_unit_test(test_open),
	    cmocka_unit_test(test_receive),
	    cmocka_unit_test(test_bad_datagrams),
	    cmocka_unit_test(test_descriptors_are_closed),
	    cmocka_unit_test(test_descriptors_are_given_on),
	    cmocka_unit_test(test_libsystemd_speaks_to_us),
	    cmocka_unit_test(test_sender),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
