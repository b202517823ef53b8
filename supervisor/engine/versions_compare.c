/* versions_compare.c - what differs between two versions, and between two configurations. */
#include <stdio.h>
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

/* Of "NAME=value" strings. */
static bool version_has_variable(char *const *list, size_t n, const char *variable)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], variable) == 0)
			return true;
	return false;
}

/* Names of variables that one list has, and not the other one with the same value. Their values may
 * be secrets. */
static void version_add_names(char *const *list, size_t n, char *const *other, size_t n_other,
			      struct buf *names)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *name = strndup(list[i], strcspn(list[i], "="));
		size_t len = name != NULL ? strlen(name) : 0;
		bool told = false;

		if (name == NULL || version_has_variable(other, n_other, list[i]))
			continue;
		for (const char *at = names->data; at != NULL && !told; at = strchr(at, ' ')) {
			at += *at == ' ';
			told = strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0');
		}
		if (!told)
			buf_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
	}
}

static void version_changed_names(char *const *a, size_t n_a, char *const *b, size_t n_b,
				  struct buf *names)
{
	version_add_names(b, n_b, a, n_a, names);
	version_add_names(a, n_a, b, n_b, names);
}

static void version_tell_key(const struct version *running, const struct version *wanted,
			     const struct diff_change *change, version_difference_fn *each,
			     void *arg)
{
	const struct pool_spec *a = running->spec, *b = wanted->spec;
	struct version_difference difference = {.what = change->key,
						.how = "changed",
						.from = change->old_value,
						.to = change->new_value,
						.effect = change->effect};
	cleanup_buf struct buf names = {0};

	if (strcmp(change->key, "environment") == 0) {
		version_changed_names(a->environment, a->n_environment, b->environment,
				      b->n_environment, &names);
		difference.from = difference.to = NULL;
		difference.names = names.len > 0 ? names.data : NULL;
	}
	each(&difference, arg);
}

enum { VERSION_FILE_TEXT_MAX = IDENTITY_BUILD_ID_TEXT + 64 };

/* What tells it from the other one: the build id; else, that it is another file; else, when it was
 * written. */
static void version_describe_file(const struct identity *own, const struct identity *other,
				  char text[static VERSION_FILE_TEXT_MAX])
{
	char id[IDENTITY_BUILD_ID_TEXT];
	bool same_id = own->build_id_len == other->build_id_len &&
		       memcmp(own->build_id, other->build_id, own->build_id_len) == 0;

	if (!identity_is_known(own))
		snprintf(text, VERSION_FILE_TEXT_MAX, "not known");
	else if (!same_id && own->build_id_len > 0)
		snprintf(text, VERSION_FILE_TEXT_MAX, "build id %s",
			 identity_format_build_id(own, id));
	else if (!identity_is_same_file(own, other))
		snprintf(text, VERSION_FILE_TEXT_MAX, "%sinode %llu",
			 same_id ? "" : "no build id, ", (unsigned long long)own->inode);
	else
		snprintf(text, VERSION_FILE_TEXT_MAX, "%llu bytes, written at %lld.%09lld",
			 (unsigned long long)own->size, (long long)(own->mtime_ns / 1000000000),
			 (long long)(own->mtime_ns % 1000000000));
}

static void version_tell_file(const char *what, const struct identity *running,
			      const struct identity *wanted, const char *how,
			      version_difference_fn *each, void *arg)
{
	char from[VERSION_FILE_TEXT_MAX], to[VERSION_FILE_TEXT_MAX];

	version_describe_file(running, wanted, from);
	version_describe_file(wanted, running, to);
	each(
	    &(struct version_difference){
		.what = what, .how = how, .from = from, .to = to, .effect = DIFF_REPLACE},
	    arg);
}

