/* versions_compare.c - what differs between two versions, and between two configurations. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/versions.h"

static enum diff_effect version_effect(enum config_effect effect)
{
	switch (effect) {
	case CONFIG_EFFECT_NONE:
		return DIFF_UPDATE;
	case CONFIG_EFFECT_SCALE:
		return DIFF_SCALE;
	case CONFIG_EFFECT_SOCKETS:
		return DIFF_SOCKETS;
	case CONFIG_EFFECT_REPLACE:
		return DIFF_REPLACE;
	case CONFIG_EFFECT_RESTART:
		return DIFF_RESTART;
	}
	return DIFF_REPLACE;
}

static struct diff_item *version_diff_list(const struct config_item *items, size_t n)
{
	struct diff_item *list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; list != NULL && i < n; i++)
		list[i] = (struct diff_item){items[i].key, items[i].value,
					     version_effect(items[i].effect)};
	return list;
}

static struct diff_item *version_items(const struct version *version, size_t *ret_n)
{
	size_t n;
	const struct config_item *items =
	    config_pool_items(version->config->config, version->spec->name, &n);
	struct diff_item *list = version_diff_list(items, n);

	*ret_n = list != NULL ? n : 0;
	return list;
}

static bool version_same_environment(const struct version *a, const struct version *b)
{
	if (a->n_file_env != b->n_file_env)
		return false;
	for (size_t n = 0; n < a->n_file_env; n++)
		if (strcmp(a->file_env[n], b->file_env[n]) != 0)
			return false;
	return true;
}

bool version_has_socket(const struct version *version, const struct version_socket *socket)
{
	for (size_t n = 0; n < version->spec->n_sockets; n++)
		if (version->sockets[n].shared == socket->shared &&
		    version->sockets[n].slots == socket->slots)
			return true;
	return false;
}

bool version_lacks_sockets(const struct version *version, const struct version *of)
{
	for (size_t n = 0; n < of->spec->n_sockets; n++)
		if (!version_has_socket(version, &of->sockets[n]))
			return true;
	return false;
}

static bool version_same_sockets(const struct version *a, const struct version *b)
{
	if (a->spec->n_sockets != b->spec->n_sockets)
		return false;
	for (size_t n = 0; n < a->spec->n_sockets; n++)
		if (a->sockets[n].shared != b->sockets[n].shared ||
		    a->sockets[n].slots != b->sockets[n].slots)
			return false;
	return true;
}

static void version_why(struct buf *why, const char *what, const char *how)
{
	buf_printf(why, "%s%s %s", why->len > 0 ? ", " : "", what, how);
}

static enum diff_effect version_stronger(enum diff_effect a, enum diff_effect b)
{
	return a > b ? a : b;
}

/* Whether what is executed, or where, differs. */
static bool version_compare_pins(const struct pin *running, const struct pin *wanted,
				 bool directory, struct buf *why)
{
	size_t before = why->len;
	const char *moved = identity_change(&running->program.identity, &wanted->program.identity);

	if (moved != NULL)
		version_why(why, "executable", moved);
	moved = identity_change(&running->interpreter.identity, &wanted->interpreter.identity);
	if (moved != NULL && running->interpreter.path != NULL && wanted->interpreter.path != NULL)
		version_why(why, "interpreter", moved);
	if (directory && running->directory.path != NULL && wanted->directory.path != NULL &&
	    !identity_is_same_file(&running->directory.identity, &wanted->directory.identity))
		version_why(why, "working_directory", "leads elsewhere");
	return why->len > before;
}

enum diff_effect version_compare(const struct version *running, const struct version *wanted,
				 struct buf *why)
{
	size_t n_old, n_new;
	cleanup_free struct diff_item *old_items = version_items(running, &n_old);
	cleanup_free struct diff_item *new_items = version_items(wanted, &n_new);
	bool told_sockets = false, told_directory = false, replaced;
	struct diff diff;

	diff_items(old_items, n_old, new_items, n_new, &diff);
	for (size_t n = 0; n < diff.n; n++) {
		version_why(why, diff.changes[n].key, "changed");
		told_sockets = told_sockets || strcmp(diff.changes[n].key, "sockets") == 0;
		told_directory =
		    told_directory || strcmp(diff.changes[n].key, "working_directory") == 0;
	}
	replaced = version_compare_pins(running->pin, wanted->pin, !told_directory, why);
	if (!version_same_environment(running, wanted)) {
		version_why(why, "environment file", "changed");
		replaced = true;
	}
	if (!version_same_sockets(running, wanted) && !told_sockets)
		version_why(why, "sockets", "changed");
	if (replaced)
		return version_stronger(diff.effect, DIFF_REPLACE);
	if (!version_same_sockets(running, wanted))
		return version_stronger(diff.effect, DIFF_SOCKETS);
	return diff.effect;
}

