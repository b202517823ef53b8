/* adapt.c - workers that know nothing of us: the bind shim, and the variables of other supervisors.
 */
#include "engine/adapt.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/sockets.h"
#include "system/shim.h"

struct adapt {
	const struct proc *proc;
	char *const *environment;
	char **list;
	size_t n;
	bool failed;
};

static void adapt_set(struct adapt *adapt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void adapt_set(struct adapt *adapt, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&adapt->list[adapt->n], format, args) == -1) {
		adapt->list[adapt->n] = NULL;
		adapt->failed = true;
	} else {
		adapt->n++;
	}
	va_end(args);
}

static const char *adapt_get(const struct adapt *adapt, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; adapt->environment[i] != NULL; i++)
		if (strncmp(adapt->environment[i], name, len) == 0 &&
		    adapt->environment[i][len] == '=')
			return adapt->environment[i] + len + 1;
	return "";
}

/* ---- the bind shim ---- */

/* In front of the user's own libraries, so that it sees the program's calls first, and theirs see
 * what it lets through. */
static void adapt_preload(struct adapt *adapt)
{
	const char *own = adapt_get(adapt, "LD_PRELOAD");
	cleanup_free char *library = NULL;

	if (shim_find(&library) < 0) {
		adapt->failed = true;
		return;
	}
	adapt_set(adapt, "LD_PRELOAD=%s%s%s", library, own[0] != '\0' ? ":" : "", own);
}

/* Numbers and inodes, by which a program that the worker executes knows whether they are still the
 * same. */
static void adapt_shim(struct adapt *adapt)
{
	const struct version *version = adapt->proc->version;
	cleanup_buf struct buf sockets = {.data = NULL};
	struct stat st;

	for (size_t n = 0; n < version->spec->n_sockets; n++)
		if (fstat(sockets_of(version, n, adapt->proc->slot)->listener.fd, &st) == 0)
			buf_printf(&sockets, "%s%zu:%llu", sockets.len > 0 ? " " : "", 3 + n,
				   (unsigned long long)st.st_ino);
	adapt_preload(adapt);
	adapt_set(adapt, "HANDOVER_BIND=%s", buf_text(&sockets));
}

/* ---- other supervisors ---- */

/* "80", "127.0.0.1:80", "[::1]:80", "/run/x.sock": as Server::Starter calls an address. */
static void adapt_address(const struct listener *listener, struct buf *out)
{
	const struct sockaddr_in6 *v6 = (const void *)&listener->address;
	const struct sockaddr_in *v4 = (const void *)&listener->address;
	const struct sockaddr_un *un = (const void *)&listener->address;
	char ip[INET6_ADDRSTRLEN];

	switch (listener->address.ss_family) {
	case AF_INET:
		if (v4->sin_addr.s_addr != htonl(INADDR_ANY))
			buf_printf(out, "%s:", inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip)));
		buf_printf(out, "%u", ntohs(v4->sin_port));
		break;
	case AF_INET6:
		buf_printf(out, "[%s]:%u", inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip)),
			   ntohs(v6->sin6_port));
		break;
	default:
		buf_printf(out, "%.*s", (int)sizeof(un->sun_path), un->sun_path);
	}
}

/* Without sockets there is no list at all: h2o refuses an empty one. */
static void adapt_server_starter(struct adapt *adapt)
{
	const struct version *version = adapt->proc->version;
	cleanup_buf struct buf ports = {.data = NULL};

	for (size_t n = 0; n < version->spec->n_sockets; n++) {
		const struct listener *listener =
		    &sockets_of(version, n, adapt->proc->slot)->listener;

		if (listener->type != SOCK_STREAM)
			continue;
		buf_add_str(&ports, ports.len > 0 ? ";" : "");
		adapt_address(listener, &ports);
		buf_printf(&ports, "=%zu", 3 + n);
	}
	if (ports.len > 0)
		adapt_set(adapt, "SERVER_STARTER_PORT=%s", ports.data);
	adapt_set(adapt, "SERVER_STARTER_GENERATION=%u", adapt->proc->generation);
}