/* Whether what is executed, or where, differs. */
static bool version_tell_pins(const struct pin *running, const struct pin *wanted, bool directory,
			      version_difference_fn *each, void *arg)
{
	const char *program =
	    identity_change(&running->program.identity, &wanted->program.identity);
	const char *interpreter = NULL;
	bool moved =
	    directory && running->directory.path != NULL && wanted->directory.path != NULL &&
	    !identity_is_same_file(&running->directory.identity, &wanted->directory.identity);

	if (running->interpreter.path != NULL && wanted->interpreter.path != NULL)
		interpreter =
		    identity_change(&running->interpreter.identity, &wanted->interpreter.identity);
	if (program != NULL)
		version_tell_file("executable", &running->program.identity,
				  &wanted->program.identity, program, each, arg);
	if (interpreter != NULL)
		version_tell_file("interpreter", &running->interpreter.identity,
				  &wanted->interpreter.identity, interpreter, each, arg);
	if (moved)
		each(&(struct version_difference){.what = "working_directory",
						  .how = "leads elsewhere",
						  .from = running->directory.path,
						  .to = wanted->directory.path,
						  .effect = DIFF_REPLACE},
		     arg);
	return program != NULL || interpreter != NULL || moved;
}

static void version_tell_files_environment(const struct version *running,
					   const struct version *wanted,
					   version_difference_fn *each, void *arg)
{
	cleanup_buf struct buf names = {0};

	version_changed_names(running->file_env, running->n_file_env, wanted->file_env,
			      wanted->n_file_env, &names);
	each(&(struct version_difference){.what = "environment file",
					  .how = "changed",
					  .names = names.len > 0 ? names.data : NULL,
					  .effect = DIFF_REPLACE},
	     arg);
}

enum diff_effect version_each_difference(const struct version *running,
					 const struct version *wanted, version_difference_fn *each,
					 void *arg)
{
	size_t n_old, n_new;
	cleanup_free struct diff_item *old_items = version_items(running, &n_old);
	cleanup_free struct diff_item *new_items = version_items(wanted, &n_new);
	bool same_env = version_same_environment(running, wanted);
	bool same_sockets = version_same_sockets(running, wanted);
	bool told_sockets = false, told_directory = false, moved;
	struct diff diff;

	diff_items(old_items, n_old, new_items, n_new, &diff);
	for (size_t n = 0; n < diff.n; n++) {
		version_tell_key(running, wanted, &diff.changes[n], each, arg);
		told_sockets = told_sockets || strcmp(diff.changes[n].key, "sockets") == 0;
		told_directory =
		    told_directory || strcmp(diff.changes[n].key, "working_directory") == 0;
	}
	moved = version_tell_pins(running->pin, wanted->pin, !told_directory, each, arg);
	if (!same_env)
		version_tell_files_environment(running, wanted, each, arg);
	if (!same_sockets && !told_sockets)
		each(&(struct version_difference){.what = "sockets",
						  .how = "changed",
						  .effect = DIFF_SOCKETS},
		     arg);
	if (moved || !same_env)
		return version_stronger(diff.effect, DIFF_REPLACE);
	if (!same_sockets)
		return version_stronger(diff.effect, DIFF_SOCKETS);
	return diff.effect;
}

static void version_add_why(const struct version_difference *difference, void *arg)
{
	version_why(arg, difference->what, difference->how);
}

enum diff_effect version_compare(const struct version *running, const struct version *wanted,
				 struct buf *why)
{
	return version_each_difference(running, wanted, version_add_why, why);
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

bool version_each_setting(const struct config_item *old_list, size_t n_old,
			  const struct config_item *new_list, size_t n_new,
			  version_difference_fn *each, void *arg)
{
	cleanup_free struct diff_item *old_items = version_diff_list(old_list, n_old);
	cleanup_free struct diff_item *new_items = version_diff_list(new_list, n_new);
	struct diff diff = {.n = 0};

	if (old_items != NULL && new_items != NULL)
		diff_items(old_items, n_old, new_items, n_new, &diff);
	for (size_t n = 0; n < diff.n; n++)
		each(&(struct version_difference){.what = diff.changes[n].key,
						  .how = "changed",
						  .from = diff.changes[n].old_value,
						  .to = diff.changes[n].new_value,
						  .effect = DIFF_UPDATE},
		     arg);
	return diff.n > 0;
}

static bool version_tell_settings(const char *what, const struct config_item *old_list,
				  size_t n_old, const struct config_item *new_list, size_t n_new,
				  struct buf *remarks)
{
	cleanup_buf struct buf why = {0};

	if (!version_each_setting(old_list, n_old, new_list, n_new, version_add_why, &why))
		return false;
	buf_printf(remarks, "%s: %s\n", what, buf_text(&why));
	return true;
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
