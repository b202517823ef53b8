/* config_verify_sockets.c - holds sockets against each other: addresses that collide, keys without
 * effect, nobody's sockets. */
#include <arpa/inet.h>
#include <stdlib.h>
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

/* One address of a section: of those with `%n` there are several. */
struct place {
	const struct socket_spec *of;
	uint32_t slot;
	struct socket_spec at;
};

struct places {
	struct place *list;
	size_t n;
};

static void free_places(struct places *places)
{
	for (size_t i = 0; i < places->n; i++)
		if (places->list[i].of->per_slot)
			config_socket_at_free(&places->list[i].at);
	free(places->list);
}

/* The first slot for which there is no such address is told. */
static void add_slots(struct places *places, const struct socket_spec *spec, uint32_t n,
		      const struct config *config, struct config_problems *problems)
{
	cleanup_buf struct buf why = {.data = NULL};
	const struct pool_spec *pool;

	for (uint32_t slot = 0; slot < n; slot++) {
		struct place *place = &places->list[places->n];

		*place = (struct place){.of = spec, .slot = slot};
		if (config_socket_at(spec, slot, &place->at, &why) == 0) {
			places->n++;
			continue;
		}
		pool = config_largest_user(config, spec->name);
		config_problem_add(problems, &spec->listen_place, false,
				   "[socket:%s] listen: %s, for %s (pool %s has %u workers)",
				   spec->name, spec->listen, buf_text(&why), pool->name, n);
		return;
	}
}

/* All addresses of the configuration; listen may be missing or wrong, which has been said. */
static bool list_places(const struct config *config, struct config_problems *problems,
			struct places *ret_places)
{
	const struct socket_spec *spec;
	struct places places = {.n = 0};
	size_t i, size = 1;

	for (i = 0; i < config->n_sockets; i++)
		size += 1 + config_socket_count(config, &config->sockets[i]);
	places.list = calloc(size, sizeof(*places.list));
	if (places.list == NULL)
		return false;
	for (i = 0; i < config->n_sockets; i++) {
		spec = &config->sockets[i];
		if (spec->host == NULL && spec->path == NULL)
			continue;
		if (spec->per_slot)
			add_slots(&places, spec, config_socket_count(config, spec), config,
				  problems);
		else
			places.list[places.n++] = (struct place){.of = spec, .at = *spec};
	}
	*ret_places = places;
	return true;
}

static const char *describe_place(const struct place *place, struct buf *out)
{
	buf_add_str(out, place->of->listen);
	if (place->of->per_slot && place->at.path != NULL)
		buf_printf(out, " for slot %u (%s)", place->slot, place->at.path);
	else if (place->of->per_slot)
		buf_printf(out, " for slot %u (port %u)", place->slot, place->at.port);
	return buf_text(out);
}

/* Only those of one kind and port, or path, can collide. */
static int compare_keys(const struct socket_spec *a, const struct socket_spec *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == SOCKET_UNIX || a->kind == SOCKET_SYSTEMD || a->kind == SOCKET_HANDOVER)
		return strcmp(a->path, b->path);
	return (a->port > b->port) - (a->port < b->port);
}

static int compare_places(const void *one, const void *other)
{
	const struct place *a = one, *b = other;
	int r = compare_keys(&a->at, &b->at);

	return r != 0 ? r : (a->of > b->of) - (a->of < b->of);
}

static const char *place_collision(const struct place *a, const struct place *b)
{
	if (a->at.kind == SOCKET_UNIX || a->at.kind == SOCKET_SYSTEMD ||
	    a->at.kind == SOCKET_HANDOVER)
		return "is the same as";
	return collision(a->at.host, a->at.ipv6_only, b->at.host, b->at.ipv6_only,
			 a->at.kind == SOCKET_TCP);
}

/* Two sections are told of once, however many slots of theirs collide. */
struct told {
	bool pairs[CONFIG_SOCKETS_MAX][CONFIG_SOCKETS_MAX];
};

static void verify_pair(const struct config *config, const struct place *a, const struct place *b,
			struct told *told, struct config_problems *problems)
{
	bool *pair = &told->pairs[a->of - config->sockets][b->of - config->sockets];
	cleanup_buf struct buf text_a = {.data = NULL}, text_b = {.data = NULL};
	const char *how = *pair ? NULL : place_collision(a, b);

	if (how == NULL)
		return;
	*pair = true;
	config_problem_add(problems, &a->of->listen_place, false,
			   "[socket:%s] listen: %s %s %s of [socket:%s] at %s:%u", a->of->name,
			   describe_place(a, &text_a), how, describe_place(b, &text_b), b->of->name,
			   b->of->listen_place.file, b->of->listen_place.line);
}

static void verify_addresses(const struct config *config, struct places *places,
			     struct config_problems *problems)
{
	cleanup_free struct told *told = calloc(1, sizeof(*told));
	size_t first = 0;

