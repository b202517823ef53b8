/* check_run.c - `handoverd --check` and `handover check`: one implementation, from the file to the
 * exit status. */
#include "system/check_run.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "system/check.h"
#include "system/host.h"
#include "system/proc.h"

enum { EXIT_OK = 0, EXIT_CONFIG = 78 };

/* The instance that the configuration is for, if it runs. */
struct runner {
	const char *instance;
	bool runs;
	pid_t pid;     /* 0: not known */
	bool readable; /* we may see which sockets it holds */
};

/* Connects to a control socket; tells whether somebody listens, and who. */
static bool look_at(const char *path, struct runner *runner)
{
	struct timeval second = {.tv_sec = 1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);
	cleanup_close int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return false;
	/* an instance that hangs must not make the check hang */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		return runner->runs = errno == EACCES || errno == EPERM || errno == EAGAIN;
	runner->runs = true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
		runner->pid = peer.pid;
		runner->readable = geteuid() == 0 || geteuid() == peer.uid;
	}
	return true;
}

static bool look_in(const char *directory, const char *instance, struct runner *runner)
{
	cleanup_buf struct buf path = {0};

	buf_printf(&path, "%s%s%s/control.sock", directory, instance != NULL ? "/" : "",
		   instance != NULL ? instance : "");
	return !path.cut && look_at(path.data, runner);
}

/* Where an instance of that name would have its control socket: see `handoverd --runtime-dir`. */
static struct runner find_runner(const char *instance, const char *control_socket)
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	const char *given = getenv("RUNTIME_DIRECTORY");
	struct runner runner = {.instance = instance};
	cleanup_buf struct buf users = {0};

	if (control_socket != NULL) {
		look_at(control_socket, &runner);
		return runner;
	}
	if (given != NULL && given[0] == '/' && look_in(given, NULL, &runner))
		return runner;
	if (geteuid() != 0 && own != NULL && own[0] == '/') {
		buf_printf(&users, "%s/handover", own);
		if (look_in(users.data, instance, &runner))
			return runner;
	}
	look_in("/run/handover", instance, &runner);
	return runner;
}

/* Does the instance that runs hold this address? */
static bool holds(const struct runner *runner, const struct sockaddr *address, socklen_t len,
		  int type)
{
	struct proc_holder holder;

	if (proc_find_holder(address, len, type, &holder) < 0)
		/* nobody; or somebody whose descriptors we may not see: then it is most likely the
		 * instance */
		return !runner->readable;
	return (runner->pid > 0 && holder.pid == runner->pid) ||
	       strcmp(holder.instance, runner->instance) == 0;
}

static bool holds_inet(const struct runner *runner, const char *host, uint16_t port, int type)
{
	struct addrinfo *found = NULL;
	bool held = false;
	bool any = host == NULL || host[0] == '\0' || strcmp(host, "*") == 0;

	if (host_resolve(any ? NULL : host, port, type, &found) != 0)
		return false;
	for (const struct addrinfo *at = found; at != NULL && !held; at = at->ai_next)
		held = holds(runner, at->ai_addr, at->ai_addrlen, type);
	freeaddrinfo(found);
	return held;
}

static bool holds_unix(const struct runner *runner, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (path == NULL || strlen(path) >= sizeof(address.sun_path) || stat(path, &st) == -1)
		return false;
	strcpy(address.sun_path, path);
	return holds(runner, (const struct sockaddr *)&address, sizeof(address), SOCK_STREAM);
}

static bool holds_socket(const struct runner *runner, const struct socket_spec *socket)
{
	switch (socket->kind) {
	case SOCKET_TCP:
		return holds_inet(runner, socket->host, socket->port, SOCK_STREAM);
	case SOCKET_UDP:
		return holds_inet(runner, socket->host, socket->port, SOCK_DGRAM);
	case SOCKET_UNIX:
		return holds_unix(runner, socket->path);
	case SOCKET_SYSTEMD:
	case SOCKET_HANDOVER:
		return true;
	}
	return false;
}

