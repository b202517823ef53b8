/* handover_store.c - descriptors that the master keeps for the next worker in our place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/handover_internal.h"

enum { NAME_MAX_STORED = 255 };

static bool is_name(const char *name)
{
	size_t len = 0;

	for (; len <= NAME_MAX_STORED && name[len] != '\0'; len++)
		if (name[len] < ' ' || name[len] > '~' || name[len] == ':')
			return false;
	return len > 0 && len <= NAME_MAX_STORED;
}

PUBLIC int handover_store(struct handover *handover, const char *name, int fd, unsigned flags)
{
	char text[NAME_MAX_STORED + 64];
	int len;

	if (handover == NULL)
		return 0;
	if (!is_name(name) || (flags & ~(unsigned)HANDOVER_KEEP_DEAD) != 0)
		return -EINVAL;
	if (fcntl(fd, F_GETFD) == -1)
		return -errno;
	len = snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s%s", name,
		       (flags & HANDOVER_KEEP_DEAD) != 0 ? "\nFDPOLL=0" : "");
	return notify_send(handover, 0, text, (size_t)len, fd);
}

PUBLIC int handover_unstore(struct handover *handover, const char *name)
{
	char text[NAME_MAX_STORED + 64];
	int len;

	if (handover == NULL)
		return 0;
	if (!is_name(name))
		return -EINVAL;
	len = snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify_send(handover, 0, text, (size_t)len, -1);
}

PUBLIC int handover_stored(struct handover *handover, const char *name, int *ret_fd)
{
	int r;

	if (handover == NULL)
		return -ENOENT;
	pthread_mutex_lock(&handover->lock);
	r = sockets_take(handover->stored, handover->n_stored, name, ret_fd);
	/* systemd does not say which of them are sockets */
	if (r < 0 && name != NULL && getenv("HANDOVER_STORED") == NULL)
		r = sockets_take(handover->sockets, handover->n_sockets, name, ret_fd);
	pthread_mutex_unlock(&handover->lock);
	return r < 0 ? -ENOENT : 0;
}

PUBLIC int handover_stored_name(struct handover *handover, size_t n, char *name, size_t size)
{
	int r = -ENOENT;

	if (handover == NULL)
		return r;
	pthread_mutex_lock(&handover->lock);
	if (n < handover->n_stored)
		r = snprintf(name, size, "%s", handover->stored[n].name);
	pthread_mutex_unlock(&handover->lock);
	return r;
}
