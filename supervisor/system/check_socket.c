/* check_socket.c - whether sockets could be opened: bound for a moment (TCP, UDP), looked at (Unix
 * paths). */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/channel.h"
#include "system/check_internal.h"
#include "system/config_internal.h"
#include "system/listener.h"
#include "system/proc.h"

static bool is_same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcasecmp(a, b) == 0;
}

static bool is_same_address(const struct socket_spec *a, const struct socket_spec *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == SOCKET_UNIX || a->kind == SOCKET_HANDOVER)
		return strcmp(a->path, b->path) == 0;
	return a->host != NULL && a->port == b->port && is_same_text(a->host, b->host);
}

/* Is it among the addresses of a section with `%n`, of that many slots? */
static bool is_one_of(const struct socket_spec *spec, const struct socket_spec *slots, uint32_t n)
{
	struct socket_spec other;
	bool same = false;

	for (uint32_t slot = 0; !same && slot < n && slots->kind == spec->kind; slot++) {
		cleanup_buf struct buf why = {.data = NULL};

		if (config_socket_at(slots, slot, &other, &why) < 0)
			return false;
		same = is_same_address(spec, &other);
		config_socket_at_free(&other);
	}
	return same;
}

/* Does the running instance have this address? Then it will keep it, and nobody can bind it now. */
static bool is_ours(const struct check *check, const struct socket_spec *spec)
{
	const struct config *running = check->context->running;
	const struct socket_spec *other;
	size_t i;

	for (i = 0; running != NULL && i < running->n_sockets; i++) {
		other = &running->sockets[i];
		if (other->per_slot ? is_one_of(spec, other, config_socket_count(running, other))
				    : is_same_address(spec, other))
			return true;
	}
	return false;
}

static void bind_for_a_moment(const struct check *check, const char *key,
			      const struct listener_spec *spec)
{
	struct listener listener = {.fd = -1};
	cleanup_free char *error = NULL;
	int r;

	r = listener_open(spec, &listener, &error);
	if (r == 0)
		listener_close(&listener);
	else
		check_fail(check, key, "%s", error != NULL ? error : strerror(-r));
}

static void check_inet(const struct check *check, const struct socket_spec *socket)
{
	struct listener_spec spec = {
	    .type = socket->kind == SOCKET_TCP ? SOCK_STREAM : SOCK_DGRAM,
	    .host = socket->host,
	    .port = socket->port,
	    .backlog = 1,
	    .ipv6_only = socket->ipv6_only,
	    .reuseaddr = socket->reuseaddr,
	    .freebind = socket->freebind,
	};

	if (check->context->bind_test && !is_ours(check, socket))
		bind_for_a_moment(check, "listen", &spec);
}

/* A path that exists: a socket that nobody serves is replaced at the start; anything else is not.
 */
static void check_existing_path(const struct check *check, const struct socket_spec *spec,
				const struct stat *st)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct proc_holder holder;

	if (!S_ISSOCK(st->st_mode)) {
		check_fail(check, "listen", "%s exists and is no socket; it will not be touched",
			   QUOTE(spec->path));
		return;
	}
	memcpy(address.sun_path, spec->path, strlen(spec->path) + 1);
	/* at a start or reload binding it tells; before that an instance of the same name must be
	 * noticed */
	if (!check->context->bind_test)
		return;
	if (proc_find_holder((struct sockaddr *)&address, sizeof(address), SOCK_STREAM, &holder) ==
	    0)
		check_fail(check, "listen", "%s is in use by %s (pid %d)", QUOTE(spec->path),
			   holder.name, (int)holder.pid);
}

static void check_unix_accounts(const struct check *check, const struct socket_spec *spec)
{
	uid_t uid;
	gid_t gid;

	if (spec->owner != NULL) {
		if (check_find_user(spec->owner, &uid, &gid) < 0)
			check_fail(check, "owner", "there is no user %s", QUOTE(spec->owner));
		else if (uid != geteuid() && !check_has_capability(CAP_CHOWN))
			check_fail(check, "owner",
				   "only root may give a socket to %s, and we are uid %u",
				   QUOTE(spec->owner), (unsigned)geteuid());
	}
	if (spec->group != NULL && check_find_group(spec->group, &gid) < 0)
		check_fail(check, "group", "there is no group %s", QUOTE(spec->group));
}