void version_compare_specs(const struct version *version, const struct config *config,
			   struct buf *why)
{
	size_t n_old, n_new;
	const struct config_item *items = config_pool_items(config, version->spec->name, &n_new);
	cleanup_free struct diff_item *old_items = version_items(version, &n_old);
	cleanup_free struct diff_item *new_items = version_diff_list(items, n_new);
	struct diff diff = {.n = 0};

	/* no items: the pool is no longer there, which is told as that */
	if (old_items != NULL && new_items != NULL && n_new > 0)
		diff_items(old_items, n_old, new_items, n_new, &diff);
	for (size_t n = 0; n < diff.n; n++)
		if (diff.changes[n].effect >= DIFF_SOCKETS)
			version_why(why, diff.changes[n].key, "changed");
}

/* FNV-1a, 64 bits. */
static uint64_t version_hash(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t n = 0; n < len; n++)
		hash = (hash ^ bytes[n]) * 0x100000001b3u;
	return hash;
}

static uint64_t version_hash_text(uint64_t hash, const char *text)
{
	return text != NULL ? version_hash(hash, text, strlen(text) + 1)
			    : version_hash(hash, "", 1);
}

uint64_t version_fingerprint(const struct version *version)
{
	const struct identity *identity = &version->pin->program.identity;
	const uint64_t file[] = {identity->device, identity->inode, identity->size,
				 (uint64_t)identity->mtime_ns};
	size_t n_items;
	const struct config_item *items =
	    config_pool_items(version->config->config, version->spec->name, &n_items);
	uint64_t hash = version_hash(0xcbf29ce484222325u, file, sizeof(file));

	for (size_t n = 0; n < n_items; n++)
		hash = version_hash_text(version_hash_text(hash, items[n].key), items[n].value);
	for (size_t n = 0; n < version->n_file_env; n++)
		hash = version_hash_text(hash, version->file_env[n]);
	return hash;
}

/* ---- settings that are no worker's ---- */

static bool version_tell_settings(const char *what, const struct config_item *old_list,
				  size_t n_old, const struct config_item *new_list, size_t n_new,
				  struct buf *remarks)
{
	cleanup_free struct diff_item *old_items = version_diff_list(old_list, n_old);
	cleanup_free struct diff_item *new_items = version_diff_list(new_list, n_new);
	struct diff diff = {.n = 0};

	if (old_items != NULL && new_items != NULL)
		diff_items(old_items, n_old, new_items, n_new, &diff);
	for (size_t n = 0; n < diff.n; n++)
		buf_printf(remarks, "%s%s%s changed", n == 0 ? what : "", n == 0 ? ": " : ", ",
			   diff.changes[n].key);
	if (diff.n > 0)
		buf_add_str(remarks, "\n");
	return diff.n > 0;
}

static bool version_compare_socket(const struct config *running, const struct config *wanted,
				   const struct socket_spec *spec, struct buf *remarks)
{
	const struct socket_spec *old_spec = config_find_socket(running, spec->name);
	char what[sizeof("socket ") + CONFIG_NAME_MAX];
	const struct config_item *old_list, *new_list;
	size_t n_old, n_new;

	/* another address is another socket: opened or closed, and told as that */
	if (old_spec == NULL || strcmp(old_spec->listen, spec->listen) != 0)
		return true;
	snprintf(what, sizeof(what), "socket %s", spec->name);
	old_list = config_socket_items(running, spec->name, &n_old);
	new_list = config_socket_items(wanted, spec->name, &n_new);
	return version_tell_settings(what, old_list, n_old, new_list, n_new, remarks);
}

bool version_compare_settings(const struct config *running, const struct config *wanted,
			      struct buf *remarks)
{
	size_t n_old, n_new;
	const struct config_item *old_list = config_supervisor_items(running, &n_old);
	const struct config_item *new_list = config_supervisor_items(wanted, &n_new);
	bool changed = running->n_sockets != wanted->n_sockets;

	changed |= version_tell_settings("supervisor", old_list, n_old, new_list, n_new, remarks);
	for (size_t n = 0; n < wanted->n_sockets; n++)
		changed |= version_compare_socket(running, wanted, &wanted->sockets[n], remarks);
	return changed;
}
