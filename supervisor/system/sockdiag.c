/* sockdiag.c - sock_diag(7): one request, and its answers. */
#include "system/sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

/* One message of an answer: its fixed part has at least the size that was asked for, attributes
 * follow it up to len. */
struct answer {
	size_t fixed;
	void (*take)(const void *message, size_t len, void *arg);
	void *arg;
};

/* len: of the message behind its fixed part. */
static const void *find_attribute(const void *attributes, size_t len, int type, size_t size)
{
	const struct rtattr *attribute = attributes;

	for (; RTA_OK(attribute, len); attribute = RTA_NEXT(attribute, len))
		if (attribute->rta_type == type && RTA_PAYLOAD(attribute) >= size)
			return RTA_DATA(attribute);
	return NULL;
}

static int send_request(int fd, const void *request, size_t size, int flags)
{
	struct nlmsghdr header = {
	    .nlmsg_len = (uint32_t)(sizeof(header) + size),
	    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)request, size}};
	struct msghdr message = {
	    .msg_name = &kernel,
	    .msg_namelen = sizeof(kernel),
	    .msg_iov = parts,
	    .msg_iovlen = ARRAY_LEN(parts),
	};

	return sendmsg(fd, &message, MSG_DONTWAIT) == -1 ? -errno : 0;
}

/* Goes through one packet. 1: more packets follow; 0: that was the last one; -errno. */
static int take_packet(const struct nlmsghdr *header, size_t len, const struct answer *answer)
{
	for (; NLMSG_OK(header, len); header = NLMSG_NEXT(header, len)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 0;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(header);

			return header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)) ? -EBADMSG
										: error->error;
		}
		if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    header->nlmsg_len < NLMSG_LENGTH(answer->fixed))
			continue;
		answer->take(NLMSG_DATA(header), header->nlmsg_len - NLMSG_LENGTH(answer->fixed),
			     answer->arg);
		if (!(header->nlmsg_flags & NLM_F_MULTI))
			return 0;
	}
	return 1;
}

static int ask(const void *request, size_t size, int flags, const struct answer *answer)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(struct nlmsghdr) char packet[16 * 1024];
	ssize_t n;
	int r;

	if (fd == -1)
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? -EOPNOTSUPP : -errno;
	r = send_request(fd, request, size, flags);
	if (r < 0)
		return r;
	do {
		n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n == -1)
			return -errno;
		r = take_packet((const struct nlmsghdr *)packet, (size_t)n, answer);
	} while (r > 0);
	/* The kernel answers ENOENT both for "no such socket" and where its diag module is
	 * missing. */
	return r == -ENOENT || r == -EINVAL ? -EOPNOTSUPP : r;
}

struct queue {
	bool found;
	struct unix_diag_rqlen length;
};

static void take_queue(const void *message, size_t len, void *arg)
{
	const void *attribute = find_attribute((const struct unix_diag_msg *)message + 1, len,
					       UNIX_DIAG_RQLEN, sizeof(struct unix_diag_rqlen));
	struct queue *queue = arg;

	if (attribute == NULL)
		return;
	memcpy(&queue->length, attribute, sizeof(queue->length));
	queue->found = true;
}

int sockdiag_unix_queue(ino_t inode, unsigned *ret_waiting, unsigned *ret_limit)
{
	const struct unix_diag_req request = {
	    .sdiag_family = AF_UNIX,
	    .udiag_states = UINT32_MAX,
	    .udiag_ino = (uint32_t)inode,
	    .udiag_show = UDIAG_SHOW_RQLEN,
	    .udiag_cookie = {UINT32_MAX, UINT32_MAX}, /* INET_DIAG_NOCOOKIE: any */
	};
	struct queue queue = {.found = false};
	const struct answer answer = {sizeof(struct unix_diag_msg), take_queue, &queue};
	int r = ask(&request, sizeof(request), 0, &answer);

	if (r < 0)
		return r;
	if (!queue.found)
		return -EOPNOTSUPP;
	*ret_waiting = queue.length.udiag_rqueue;
	*ret_limit = queue.length.udiag_wqueue;
	return 0;
}

struct file_search {
	uint32_t device, file;
	unsigned long *inodes;
	size_t n, max;
};