static void check_unix(const struct check *check, const struct socket_spec *spec)
{
	cleanup_free char *directory =
	    strndup(spec->path, (size_t)(strrchr(spec->path, '/') - spec->path) + 1);
	struct stat st;

	check_unix_accounts(check, spec);
	if (directory == NULL || is_ours(check, spec))
		return;
	if (stat(directory, &st) == -1)
		check_fail(check, "listen", "the directory %s: %s", QUOTE(directory),
			   strerror(errno));
	else if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == -1)
		check_fail(check, "listen", "no socket can be made in %s: %s", QUOTE(directory),
			   strerror(errno));
	else if (lstat(spec->path, &st) == 0)
		check_existing_path(check, spec, &st);
}

/* Does the other instance run, and may we ask it? Whether it has such a socket it says when it is
 * asked for it. */
static void check_handover(const struct check *check, const struct socket_spec *spec)
{
	size_t len = (size_t)(strrchr(spec->path, '/') - spec->path);
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	int r = -ENOENT;

	if (!check->context->bind_test || is_ours(check, spec))
		return;
	for (unsigned n = 0; r == -ENOENT; n++) {
		free(path);
		path = channel_instance_path(NULL, spec->path, len, n);
		if (path == NULL)
			break;
		r = channel_dial(path, &fd);
	}
	if (r == -EACCES)
		check_fail(check, "listen",
			   "no permission to take a socket from instance %.*s at %s", (int)len,
			   spec->path, path);
	else if (r < 0)
		check_warn(check, "listen",
			   "instance %.*s does not run here: a start will fail until it does",
			   (int)len, spec->path);
}

static void check_one(const struct check *check, const struct socket_spec *spec)
{
	switch (spec->kind) {
	case SOCKET_TCP:
	case SOCKET_UDP:
		check_inet(check, spec);
		break;
	case SOCKET_UNIX:
		check_unix(check, spec);
		break;
	case SOCKET_HANDOVER:
		check_handover(check, spec);
		break;
	case SOCKET_SYSTEMD:
		/* Only the service manager that starts us knows. */
		break;
	}
}

void check_socket(const struct check *check, const struct socket_spec *spec)
{
	uint32_t n = spec->per_slot ? config_socket_count(check->config, spec) : 1;
	bool warned = !check->context->advise;
	struct socket_spec at;

	for (uint32_t slot = 0; slot < n; slot++) {
		cleanup_buf struct buf why = {.data = NULL};

		if (!spec->per_slot) {
			warned = warned || check_ports(check, spec);
			check_one(check, spec);
		} else if (config_socket_at(spec, slot, &at, &why) < 0) {
			return; /* config_read() has said so */
		} else {
			warned = warned || check_ports(check, &at);
			check_one(check, &at);
			config_socket_at_free(&at);
		}
	}
}

static void check_status_listen(const struct check *check)
{
	const struct supervisor_spec *ours = &check->config->supervisor;
	const struct config *running = check->context->running;
	struct listener_spec spec = {.type = SOCK_STREAM,
				     .host = ours->status_host,
				     .port = ours->status_port,
				     .backlog = 1,
				     .ipv6_only = -1,
				     .reuseaddr = true};

	if (ours->status_listen == NULL || !check->context->bind_test)
		return;
	if (running != NULL && running->supervisor.status_listen != NULL &&
	    running->supervisor.status_port == ours->status_port &&
	    is_same_text(running->supervisor.status_host, ours->status_host))
		return;
	bind_for_a_moment(check, "status_listen", &spec);
}

void check_supervisor(const struct check *check)
{
	const char *group = check->config->supervisor.operator_group;
	gid_t gid;

	if (group != NULL && check_find_group(group, &gid) < 0)
		check_fail(check, "operator_group", "there is no group %s", QUOTE(group));
	check_status_listen(check);
}
