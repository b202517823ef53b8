/* notify.c - sd_notify(3) messages from workers: receiving, checking, understanding. */
#include "system/notify.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/proc.h"

enum {
	NUMBER_MAX = 24,  /* characters of the longest value that is a number */
	ERRNO_MAX = 4095, /* the kernel's */
};

/* --- understanding --- */

/* Length of the valid UTF-8 sequence at p (RFC 3629: shortest form, no surrogates), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t len, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t code = p[0];

	if (n > len || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	if (n > 1)
		code &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

/* C0, DEL, C1, line and paragraph separator: what could move a cursor or forge a line. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

static void copy_status(const char *text, size_t len, char status[static NOTIFY_STATUS_MAX])
{
	const unsigned char *p = (const unsigned char *)text;
	size_t out = 0;

	while (len > 0) {
		uint32_t code = 0;
		size_t n = utf8_sequence(p, len, &code);
		size_t take = n > 0 ? n : 1;
		bool keep = n > 0 && !is_control(code);

		if (out + (keep ? n : 1) >= NOTIFY_STATUS_MAX)
			break;
		if (keep) {
			memcpy(status + out, p, n);
			out += n;
		} else {
			status[out++] = n > 0 ? ' ' : '?';
		}
		p += take;
		len -= take;
	}
	status[out] = '\0';
}

static bool get_number(const char *value, size_t len, uint64_t max, uint64_t *ret_number)
{
	char text[NUMBER_MAX];

	if (len >= sizeof(text))
		return false;
	memcpy(text, value, len);
	text[len] = '\0';
	return strlen(text) == len && parse_uint(text, 0, max, ret_number) == 0;
}

static bool is(const char *value, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(value, word, len) == 0;
}

static void take_number(struct notify_message *m, const char *key, size_t key_len,
			const char *value, size_t len)
{
	uint64_t n;

	if (is(key, key_len, "WATCHDOG_USEC") && get_number(value, len, USEC_INFINITY - 1, &n)) {
		m->has_watchdog_usec = true;
		m->watchdog_usec = n;
	} else if (is(key, key_len, "EXTEND_TIMEOUT_USEC") &&
		   get_number(value, len, USEC_INFINITY - 1, &n)) {
		m->has_extend = true;
		m->extend_usec = n;
	} else if (is(key, key_len, "MAINPID") && get_number(value, len, INT_MAX, &n) && n > 0) {
		m->has_mainpid = true;
		m->mainpid = (pid_t)n;
	} else if (is(key, key_len, "ERRNO") && get_number(value, len, ERRNO_MAX, &n)) {
		m->has_errno = true;
		m->error = (int)n;
	} else if (is(key, key_len, "X_HANDOVER_INFLIGHT") &&
		   get_number(value, len, ULONG_MAX, &n)) {
		m->has_inflight = true;
		m->inflight = (unsigned long)n;
	}
}

/* As systemd takes it, but that an empty one is none. */
static void take_fdname(struct notify_message *m, const char *value, size_t len)
{
	if (len == 0 || len >= sizeof(m->fdname))
		return;
	for (size_t i = 0; i < len; i++)
		if (value[i] < ' ' || value[i] > '~' || value[i] == ':')
			return;
	memcpy(m->fdname, value, len);
	m->fdname[len] = '\0';
	m->has_fdname = true;
}

/* The keys of the descriptor store. False: it is none of these. */
static bool take_store(struct notify_message *m, const char *key, size_t key_len, const char *value,
		       size_t len)
{
	if (is(key, key_len, "FDSTORE"))
		m->fd_store |= is(value, len, "1");
	else if (is(key, key_len, "FDSTOREREMOVE"))
		m->fd_store_remove |= is(value, len, "1");
	else if (is(key, key_len, "FDPOLL"))
		m->fd_poll_off |= is(value, len, "0");
	else if (is(key, key_len, "FDNAME"))
		take_fdname(m, value, len);
	else
		return false;
	return true;
}