	if (told == NULL)
		return;
	qsort(places->list, places->n, sizeof(*places->list), compare_places);
	for (size_t i = 0; i < places->n; i++) {
		if (compare_keys(&places->list[first].at, &places->list[i].at) != 0)
			first = i;
		for (size_t j = first; j < i; j++)
			verify_pair(config, &places->list[i], &places->list[j], told, problems);
	}
}

static void verify_status_listen(const struct config *config, const struct places *places,
				 struct config_problems *problems)
{
	const struct supervisor_spec *supervisor = &config->supervisor;
	const struct socket_spec *spec;
	const char *how;
	size_t i;

	for (i = 0; supervisor->status_listen != NULL && i < places->n; i++) {
		cleanup_buf struct buf text = {.data = NULL};

		spec = &places->list[i].at;
		if (spec->kind != SOCKET_TCP || spec->port != supervisor->status_port)
			continue;
		how = collision(supervisor->status_host, -1, spec->host, spec->ipv6_only, true);
		if (how != NULL)
			config_problem_add(
			    problems, &supervisor->status_place, false,
			    "[supervisor] status_listen: %s %s %s of [socket:%s] at %s:%u",
			    supervisor->status_listen, how, describe_place(&places->list[i], &text),
			    spec->name, spec->listen_place.file, spec->listen_place.line);
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
    {"freebind", true, false, true, false},  {"reuseport", true, true, true, false},
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
	case SOCKET_HANDOVER:
		return "handover";
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
	case SOCKET_HANDOVER:
		return false;
	}
	return false;
}

static void verify_keys(const struct socket_spec *spec, const struct config_section *section,
			struct config_problems *problems)
{
	const struct config_entry *entry;
	bool foreign = spec->kind == SOCKET_SYSTEMD || spec->kind == SOCKET_HANDOVER;
	size_t i;

	for (i = 0; i < ARRAY_LEN(effects); i++) {
		entry = config_values_entry(section, effects[i].key);
		if (entry->n == 0 || has_effect(i, spec->kind))
			continue;
		config_problem_add(
		    problems, &entry->place, !foreign, "[%s] %s: %s %s socket%s", section->title,
		    effects[i].key, foreign ? "cannot be set on a" : "has no effect on a",
		    kind_word(spec->kind),
		    spec->kind == SOCKET_SYSTEMD    ? "; its .socket unit decides"
		    : spec->kind == SOCKET_HANDOVER ? "; the instance that opened it decides"
						    : "");
	}
}

/* Of kinds where it would lose what waits, or has no meaning. */
static void verify_reuseport(const struct socket_spec *spec, const struct config_section *section,
			     struct config_problems *problems)
{
	const struct config_entry *entry = config_values_entry(section, "reuseport");
	const char *why = NULL;

	if (entry->n == 0 || !spec->reuseport)
		return;
	if (spec->kind == SOCKET_UDP)
		why = "cannot be set on a udp socket: datagrams that wait at a slot that goes "
		      "would be lost";
	else if (spec->kind == SOCKET_UNIX)
		why = "cannot be set on a unix socket: a path leads to one socket; %n in it makes "
		      "one for each slot";
	else if (spec->kind == SOCKET_TCP && spec->per_slot)
		why = "with %n in listen each slot has a socket of its own already; take out one "
		      "of the two";
	if (why != NULL)
		config_problem_add(problems, &entry->place, false, "[%s] reuseport: %s",
				   section->title, why);
}

/* It would wait for itself. */
static void verify_taken(const struct config *config, const struct socket_spec *spec,
			 struct config_problems *problems)
{
	size_t len =
	    spec->kind == SOCKET_HANDOVER ? (size_t)(strrchr(spec->path, '/') - spec->path) : 0;

	if (len > 0 && len == strlen(config->instance) &&
	    memcmp(spec->path, config->instance, len) == 0)
		config_problem_add(problems, &spec->listen_place, false,
				   "[socket:%s] listen: this is instance %s itself; name the "
				   "instance that has the socket now",
				   spec->name, config->instance);
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
	struct places places;
	size_t i, n = 0;

	for (i = 0; i < config->values->n_sections; i++) {
		if (config->values->sections[i]->kind != KEY_SOCKET)
			continue;
		spec = &config->sockets[n++];
		if (spec->host != NULL || spec->path != NULL)
			verify_keys(spec, config->values->sections[i], problems);
		if (spec->host != NULL || spec->path != NULL)
			verify_reuseport(spec, config->values->sections[i], problems);
		verify_taken(config, spec, problems);
		if (!is_used(config, spec->name))
			config_problem_add(problems, &spec->place, true,
					   "[socket:%s] is used by no pool: %s", spec->name,
					   config_has_slots(spec)
					       ? "there are no slots, so nothing is opened"
					       : "clients that connect to it will hang");
	}
	if (!list_places(config, problems, &places))
		return;
	verify_addresses(config, &places, problems);
	verify_status_listen(config, &places, problems);
	free_places(&places);
}