/* "3 4", "3;4;": the descriptors of all sockets, each behind `before` and in front of `behind`. */
static void adapt_numbers(const struct pool_spec *spec, const char *before, const char *behind,
			  struct buf *out)
{
	for (size_t n = 0; n < spec->n_sockets; n++)
		buf_printf(out, "%s%zu%s", n > 0 ? before : "", 3 + n, behind);
}

int adapt_ack_number(const struct pool_spec *spec)
{
	int number =
	    3 + (int)spec->n_sockets + config_has_probe_socket(spec) + (int)spec->fd_store_max;

	return spec->ready == READY_FD && spec->ready_fd == number ? number + 1 : number;
}

static void adapt_einhorn(struct adapt *adapt)
{
	const struct pool_spec *spec = adapt->proc->version->spec;
	cleanup_buf struct buf numbers = {.data = NULL};

	adapt_numbers(spec, " ", "", &numbers);
	adapt_set(adapt, "EINHORN_MASTER_PID=%d", (int)getpid());
	adapt_set(adapt, "EINHORN_CHILD_INDEX=%u", adapt->proc->slot);
	adapt_set(adapt, "EINHORN_SOCK_FD=%d", adapt_ack_number(spec));
	adapt_set(adapt, "EINHORN_FD_COUNT=%zu", spec->n_sockets);
	for (size_t n = 0; n < spec->n_sockets; n++)
		adapt_set(adapt, "EINHORN_FD_%zu=%zu", n, 3 + n);
	if (numbers.len > 0)
		adapt_set(adapt, "EINHORN_FDS=%s", numbers.data);
}

static void adapt_nginx(struct adapt *adapt)
{
	cleanup_buf struct buf numbers = {.data = NULL};

	adapt_numbers(adapt->proc->version->spec, "", ";", &numbers);
	if (numbers.len > 0)
		adapt_set(adapt, "NGINX=%s", numbers.data);
}

/* ---- all of it ---- */

size_t adapt_count(const struct pool_spec *spec)
{
	size_t n = spec->bind_shim ? 2 : 0;

	if ((spec->compat & COMPAT_SERVER_STARTER) != 0)
		n += 2;
	if ((spec->compat & COMPAT_EINHORN) != 0)
		n += 5 + spec->n_sockets;
	return n + ((spec->compat & COMPAT_NGINX) != 0);
}

char **adapt_environment(const struct proc *proc, char *const *environment)
{
	const struct pool_spec *spec = proc->version->spec;
	struct adapt adapt = {.proc = proc, .environment = environment};

	adapt.list = calloc(adapt_count(spec) + 1, sizeof(*adapt.list));
	if (adapt.list == NULL)
		return NULL;
	if (spec->bind_shim)
		adapt_shim(&adapt);
	if ((spec->compat & COMPAT_SERVER_STARTER) != 0)
		adapt_server_starter(&adapt);
	if ((spec->compat & COMPAT_EINHORN) != 0)
		adapt_einhorn(&adapt);
	if ((spec->compat & COMPAT_NGINX) != 0)
		adapt_nginx(&adapt);
	if (!adapt.failed)
		return adapt.list;
	while (adapt.n > 0)
		free(adapt.list[--adapt.n]);
	free(adapt.list);
	return NULL;
}

bool adapt_is_private(const char *variable)
{
	static const char *const beginnings[] = {
	    "FDSTORE=", "HANDOVER_STORED=", "HANDOVER_BIND=", "SERVER_STARTER_PORT=", "EINHORN_",
	    "NGINX="};

	for (size_t n = 0; n < ARRAY_LEN(beginnings); n++)
		if (strncmp(variable, beginnings[n], strlen(beginnings[n])) == 0)
			return true;
	return false;
}
