/* config_objects.c - builds and frees the supervisor's, sockets' and pools' data of a
 * configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "system/config_internal.h"

static struct config_place place_of(const struct config_section *section, const char *key)
{
	return config_values_entry(section, key)->place;
}

static int build_supervisor(struct config *config, const struct config_section *section,
			    struct config_problems *problems)
{
	config->supervisor.status_place = place_of(section, "status_listen");
	config->supervisor.operator_group_place = place_of(section, "operator_group");
	return config_build_section(section, &config->supervisor, problems);
}

static int build_socket(struct config *config, const struct config_section *section,
			struct config_problems *problems)
{
	struct socket_spec *spec = &config->sockets[config->n_sockets++];

	spec->name = strdup(section->name);
	spec->place = section->place;
	spec->listen_place = place_of(section, "listen");
	spec->ipv6_only = -1;
	return spec->name == NULL ? -ENOMEM : config_build_section(section, spec, problems);
}

/* Defaults that depend on other keys. */
static int derive_pool(struct pool_spec *pool, const struct config_section *section)
{
	config_compat_derive(pool, config_values_entry(section, "ready")->place.file == NULL,
			     config_values_entry(section, "drain_signal")->n == 0);
	if (config_values_entry(section, "stop_timeout")->n == 0)
		pool->stop_timeout = pool->drain_timeout;
	if (config_values_entry(section, "max_processes")->n == 0)
		pool->max_processes = pool->workers * 8 > 64 ? pool->workers * 8 : 64;
	if (config_values_entry(section, "stderr")->n > 0)
		return 0;
	pool->stderr_to.kind = pool->stdout_to.kind;
	if (pool->stdout_to.path == NULL)
		return 0;
	pool->stderr_to.path = strdup(pool->stdout_to.path);
	return pool->stderr_to.path == NULL ? -ENOMEM : 0;
}

static int build_pool(struct config *config, const struct config_section *section,
		      struct config_problems *problems)
{
	struct pool_spec *pool = &config->pools[config->n_pools++];
	int r;

	pool->name = strdup(section->name);
	pool->place = section->place;
	pool->command_place = place_of(section, "command");
	pool->nice = CONFIG_UNSET;
	pool->oom_score_adj = CONFIG_UNSET;
	pool->limit_core = CONFIG_LIMIT_UNSET;
	/* where a value is a mistake, that one is enough: 0 in both would be another */
	pool->max_surge = pool->max_unavailable = (struct amount){.value = 1};
	pool->success.codes[0] = 1;
	if (pool->name == NULL)
		return -ENOMEM;
	r = config_build_section(section, pool, problems);
	return r < 0 ? r : derive_pool(pool, section);
}

/* An instance without a [supervisor] has all its defaults. */
static int add_supervisor(struct config_values *values)
{
	struct config_place nowhere = {.file = NULL};
	struct config_problems none = {.list = NULL};
	struct config_section *section;

	if (config_values_find(values, "supervisor") != NULL)
		return 0;
	return config_values_open(values, "supervisor", &nowhere, &none, &section);
}

static int build_one(struct config *config, const struct config_section *section,
		     struct config_problems *problems)
{
	switch (section->kind) {
	case KEY_SUPERVISOR:
		return build_supervisor(config, section, problems);
	case KEY_SOCKET:
		return build_socket(config, section, problems);
	case KEY_POOL:
		return build_pool(config, section, problems);
	}
	return 0;
}

int config_build(struct config *config, struct config_problems *problems)
{
	size_t i;
	int r;

	r = add_supervisor(config->values);
	if (r < 0)
		return r;
	/* There is a section at least, the supervisor's; no kind has more than all. */
	config->sockets = calloc(config->values->n_sections, sizeof(*config->sockets));
	config->pools = calloc(config->values->n_sections, sizeof(*config->pools));
	if (config->sockets == NULL || config->pools == NULL)
		return -ENOMEM;
	for (i = 0; i < config->values->n_sections; i++) {
		r = build_one(config, config->values->sections[i], problems);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_build_all_items(struct config *config)
{
	size_t i, n_sockets = 0, n_pools = 0;
	const void *object;
	int r;

	for (i = 0; i < config->values->n_sections; i++) {
		if (config->values->sections[i]->kind == KEY_SOCKET)
			object = &config->sockets[n_sockets++];
		else if (config->values->sections[i]->kind == KEY_POOL)
			object = &config->pools[n_pools++];
		else
			object = &config->supervisor;
		r = config_build_items(config->values->sections[i], object);
		if (r < 0)
			return r;
	}
	return 0;
}

static void free_socket(struct socket_spec *spec)
{
	free(spec->name);
	free(spec->listen);
	free(spec->host);
	free(spec->path);
	free(spec->owner);
	free(spec->group);
}

static void free_pool(struct pool_spec *pool)
{
	free(pool->name);
	free(pool->command);
	free(pool->argv);
	config_list_free(pool->sockets);
	config_probe_free(&pool->ready_probe);
	config_probe_free(&pool->live);
	free(pool->probe_address);
	free(pool->canary_check);
	free(pool->user);
	free(pool->group);
	config_list_free(pool->supplementary_groups);
	free(pool->working_directory);
	config_list_free(pool->environment);
	config_list_free(pool->environment_file);
	free(pool->stdout_to.path);
	free(pool->stderr_to.path);
}

struct config *config_free(struct config *config)
{
	size_t i;

	if (config == NULL)
		return NULL;
	for (i = 0; i < config->n_sockets; i++)
		free_socket(&config->sockets[i]);
	for (i = 0; i < config->n_pools; i++)
		free_pool(&config->pools[i]);
	free(config->sockets);
	free(config->pools);
	free(config->supervisor.status_listen);
	free(config->supervisor.status_host);
	free(config->supervisor.operator_group);
	config_values_free(config->values);
	free(config->path);
	free(config->instance);
	free(config);
	return NULL;
}