static void take_bound(const void *data, size_t len, void *arg)
{
	const struct unix_diag_msg *message = data;
	const void *attribute =
	    find_attribute(message + 1, len, UNIX_DIAG_VFS, sizeof(struct unix_diag_vfs));
	struct file_search *search = arg;
	struct unix_diag_vfs vfs;

	if (attribute == NULL || search->n == search->max)
		return;
	memcpy(&vfs, attribute, sizeof(vfs));
	if (vfs.udiag_vfs_ino == search->file && vfs.udiag_vfs_dev == search->device)
		search->inodes[search->n++] = message->udiag_ino;
}

int sockdiag_unix_bound_to(dev_t device, ino_t file, unsigned long *inodes, size_t max)
{
	const struct unix_diag_req request = {
	    .sdiag_family = AF_UNIX,
	    .udiag_states = ~(1U << TCP_ESTABLISHED),
	    .udiag_show = UDIAG_SHOW_VFS,
	};
	struct file_search search = {
	    .device = (uint32_t)major(device) << 20 |
		      minor(device), /* the kernel's own form of a dev_t */
	    .file = (uint32_t)file,
	    .inodes = inodes,
	    .max = max,
	};
	const struct answer answer = {sizeof(struct unix_diag_msg), take_bound, &search};
	int r = ask(&request, sizeof(request), NLM_F_DUMP, &answer);

	return r < 0 ? r : (int)search.n;
}

struct shut_search {
	uint32_t cookie[2];
	int shut; /* -1: not found */
};

static void take_shut(const void *data, size_t len, void *arg)
{
	const struct inet_diag_msg *message = data;
	const uint8_t *shut = find_attribute(message + 1, len, INET_DIAG_SHUTDOWN, sizeof(*shut));
	struct shut_search *search = arg;

	if (shut != NULL &&
	    memcmp(message->id.idiag_cookie, search->cookie, sizeof(search->cookie)) == 0)
		search->shut = *shut;
}

struct end_search {
	bool found;
	unsigned long inode;
};

static void take_end(const void *data, size_t len, void *arg)
{
	const struct inet_diag_msg *message = data;
	struct end_search *search = arg;

	(void)len;
	search->found = true;
	search->inode = message->idiag_inode;
}

static void copy_address(uint32_t out[static 4], const struct sockaddr_in6 *address)
{
	if (address->sin6_family == AF_INET)
		memcpy(out, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	else
		memcpy(out, &address->sin6_addr, 16);
}

/* Ours, seen from the other side. A connection that waits to be accepted has no inode. */
int sockdiag_tcp_other_end(int fd, unsigned long *ret_inode)
{
	struct sockaddr_in6 own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	struct inet_diag_req_v2 request = {
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = UINT32_MAX,
	    .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};
	struct end_search search = {.found = false};
	const struct answer answer = {sizeof(struct inet_diag_msg), take_end, &search};
	int r;

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) == -1 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) == -1)
		return -errno;
	request.sdiag_family = (uint8_t)own.sin6_family;
	request.id.idiag_sport = peer.sin6_port; /* at the same place in sockaddr_in */
	request.id.idiag_dport = own.sin6_port;
	copy_address(request.id.idiag_src, &peer);
	copy_address(request.id.idiag_dst, &own);
	r = ask(&request, sizeof(request), 0, &answer);
	if (r < 0)
		return r;
	if (!search.found)
		return -ENOTCONN;
	*ret_inode = search.inode;
	return search.inode == 0 ? -EAGAIN : 0;
}

int sockdiag_tcp_is_shut(int fd)
{
	struct shut_search search = {.shut = -1};
	struct sockaddr_in6 address = {0};
	struct inet_diag_req_v2 request = {
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = 1U << TCP_LISTEN,
	    .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};
	const struct answer answer = {sizeof(struct inet_diag_msg), take_shut, &search};
	socklen_t len = sizeof(address), cookie_len = sizeof(search.cookie);
	int r;

	if (getsockname(fd, (struct sockaddr *)&address, &len) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, search.cookie, &cookie_len) == -1)
		return -errno;
	request.sdiag_family = (uint8_t)address.sin6_family;
	request.id.idiag_sport = address.sin6_port; /* at the same place in sockaddr_in */
	r = ask(&request, sizeof(request), NLM_F_DUMP, &answer);
	if (r < 0)
		return r;
	return search.shut == -1 ? -EOPNOTSUPP : search.shut != 0;
}
