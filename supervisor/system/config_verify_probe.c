/* config_verify_probe.c - does a probe reach the worker that it asks? */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "system/config_internal.h"

/* ---- the probe socket ---- */

/* "ready", "live": the key that makes a worker be asked. */
static const char *asked_by(const struct pool_spec *pool)
{
	return pool->ready == READY_PROBE && pool->ready_probe.kind != PROBE_KIND_EXEC ? "ready"
										       : "live";
}

static void verify_tcp(const struct config_verify_pool *verify, const char *key,
		       const struct probe_spec *probe)
{
	if (probe->kind == PROBE_KIND_TCP)
		config_verify_fail(
		    verify, key,
		    "tcp would prove nothing: the probe socket takes connections before the "
		    "worker does anything; use http:/PATH or grpc, or say in probe_address where "
		    "the server listens by itself");
}

static void verify_socket(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;
	int number = 3 + (pool->handoff == HANDOFF_INHERIT ? (int)pool->n_sockets : 0);

	if (pool->bind_shim)
		config_verify_fail(
		    verify, asked_by(pool),
		    "a server that binds its addresses itself (bind_shim) does not serve on the "
		    "probe socket: say in probe_address where it can be asked, or use exec");
	verify_tcp(verify, "ready", &pool->ready_probe);
	verify_tcp(verify, "live", &pool->live);
	for (size_t i = 0; i < pool->n_sockets; i++)
		if (strcmp(pool->sockets[i], "probe") == 0)
			config_verify_fail(
			    verify, "sockets",
			    "'probe' is the name of the worker's probe socket: call it otherwise");
	if (pool->ready == READY_FD && pool->ready_fd == number)
		config_verify_fail(verify, "ready",
				   "fd:%d is the descriptor of the probe socket; take a higher one",
				   number);
}

/* ---- probe_address ---- */

static bool is_same_host(const struct socket_spec *spec, const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	struct in6_addr host6;
	struct in_addr host;

	if (*spec->host == '\0' || strcmp(spec->host, "*") == 0)
		return true;
	if (inet_pton(AF_INET, spec->host, &host) == 1)
		return address->ss_family == AF_INET &&
		       (host.s_addr == 0 || host.s_addr == in->sin_addr.s_addr);
	if (inet_pton(AF_INET6, spec->host, &host6) == 1)
		return IN6_IS_ADDR_UNSPECIFIED(&host6) ||
		       (address->ss_family == AF_INET6 &&
			IN6_ARE_ADDR_EQUAL(&host6, &in6->sin6_addr));
	return true; /* a name: nobody else is expected on that port */
}

static bool is_socket(const struct socket_spec *spec, const struct sockaddr_storage *address)
{
	const struct sockaddr_un *un = (const void *)address;
	/* at the same place in sockaddr_in6 */
	uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);

	if (address->ss_family == AF_UNIX)
		return spec->kind == SOCKET_UNIX && spec->path != NULL &&
		       strcmp(spec->path, un->sun_path) == 0;
	return spec->kind == SOCKET_TCP && spec->host != NULL && spec->port == port &&
	       is_same_host(spec, address);
}

/* A socket of the slot's own is shared by worker and successor. */
static bool is_socket_at(const struct socket_spec *spec, uint32_t slot,
			 const struct sockaddr_storage *address)
{
	cleanup_buf struct buf why = {.data = NULL};
	struct socket_spec own;
	bool is;

	if (!spec->per_slot)
		return is_socket(spec, address);
	if (config_socket_at(spec, slot, &own, &why) < 0)
		return false;
	is = is_socket(&own, address);
	config_socket_at_free(&own);
	return is;
}

/* False: said, and the same of every other slot. */
static bool verify_slot(const struct config_verify_pool *verify, uint32_t slot)
{
	const struct config_who who = {.instance = verify->config->instance,
				       .pool = verify->pool->name,
				       .slot = slot,
				       .generation = 1};
	cleanup_buf struct buf why = {.data = NULL};
	struct sockaddr_storage address;
	socklen_t len;

	if (config_probe_address(verify->pool->probe_address, &who, &address, &len, &why) < 0) {
		config_verify_fail(verify, "probe_address", "for slot %u: %s", slot,
				   buf_text(&why));
		return false;
	}
	for (size_t i = 0; i < verify->config->n_sockets; i++)
		if (is_socket_at(&verify->config->sockets[i], slot, &address)) {
			config_verify_fail(
			    verify, "probe_address",
			    "%s is [socket:%s], where others may answer; leave it out to ask "
			    "each worker over a probe socket of its own, or give each a port of "
			    "its "
			    "own (%%n)",
			    verify->pool->probe_address, verify->config->sockets[i].name);
			return false;
		}
	return true;
}

static bool has_slot(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '%' && *++text == 'n')
			return true;
	return false;
}

static void verify_address(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;

	if ((pool->workers > 1 || pool->workers_auto) && !has_slot(pool->probe_address)) {
		config_verify_fail(
		    verify, "probe_address",
		    "%s is the same for all workers, so any of them might answer: put %%n, the "
		    "slot, into it, or leave it out to ask each worker over a probe socket of its "
		    "own",
		    pool->probe_address);
		return;
	}
	for (uint32_t slot = 0; slot < pool->workers && verify_slot(verify, slot); slot++)
		continue;
}

/* A condition with a mistake, which was told of, names nobody whom it would ask. */
static bool is_meant_for_server(const struct config_verify_pool *verify, const char *key)
{
	const struct config_entry *entry = config_values_entry(verify->section, key);
	const char *text = entry->n > 0 ? entry->texts[entry->n - 1].text : "";

	return strncmp(text, "http", 4) == 0 || strncmp(text, "grpc", 4) == 0 ||
	       strncmp(text, "tcp", 3) == 0;
}

void config_verify_probe(const struct config_verify_pool *verify)
{
	if (config_has_probe_socket(verify->pool))
		verify_socket(verify);
	if (verify->pool->probe_address == NULL)
		return;
	if (config_asks_server(verify->pool))
		verify_address(verify);
	else if (!is_meant_for_server(verify, "ready") && !is_meant_for_server(verify, "live"))
		config_verify_fail(
		    verify, "probe_address",
		    "nothing is asked there: neither ready nor live is tcp, http or grpc");
}