static void take_line(struct notify_message *m, const char *line, size_t line_len)
{
	const char *equals = memchr(line, '=', line_len);
	const char *value;
	size_t key_len, len;

	if (equals == NULL)
		return;
	key_len = (size_t)(equals - line);
	value = equals + 1;
	len = line_len - key_len - 1;
	if (is(line, key_len, "STATUS")) {
		m->has_status = true;
		copy_status(value, len, m->status);
	} else if (is(line, key_len, "READY")) {
		m->ready |= is(value, len, "1");
	} else if (is(line, key_len, "STOPPING")) {
		m->stopping |= is(value, len, "1");
	} else if (is(line, key_len, "RELOADING")) {
		m->reloading |= is(value, len, "1");
	} else if (is(line, key_len, "BARRIER")) {
		m->barrier |= is(value, len, "1");
	} else if (is(line, key_len, "WATCHDOG")) {
		m->watchdog |= is(value, len, "1");
		m->watchdog_trigger |= is(value, len, "trigger");
	} else if (!take_store(m, line, key_len, value, len)) {
		take_number(m, line, key_len, value, len);
	}
}

void notify_parse(const char *data, size_t len, struct notify_message *ret_message)
{
	struct notify_message message;

	memset(&message, 0, sizeof(message));
	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t line_len = newline != NULL ? (size_t)(newline - data) : len;

		take_line(&message, data, line_len);
		line_len += newline != NULL;
		data += line_len;
		len -= line_len;
	}
	*ret_message = message;
}

/* --- receiving --- */

int notify_open(int *ret_fd, char address[static NOTIFY_ADDRESS_MAX])
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char name[NOTIFY_ADDRESS_MAX];
	uint64_t random[2];
	int on = 1, len;

	if (fd == -1 || getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	len = snprintf(name, sizeof(name), "@handover/%016llx%016llx",
		       (unsigned long long)random[0], (unsigned long long)random[1]);
	memcpy(un.sun_path, name, (size_t)len);
	un.sun_path[0] = '\0';
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)) == -1)
		return -errno;
	memcpy(address, name, (size_t)len + 1);
	*ret_fd = fd_park(TAKE_FD(fd));
	return 0;
}

void notify_close_fds(struct notify_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		fd_close_now(fds->list[i]);
	fds->n = 0;
}

static void take_fds(const struct cmsghdr *c, struct notify_fds *fds)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (fds->n < NOTIFY_FDS_MAX)
			fds->list[fds->n++] = fd;
		else
			fd_close(fd);
	}
}

/* Takes the descriptors that came along, and finds who sent it. False: nobody says. */
static bool take_control(struct msghdr *header, struct notify_sender *sender,
			 struct notify_fds *fds)
{
	bool found = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			take_fds(c, fds);
		} else if (c->cmsg_type == SCM_CREDENTIALS &&
			   c->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
			struct ucred credentials;

			memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
			*sender =
			    (struct notify_sender){.pid = credentials.pid, .uid = credentials.uid};
			found = credentials.pid >
				0; /* 0: from a pid namespace that we cannot see into */
		}
	}
	return found;
}

int notify_receive_fds(int fd, struct notify_message *ret_message, struct notify_sender *ret_sender,
		       struct notify_fds *ret_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
	} control;
	char data[NOTIFY_DATAGRAM_MAX];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control)};
	struct notify_sender sender;
	ssize_t n;
	bool known;

	do
		n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EAGAIN ? 0 : -errno;
	ret_fds->n = 0;
	known = take_control(&header, &sender, ret_fds);
	if (n > 0 && data[n - 1] == '\0')
		n--; /* C programs that send the NUL too are forgiven */
	if (!known || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n == 0 ||
	    memchr(data, '\0', (size_t)n) != NULL) {
		notify_close_fds(ret_fds);
		return -EBADMSG;
	}
	notify_parse(data, (size_t)n, ret_message);
	*ret_sender = sender;
	return 1;
}

int notify_receive(int fd, struct notify_message *ret_message, struct notify_sender *ret_sender)
{
	struct notify_fds fds;
	int r = notify_receive_fds(fd, ret_message, ret_sender, &fds);

	if (r == 1)
		notify_close_fds(&fds);
	return r;
}

bool notify_sender_belongs(const struct notify_sender *sender, pid_t worker, uid_t uid)
{
	struct proc_stat stat;
	int r;

	if (sender->pid == worker)
		return true;
	r = proc_read_stat(sender->pid, &stat);
	if (r == 0)
		return stat.session == worker;
	/* Short-lived helpers are gone by the time that we look. */
	return (r == -ENOENT || r == -ESRCH) && sender->uid == uid;
}
