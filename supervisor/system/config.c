/* config.c - reads an instance's configuration: files, sections, cross checks, in this order; and
 * gives it out. */
#include "system/config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/config_internal.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

char *config_instance_name(const char *path)
{
	const char *name = base_name(path);

	return strndup(name, strlen(name) - (ends_with(name, ".ini") ? 4 : 0));
}

/* The name goes into paths and into workers' environments. */
static void check_instance_name(const char *name, const struct config_place *file,
				struct config_problems *problems)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);

	if (len > 0 && len <= CONFIG_NAME_MAX && strspn(name, allowed) == len && *name != '.' &&
	    *name != '-')
		return;
	config_problem_add(problems, file, false,
			   "the instance would be named %s after its file; a name has at most %d "
			   "letters, digits, '_', "
			   "'.' and '-', and begins with no '.' or '-'",
			   QUOTE(name), CONFIG_NAME_MAX);
}

static void explain_unreadable(const struct config_place *place, int error,
			       struct config_problems *problems)
{
	char target[PATH_MAX] = "";

	if (error == -EFBIG)
		config_problem_add(problems, place, false,
				   "has more than %d bytes, so this is no configuration",
				   CONFIG_FILE_MAX);
	else if (error == -EISDIR)
		config_problem_add(problems, place, false, "is a directory");
	else if (error == -EINVAL)
		config_problem_add(problems, place, false, "is no regular file");
	else if (error == -ENOENT && readlink(place->file, target, sizeof(target) - 1) > 0)
		config_problem_add(problems, place, false,
				   "is a symbolic link to %s, which does not exist", QUOTE(target));
	else
		config_problem_add(problems, place, false, "cannot be read: %s", strerror(-error));
}

/* Reads one file into values. 0, or -errno if the file cannot be read (then told already), or
 * -ENOMEM. */
static int read_file(struct config_values *values, const char *path,
		     struct config_problems *problems)
{
	struct config_place place = {.file = config_values_add_file(values, path)};
	cleanup_free char *text = NULL;
	size_t len;
	int r;

	if (place.file == NULL)
		return -ENOMEM;
	r = fd_read_file(path, CONFIG_FILE_MAX, &text, &len);
	if (r < 0) {
		explain_unreadable(&place, r, problems);
		return r;
	}
	return config_reader_run(values, place.file, text, len, problems);
}

static int is_dropin(const struct dirent *entry)
{
	return *entry->d_name != '.' && ends_with(entry->d_name, ".ini");
}

/* In the order of bytes: the same on every host, whatever its locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dropin(struct config_values *values, const char *directory, const char *name,
		       struct config_problems *problems)
{
	cleanup_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", directory, name) == -1) {
		path = NULL;
		return -ENOMEM;
	}
	r = read_file(values, path, problems);
	return r == -ENOMEM ? r : 0;
}

static int read_dropins(struct config_values *values, const char *path,
			struct config_problems *problems)
{
	struct config_place place = {.file = NULL};
	cleanup_free char *directory = NULL;
	struct dirent **list = NULL;
	int n, i, r = 0;

	if (asprintf(&directory, "%s.d", path) == -1) {
		directory = NULL;
		return -ENOMEM;
	}
	n = scandir(directory, &list, is_dropin, compare_names);
	if (n == -1 && errno == ENOENT)
		return 0;
	place.file = config_values_add_file(values, directory);
	if (n == -1)
		config_problem_add(problems, &place, false, "cannot be read: %s", strerror(errno));
	if (n > CONFIG_DROPINS_MAX)
		config_problem_add(problems, &place, false, "has %d files; at most %d are read", n,
				   CONFIG_DROPINS_MAX);
	for (i = 0; i < n; i++) {
		if (r == 0 && i < CONFIG_DROPINS_MAX)
			r = read_dropin(values, directory, list[i]->d_name, problems);
		free(list[i]);
	}
	free(list);
	return r;
}

/* Reads everything that can be read, so that all mistakes come at once. */
static int read_all(struct config *config, struct config_problems *problems)
{
	struct config_place file = {.file = NULL};
	size_t errors = problems->errors;
	int r;

	r = read_file(config->values, config->path, problems);
	if (r < 0)
		return r;
	file.file = config->values->files[0];
	check_instance_name(config->instance, &file, problems);
	r = read_dropins(config->values, config->path, problems);
	if (r == 0)
		r = config_build(config, problems);
	if (r < 0)
		return r;
	config_verify(config, problems);
	if (problems->errors > errors)
		return -EINVAL;
	return config_build_all_items(config);
}

int config_read(const char *path, struct config **ret_config, struct config_problems *problems)
{
	struct config *config = calloc(1, sizeof(*config));
	size_t errors = problems->errors;
	int r = -ENOMEM;

	if (config != NULL) {
		config->path = strdup(path);
		config->instance = config_instance_name(path);
		config->values = calloc(1, sizeof(*config->values));
		if (config->path != NULL && config->instance != NULL && config->values != NULL)
			r = read_all(config, problems);
	}
	if (r == 0) {
		*ret_config = config;
		return 0;
	}
	if (problems->errors == errors)
		config_problem_add(problems, &(struct config_place){.file = path}, false,
				   "cannot be read: %s", strerror(-r));
	config_free(config);
	return r;
}

const struct pool_spec *config_find_pool(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->n_pools; i++)
		if (strcmp(config->pools[i].name, name) == 0)
			return &config->pools[i];
	return NULL;
}

const struct socket_spec *config_find_socket(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->n_sockets; i++)
		if (strcmp(config->sockets[i].name, name) == 0)
			return &config->sockets[i];
	return NULL;
}

static const struct config_item *items_of(const struct config *config, enum key_section kind,
					  const char *name, size_t *ret_n)
{
	const struct config_section *section;
	size_t i;

	for (i = 0; i < config->values->n_sections; i++) {
		section = config->values->sections[i];
		if (section->kind == kind && strcmp(section->name, name) == 0) {
			*ret_n = section->n_items;
			return section->items;
		}
	}
	*ret_n = 0;
	return NULL;
}

const struct config_item *config_pool_items(const struct config *config, const char *name,
					    size_t *ret_n)
{
	return items_of(config, KEY_POOL, name, ret_n);
}

const struct config_item *config_socket_items(const struct config *config, const char *name,
					      size_t *ret_n)
{
	return items_of(config, KEY_SOCKET, name, ret_n);
}

const struct config_item *config_supervisor_items(const struct config *config, size_t *ret_n)
{
	return items_of(config, KEY_SUPERVISOR, "", ret_n);
}
