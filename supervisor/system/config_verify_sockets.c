/* config_verify_sockets.c - holds sockets against each other: addresses that collide, keys without
 * effect, nobody's sockets. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/fd.h"
#include "system/config_internal.h"

/* A TCP or UDP address, as far as it can be compared without asking a resolver. */
struct address {
	int family; /* AF_INET, AF_INET6, or 0: a name */
	unsigned char bytes[16];
	bool any;  /* all addresses of the family */
	bool dual; /* IPv6, but takes IPv4 too */
};

static bool is_any_host(const char *host)
{
	return *host == '\0' || strcmp(host, "*") == 0;
}

static struct address address_of(const char *host, int ipv6_only)
{
	static const unsigned char zeros[16];
	struct address address = {.family = 0};

	if (is_any_host(host))
		return (struct address){.family = AF_INET6, .any = true, .dual = ipv6_only != 1};
	if (inet_pton(AF_INET, host, address.bytes) == 1) {
		address.family = AF_INET;
		address.any = memcmp(address.bytes, zeros, 4) == 0;
	} else if (inet_pton(AF_INET6, host, address.bytes) == 1) {
		address.family = AF_INET6;
		address.any = memcmp(address.bytes, zeros, 16) == 0;
		/* Unset, it is the host's setting that decides. */
		address.dual = address.any && ipv6_only == 0;
	}
	return address;
}

static bool is_same(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Of two listening TCP sockets, one on all addresses takes the port from the other. */
static bool is_overlap(const struct address *a, const struct address *b)
{
	if (a->family == b->family)
		return a->any || b->any;
	return a->dual || b->dual;
}

/* What a new listener's address is to another's: NULL: nothing, else how they collide. */
static const char *collision(const char *host_a, int ipv6_only_a, const char *host_b,
			     int ipv6_only_b, bool tcp)
{
	struct address a = address_of(host_a, ipv6_only_a), b = address_of(host_b, ipv6_only_b);

	if (a.family == 0 || b.family == 0)
		return strcasecmp(host_a, host_b) == 0 ? "is the same as" : NULL;
	if (is_same(&a, &b))
		return "is the same as";
	return tcp && is_overlap(&a, &b) ? "overlaps with" : NULL;
}

static const char *socket_collision(const struct socket_spec *a, const struct socket_spec *b)
{
	/* listen was missing or wrong, which has been said. */
	if (a->kind != b->kind || (a->host == NULL && a->path == NULL) ||
	    (b->host == NULL && b->path == NULL))
		return NULL;
	if (a->kind == SOCKET_UNIX || a->kind == SOCKET_SYSTEMD)
		return strcmp(a->path, b->path) == 0 ? "is the same as" : NULL;
	if (a->port != b->port || a->port == 0 || a->host == NULL || b->host == NULL)
		return NULL;
	return collision(a->host, a->ipv6_only, b->host, b->ipv6_only, a->kind == SOCKET_TCP);
}

static void verify_addresses(const struct config *config, struct config_problems *problems)
{
	const struct socket_spec *a, *b;
	const char *how;
	size_t i, j;

	for (i = 0; i < config->n_sockets; i++) {
		a = &config->sockets[i];
		for (j = 0; j < i; j++) {
			b = &config->sockets[j];
			how = socket_collision(a, b);
			if (how != NULL)
				config_problem_add(
				    problems, &a->listen_place, false,
				    "[socket:%s] listen: %s %s %s of [socket:%s] at %s:%u", a->name,
				    a->listen, how, b->listen, b->name, b->listen_place.file,
				    b->listen_place.line);
		}
	}
}

static void verify_status_listen(const struct config *config, struct config_problems *problems)
{
	const struct supervisor_spec *supervisor = &config->supervisor;
	const struct socket_spec *spec;
	const char *how;
	size_t i;

	for (i = 0; supervisor->status_listen != NULL && i < config->n_sockets; i++) {
		spec = &config->sockets[i];
		if (spec->kind != SOCKET_TCP || spec->host == NULL ||
		    spec->port != supervisor->status_port)
			continue;
		how = collision(supervisor->status_host, -1, spec->host, spec->ipv6_only, true);
		if (how != NULL)
			config_problem_add(
			    problems, &supervisor->status_place, false,
			    "[supervisor] status_listen: %s %s %s of [socket:%s] at %s:%u",
			    supervisor->status_listen, how, spec->listen, spec->name,
			    spec->listen_place.file, spec->listen_place.line);
	}
}

/* Which kinds of sockets a key has an effect on. */
static const struct {
	const char *key;
	bool tcp, unix_path, udp, systemd;
} effects[] = {
    {"backlog", true, true, false, true},    {"mode", false, true, false, false},
    {"owner", false, true, false, false},    {"group", false, true, false, false},
    {"ipv6_only", true, false, true, false}, {"reuseaddr", true, false, true, false},
    {"freebind", true, false, true, false},
};

static const char *kind_word(enum socket_kind kind)
{
	switch (kind) {
	case SOCKET_TCP:
		return "tcp";
	case SOCKET_UNIX:
		return "unix";
	case SOCKET_UDP:
		return "udp";
	case SOCKET_SYSTEMD:
		return "systemd";
	}
	return "";
}

static bool has_effect(size_t i, enum socket_kind kind)
{
	switch (kind) {
	case SOCKET_TCP:
		return effects[i].tcp;
	case SOCKET_UNIX:
		return effects[i].unix_path;
	case SOCKET_UDP:
		return effects[i].udp;
	case SOCKET_SYSTEMD:
		return effects[i].systemd;
	}
	return false;
}

static void verify_keys(const struct socket_spec *spec, const struct config_section *section,
			struct config_problems *problems)
{
	const struct config_entry *entry;
	bool systemd = spec->kind == SOCKET_SYSTEMD;
	size_t i;

	for (i = 0; i < ARRAY_LEN(effects); i++) {
		entry = config_values_entry(section, effects[i].key);
		if (entry->n == 0 || has_effect(i, spec->kind))
			continue;
		config_problem_add(
		    problems, &entry->place, !systemd, "[%s] %s: %s %s socket%s", section->title,
		    effects[i].key, systemd ? "cannot be set on a" : "has no effect on a",
		    kind_word(spec->kind), systemd ? "; its .socket unit decides" : "");
	}
}

static bool is_used(const struct config *config, const char *name)
{
	size_t i, j;

	for (i = 0; i < config->n_pools; i++)
		for (j = 0; j < config->pools[i].n_sockets; j++)
			if (strcmp(config->pools[i].sockets[j], name) == 0)
				return true;
	return false;
}

void config_verify_sockets(const struct config *config, struct config_problems *problems)
{
	const struct socket_spec *spec;
	size_t i, n = 0;

	for (i = 0; i < config->values->n_sections; i++) {
		if (config->values->sections[i]->kind != KEY_SOCKET)
			continue;
		spec = &config->sockets[n++];
		if (spec->host != NULL || spec->path != NULL)
			verify_keys(spec, config->values->sections[i], problems);
		if (!is_used(config, spec->name))
			config_problem_add(
			    problems, &spec->place, true,
			    "[socket:%s] is used by no pool: clients that connect to it will hang",
			    spec->name);
	}
	verify_addresses(config, problems);
	verify_status_listen(config, problems);
}
