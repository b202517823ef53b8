/* instance.c - the instances on this machine: where their sockets are, and who answers there. */
#include "cli/instance.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

enum { PLACES_MAX = 2, INSTANCES_MAX = 4096 };

/* Fills in where runtime directories are: our own user's first, then the system's. Returns their
 * number. */
static size_t places(struct buf list[PLACES_MAX])
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	size_t n = 0;

	if (geteuid() != 0 && own != NULL && own[0] == '/')
		buf_printf(&list[n++], "%s/handover", own);
	buf_add_str(&list[n++], "/run/handover");
	return n;
}

void instance_places(struct buf *out)
{
	struct buf list[PLACES_MAX] = {0};
	size_t n = places(list);

	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s%s", i > 0 ? " and " : "", list[i].data);
		buf_free(&list[i]);
	}
}

int instance_probe(const char *socket_path, usec_t timeout, pid_t *ret_pid)
{
	struct timeval limit = {.tv_sec = (time_t)(timeout / USEC_PER_SEC),
				.tv_usec = (suseconds_t)(timeout % USEC_PER_SEC)};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	cleanup_close int fd = -1;

	if (strlen(socket_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	/* a full accept queue would let connect() wait for ever */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		peer.pid = 0;
	*ret_pid = peer.pid;
	return 0;
}

void instance_free(struct instance *instance)
{
	free(instance->name);
	free(instance->socket);
	*instance = (struct instance){.name = NULL};
}

void instances_free(struct instances *instances)
{
	for (size_t i = 0; i < instances->n; i++)
		instance_free(&instances->list[i]);
	free(instances->list);
	*instances = (struct instances){.list = NULL};
}

static int instances_grow(struct instances *instances)
{
	size_t max = instances->max > 0 ? 2 * instances->max : 8;
	struct instance *list;

	if (instances->n < instances->max)
		return 0;
	list = reallocarray(instances->list, max, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	instances->list = list;
	instances->max = max;
	return 0;
}

/* Looks whether place/name is a runtime directory with a socket, and notes it. 0 or -ENOMEM. */
static int note(struct instances *found, const char *place, const char *name)
{
	cleanup_buf struct buf path = {0};
	struct instance instance = {.name = NULL};
	int r;

	buf_printf(&path, "%s/%s/control.sock", place, name);
	if (path.cut)
		return -ENOMEM;
	instance.error = instance_probe(path.data, INSTANCE_PROBE_TIMEOUT, &instance.pid);
	if (instance.error == -ENOENT || instance.error == -ENOTDIR ||
	    instance.error == -ENAMETOOLONG)
		return 0;
	r = instances_grow(found);
	if (r < 0)
		return r;
	instance.name = strdup(name);
	instance.socket = strdup(path.data);
	if (instance.name == NULL || instance.socket == NULL) {
		instance_free(&instance);
		return -ENOMEM;
	}
	found->list[found->n++] = instance;
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int find_in(struct instances *found, const char *place)
{
	struct dirent **entries = NULL;
	int n = scandir(place, &entries, is_visible, by_name);
	int r = 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && found->n < INSTANCES_MAX)
			r = note(found, place, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int instances_find(struct instances *ret)
{
	struct instances found = {.list = NULL};
	struct buf list[PLACES_MAX] = {0};
	size_t n = places(list);
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = find_in(&found, list[i].data);
		buf_free(&list[i]);
	}
	if (r < 0)
		instances_free(&found);
	else
		*ret = found;
	return r;
}