/* Of a socket with `%n`, the addresses of those slots that the instance has. */
static void take_slots(const struct config *config, const struct socket_spec *spec,
		       const struct runner *runner, struct config *held)
{
	uint32_t n = config_socket_count(config, spec);

	for (uint32_t slot = 0; slot < n; slot++) {
		struct socket_spec *at = &held->sockets[held->n_sockets];
		cleanup_buf struct buf why = {.data = NULL};

		if (config_socket_at(spec, slot, at, &why) < 0)
			return;
		if (holds_socket(runner, at))
			held->n_sockets++;
		else
			config_socket_at_free(at);
	}
}

static void free_held(const struct config *config, struct config *held)
{
	for (size_t i = 0; i < held->n_sockets; i++)
		if (config_find_socket(config, held->sockets[i].name)->per_slot)
			config_socket_at_free(&held->sockets[i]);
	free(held->sockets);
}

/*
 * Of what the new configuration wants, that which the instance has already: its addresses are no
 * conflict. The strings stay the configuration's (but for slots); only the list of sockets is new,
 * and the caller's: free_held().
 */
static int take_held(const struct config *config, const struct runner *runner,
		     struct config *ret_held)
{
	struct config held = *config;
	size_t size = 1;

	held.n_pools = 0;
	held.pools = NULL;
	held.n_sockets = 0;
	for (size_t i = 0; i < config->n_sockets; i++)
		size += config_socket_count(config, &config->sockets[i]);
	held.sockets = calloc(size, sizeof(*held.sockets));
	if (held.sockets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_sockets; i++)
		if (config->sockets[i].per_slot)
			take_slots(config, &config->sockets[i], runner, &held);
		else if (holds_socket(runner, &config->sockets[i]))
			held.sockets[held.n_sockets++] = config->sockets[i];
	if (held.supervisor.status_listen != NULL &&
	    !holds_inet(runner, held.supervisor.status_host, held.supervisor.status_port,
			SOCK_STREAM))
		held.supervisor.status_listen = held.supervisor.status_host = NULL;
	*ret_held = held;
	return 0;
}

static int check_beside(const struct config *config, const char *control_socket,
			struct config_problems *problems, struct buf *summary)
{
	struct runner runner = find_runner(config->instance, control_socket);
	struct config held = {.path = NULL};
	struct check_context context = {.running = NULL, .bind_test = true, .advise = true};
	cleanup_buf struct buf unit = {0};
	int r = 0;

	if (runner.runs) {
		r = take_held(config, &runner, &held);
		context.running = &held;
		context.master = runner.pid;
	}
	if (r == 0)
		r = check_world(config, &context, problems, summary);
	free_held(config, &held);
	buf_printf(&unit, "handover@%s.service", config->instance);
	check_unit(config, unit.data, problems, summary);
	return r;
}

int check_run_beside(const char *path, bool syntax, const char *control_socket, FILE *out,
		     FILE *err)
{
	struct config_problems problems = {.list = NULL};
	struct config *config = NULL;
	cleanup_buf struct buf told = {.max = 4 * 1024 * 1024};
	cleanup_buf struct buf summary = {0};
	int r = config_read(path, &config, &problems);

	if (r == 0 && !syntax)
		r = check_beside(config, control_socket, &problems, &summary);
	config_problems_print(&problems, &told);
	if (told.data != NULL)
		fputs(told.data, err);
	else if (r < 0)
		fprintf(err, "%s: %s\n", path, strerror(-r));
	if (r == 0 && summary.data != NULL)
		fputs(summary.data, out);
	if (r == 0)
		fprintf(out, "%s: no mistakes%s\n", path, syntax ? " in the syntax" : "");
	fflush(out);
	fflush(err);
	config_free(config);
	config_problems_free(&problems);
	return r == 0 ? EXIT_OK : EXIT_CONFIG;
}

int check_run(const char *path, bool syntax, FILE *out, FILE *err)
{
	return check_run_beside(path, syntax, NULL, out, err);
}
