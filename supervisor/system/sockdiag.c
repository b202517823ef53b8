/* sockdiag.c - sock_diag(7) for Unix sockets: one request, and its answers. */
#include "system/sockdiag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

static const void *find_attribute(const struct unix_diag_msg *message, size_t len, int type,
				  size_t size)
{
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);

	for (; RTA_OK(attribute, len); attribute = RTA_NEXT(attribute, len))
		if (attribute->rta_type == type && RTA_PAYLOAD(attribute) >= size)
			return RTA_DATA(attribute);
	return NULL;
}

static int send_request(int fd, const struct unix_diag_req *request, int flags)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} message = {
	    .header = {.nlmsg_len = sizeof(message),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
	    .request = *request,
	};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	if (sendto(fd, &message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&kernel,
		   sizeof(kernel)) == -1)
		return -errno;
	return 0;
}

/* Goes through one packet. 1: more packets follow; 0: that was the last one; -errno. */
static int take_packet(const struct nlmsghdr *header, size_t len,
		       void (*answer)(const struct unix_diag_msg *message, size_t len, void *arg),
		       void *arg)
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
		    header->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
			continue;
		answer(NLMSG_DATA(header),
		       header->nlmsg_len - NLMSG_LENGTH(sizeof(struct unix_diag_msg)), arg);
		if (!(header->nlmsg_flags & NLM_F_MULTI))
			return 0;
	}
	return 1;
}

static int ask(const struct unix_diag_req *request, int flags,
	       void (*answer)(const struct unix_diag_msg *message, size_t len, void *arg),
	       void *arg)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(struct nlmsghdr) char packet[16 * 1024];
	ssize_t n;
	int r;

	if (fd == -1)
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? -EOPNOTSUPP : -errno;
	r = send_request(fd, request, flags);
	if (r < 0)
		return r;
	do {
		n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (n == -1)
			return -errno;
		r = take_packet((const struct nlmsghdr *)packet, (size_t)n, answer, arg);
	} while (r > 0);
	/* The kernel answers ENOENT both for "no such socket" and where its unix_diag module is
	 * missing. */
	return r == -ENOENT || r == -EINVAL ? -EOPNOTSUPP : r;
}

struct queue {
	bool found;
	struct unix_diag_rqlen length;
};

static void take_queue(const struct unix_diag_msg *message, size_t len, void *arg)
{
	const void *attribute =
	    find_attribute(message, len, UNIX_DIAG_RQLEN, sizeof(struct unix_diag_rqlen));
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
	int r = ask(&request, 0, take_queue, &queue);

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

static void take_bound(const struct unix_diag_msg *message, size_t len, void *arg)
{
	const void *attribute =
	    find_attribute(message, len, UNIX_DIAG_VFS, sizeof(struct unix_diag_vfs));
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
	int r = ask(&request, NLM_F_DUMP, take_bound, &search);

	return r < 0 ? r : (int)search.n;
}
