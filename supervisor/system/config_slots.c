/* config_slots.c - `%n` in `listen`: one address for each slot of the pools that use the socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* Where `%` begins a specifier: in a path, and behind the ':' in front of a port. (In brackets it
 * begins the zone of an IPv6 address.) NULL: nowhere in such a text. */
static const char *specifiers_begin(const char *text)
{
	const char *at = strrchr(text, ':');

	if (strncmp(text, "unix:", 5) == 0)
		return text + 5;
	if (strncmp(text, "tcp://", 6) != 0 && strncmp(text, "udp://", 6) != 0)
		return NULL;
	return at != NULL && strchr(at, ']') == NULL ? at + 1 : NULL;
}

int config_slots_check(const char *text, bool *ret_per_slot, struct buf *why)
{
	const char *at = specifiers_begin(text);
	bool path = strncmp(text, "unix:", 5) == 0;

	*ret_per_slot = false;
	while (at != NULL && (at = strchr(at, '%')) != NULL) {
		if (at[1] != 'n' && !(path && at[1] == '%')) {
			buf_printf(why,
				   "%s: only %%n, the slot, is replaced here, which makes a socket "
				   "for each slot%s",
				   QUOTE(text), path ? "; a percent sign is written %%" : "");
			return -EINVAL;
		}
		*ret_per_slot = *ret_per_slot || at[1] == 'n';
		at += 2;
	}
	return 0;
}

/* "9100+%n" is a sum. */
static bool expand_sum(const char *port, uint32_t slot, struct buf *out)
{
	cleanup_free char *first = strndup(port, strcspn(port, "+"));
	uint64_t number;

	if (first == NULL || strcmp(port + strlen(first), "+%n") != 0 ||
	    parse_uint(first, 0, 65535, &number) < 0)
		return false;
	buf_printf(out, "%llu", (unsigned long long)number + slot);
	return true;
}

char *config_slots_expand(const char *text, uint32_t slot)
{
	const struct config_who who = {.instance = "", .pool = "", .slot = slot};
	const char *at = specifiers_begin(text);
	struct buf out = {.max = CONFIG_VALUE_MAX};
	cleanup_free char *rest = NULL;

	if (at == NULL)
		return strdup(text);
	buf_add(&out, text, (size_t)(at - text));
	if (strncmp(text, "unix:", 5) == 0 || !expand_sum(at, slot, &out)) {
		rest = config_expand(at, &who);
		if (rest == NULL)
			buf_free(&out);
		else
			buf_add_str(&out, rest);
	}
	if (out.cut)
		buf_free(&out);
	return out.data;
}

int config_socket_at(const struct socket_spec *spec, uint32_t slot, struct socket_spec *ret_spec,
		     struct buf *why)
{
	cleanup_free char *text = config_slots_expand(spec->listen, slot);
	cleanup_buf struct buf wrong = {.data = NULL};
	struct socket_spec at = *spec;
	int r;

	at.host = at.path = NULL;
	at.per_slot = false;
	at.slot = slot;
	r = text != NULL ? config_parse_listen(text, &at, &wrong) : -ENOMEM;
	if (r < 0) {
		buf_printf(why, "slot %u: %s", slot,
			   wrong.data != NULL ? wrong.data : strerror(-r));
		config_socket_at_free(&at);
		return r;
	}
	*ret_spec = at;
	return 0;
}

void config_socket_at_free(struct socket_spec *spec)
{
	free(spec->host);
	free(spec->path);
	spec->host = spec->path = NULL;
}

const struct pool_spec *config_largest_user(const struct config *config, const char *name)
{
	const struct pool_spec *largest = NULL;
	size_t i, j;

	for (i = 0; i < config->n_pools; i++)
		for (j = 0; j < config->pools[i].n_sockets; j++)
			if (strcmp(config->pools[i].sockets[j], name) == 0 &&
			    (largest == NULL || config->pools[i].workers > largest->workers))
				largest = &config->pools[i];
	return largest;
}

bool config_has_slots(const struct socket_spec *spec)
{
	return spec->per_slot || spec->reuseport;
}

uint32_t config_socket_count(const struct config *config, const struct socket_spec *spec)
{
	const struct pool_spec *largest = config_largest_user(config, spec->name);

	if (!config_has_slots(spec))
		return 1;
	return largest != NULL ? largest->workers : 0;
}
