/* versions.c - what a generation of a pool runs. */
#include "engine/versions.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/sockets.h"
#include "system/spawn.h"

struct config_ref *config_ref_new(struct config *config)
{
	struct config_ref *ref = malloc(sizeof(*ref));

	if (ref == NULL) {
		config_free(config);
		return NULL;
	}
	*ref = (struct config_ref){.refs = 1, .config = config};
	return ref;
}

struct config_ref *config_ref_get(struct config_ref *ref)
{
	ref->refs++;
	return ref;
}

void config_ref_put(struct config_ref *ref)
{
	if (ref == NULL || --ref->refs > 0)
		return;
	config_free(ref->config);
	free(ref);
}

struct version *version_ref(struct version *version)
{
	version->refs++;
	return version;
}

static void version_free_own(struct version *version)
{
	for (size_t n = 0; n < version->n_file_env; n++)
		free(version->file_env[n]);
	free(version->file_env);
	free(version->groups);
	free(version->user_name);
	free(version->user_home);
	free(version->user_shell);
}

void version_unref(struct version *version)
{
	if (version == NULL || --version->refs > 0)
		return;
	for (size_t n = 0; version->sockets != NULL && n < version->spec->n_sockets; n++)
		sockets_put(&version->sockets[n]);
	free(version->sockets);
	pin_unref(version->pin);
	config_ref_put(version->config);
	if (version->origin != NULL)
		version_unref(version->origin);
	else
		version_free_own(version);
	free(version);
}

/* ---- the user ---- */

static int version_find_group(const char *name, gid_t *ret_gid, struct buf *why)
{
	uint64_t number;
	struct group *group = getgrnam(name);

	if (group != NULL)
		*ret_gid = group->gr_gid;
	else if (parse_uint(name, 0, UINT32_MAX - 1, &number) == 0)
		*ret_gid = (gid_t)number;
	else {
		buf_printf(why, "group '%s' does not exist", name);
		return -ENOENT;
	}
	return 0;
}

static int version_set_user_groups(struct version *version, const char *user, gid_t gid)
{
	int n = 0;

	getgrouplist(user, gid, NULL, &n);
	version->groups = calloc((size_t)n + 1, sizeof(gid_t));
	if (version->groups == NULL)
		return -ENOMEM;
	if (getgrouplist(user, gid, version->groups, &n) < 0)
		n = 0;
	version->n_groups = (size_t)n;
	return 0;
}

static int version_set_named_groups(struct version *version, struct buf *why)
{
	const struct pool_spec *spec = version->spec;
	int r = 0;

	free(version->groups);
	version->groups = calloc(spec->n_supplementary_groups, sizeof(gid_t));
	version->n_groups = 0;
	if (version->groups == NULL)
		return -ENOMEM;
	for (size_t n = 0; r == 0 && n < spec->n_supplementary_groups; n++) {
		r = version_find_group(spec->supplementary_groups[n], &version->groups[n], why);
		version->n_groups = n + 1;
	}
	return r;
}

static int version_set_user(struct version *version, struct buf *why)
{
	const struct pool_spec *spec = version->spec;
	struct passwd *user = spec->user != NULL ? getpwnam(spec->user) : NULL;
	uint64_t number;
	int r = 0;

	version->uid = geteuid();
	version->gid = getegid();
	if (spec->user == NULL && spec->group == NULL && spec->n_supplementary_groups == 0)
		return 0;
	version->change_user = true;
	if (spec->user != NULL && user == NULL &&
	    parse_uint(spec->user, 0, UINT32_MAX - 1, &number) == 0)
		user = getpwuid((uid_t)number);
	if (spec->user != NULL && user == NULL) {
		buf_printf(why, "user '%s' does not exist", spec->user);
		return -ENOENT;
	}
	if (user != NULL) {
		version->uid = user->pw_uid;
		version->gid = user->pw_gid;
		version->user_name = strdup(user->pw_name);
		version->user_home = strdup(user->pw_dir);
		version->user_shell = strdup(user->pw_shell);
	}
	if (spec->group != NULL)
		r = version_find_group(spec->group, &version->gid, why);
	if (r == 0 && spec->n_supplementary_groups > 0)
		r = version_set_named_groups(version, why);
	else if (r == 0 && version->user_name != NULL)
		r = version_set_user_groups(version, version->user_name, version->gid);
	/* without root, our own user may be named, but there is nothing that we could change */
	if (geteuid() != 0 && version->uid == geteuid() && version->gid == getegid() &&
	    spec->n_supplementary_groups == 0)
		version->change_user = false;
	return r;
}

/* ---- the rest ---- */

static int version_set_executable(struct version *version, struct buf *why)
{
	const struct pool_spec *spec = version->spec;
	cleanup_free char *path = NULL;
	int r = spawn_resolve(spec->argv[0], spec->working_directory, &path);

	if (r < 0) {
		buf_printf(why, "cannot execute '%s': %s", spec->argv[0], strerror(-r));
		return r;
	}
	return pin_new(path, spec->working_directory, spec->argv, &version->pin);
}

static int version_read_environment(struct version *version, struct buf *why)
{
	const struct pool_spec *spec = version->spec;
	int r = 0;

	for (size_t n = 0; r == 0 && n < spec->n_environment_file; n++) {
		cleanup_free char *error = NULL;

		r = config_read_environment_file(spec->environment_file[n], &version->file_env,
						 &version->n_file_env, &error);
		if (r < 0)
			buf_add_str(why, error != NULL ? error : strerror(-r));
	}
	return r;
}

static int version_find_sockets(struct engine *engine, struct version *version, struct buf *why)
{
	const struct pool_spec *spec = version->spec;

	version->sockets = calloc(spec->n_sockets + 1, sizeof(*version->sockets));
	if (version->sockets == NULL)
		return -ENOMEM;
	for (size_t n = 0; n < spec->n_sockets; n++) {
		const struct socket_spec *socket =
		    config_find_socket(version->config->config, spec->sockets[n]);

		if (socket != NULL && sockets_get(engine, socket, &version->sockets[n]))
			continue;
		buf_printf(why, "socket '%s' is not open", spec->sockets[n]);
		return -ENOENT;
	}
	return 0;
}

int version_new(struct engine *engine, struct config_ref *config, const struct pool_spec *spec,
		uint32_t generation, struct version **ret_version, struct buf *why)
{
	struct version *version = calloc(1, sizeof(*version));
	int r;

	if (version == NULL)
		return -ENOMEM;
	*version = (struct version){
	    .refs = 1,
	    .generation = generation,
	    .config = config_ref_get(config),
	    .spec = spec,
	};
	r = version_set_user(version, why);
	if (r == 0)
		r = version_set_executable(version, why);
	if (r == 0)
		r = version_read_environment(version, why);
	if (r == 0)
		r = version_find_sockets(engine, version, why);
	if (r < 0) {
		version_unref(version);
		return r;
	}
	*ret_version = version;
	return 0;
}

int version_again(struct engine *engine, struct version *of, uint32_t generation,
		  struct version **ret_version, struct buf *why)
{
	struct version *version = calloc(1, sizeof(*version));
	int r;

	if (version == NULL)
		return -ENOMEM;
	*version = *of;
	version->refs = 1;
	version->generation = generation;
	version->origin = version_ref(of->origin != NULL ? of->origin : of);
	version->config = config_ref_get(of->config);
	version->pin = pin_ref(of->pin);
	version->sockets = NULL;
	r = version_find_sockets(engine, version, why);
	if (r < 0) {
		version_unref(version);
		return r;
	}
	*ret_version = version;
	return 0;
}

void version_keep_pin(struct version *version, const struct version *of)
{
	pin_unref(version->pin);
	version->pin = pin_ref(of->pin);
}

struct version *version_of(const struct pool_runtime *runtime, uint32_t generation)
{
	if (runtime->current != NULL && runtime->current->generation == generation)
		return runtime->current;
	if (runtime->next != NULL && runtime->next->generation == generation)
		return runtime->next;
	return NULL;
}

/* Of a pool that was scaled by hand, a percentage may be nobody: then one at a time. */
static uint32_t version_unavailable(const struct pool_spec *spec, uint32_t size)
{
	uint32_t unavailable = config_unavailable(spec, size);

	return unavailable == 0 && config_surge(spec, size) == 0 ? 1 : unavailable;
}

static enum core_restart version_restart(enum restart_policy policy)
{
	switch (policy) {
	case RESTART_ALWAYS:
		return CORE_RESTART_ALWAYS;
	case RESTART_ON_FAILURE:
		return CORE_RESTART_ON_FAILURE;
	case RESTART_NEVER:
		return CORE_RESTART_NEVER;
	}
	return CORE_RESTART_ALWAYS;
}

static enum core_crash_loop version_crash_loop(enum on_crash_loop policy)
{
	switch (policy) {
	case ON_CRASH_LOOP_RETRY:
		return CORE_CRASH_LOOP_RETRY;
	case ON_CRASH_LOOP_STOP_POOL:
		return CORE_CRASH_LOOP_STOP_POOL;
	case ON_CRASH_LOOP_EXIT:
		return CORE_CRASH_LOOP_EXIT;
	}
	return CORE_CRASH_LOOP_RETRY;
}

void version_params(const struct pool_spec *spec, uint32_t size, struct pool_params *ret_params)
{
	*ret_params = (struct pool_params){
	    .workers = size,
	    .max_surge = config_surge(spec, size),
	    .max_unavailable = version_unavailable(spec, size),
	    .max_processes = spec->max_processes,
	    .canary = config_canary(spec, size),
	    .canary_time = spec->canary_time,
	    .canary_check_timeout = spec->canary_check != NULL ? spec->canary_check_timeout : 0,
	    .canary_hold = spec->canary_hold,
	    .canary_hold_timeout = spec->canary_hold_timeout,
	    .start_timeout = spec->start_timeout,
	    .ready_delay = spec->ready == READY_DELAY ? spec->ready_delay : USEC_INFINITY,
	    .min_ready = spec->min_ready,
	    .progress_timeout = spec->progress_timeout,
	    .drain_timeout = spec->drain_timeout,
	    .stop_timeout = spec->stop_timeout,
	    .drain_extend_max = spec->drain_extend_max,
	    .dump_timeout = spec->dump_timeout,
	    .watchdog = spec->watchdog,
	    .drain_signal = spec->drain_signal,
	    .dump_signal = spec->dump_signal,
	    .restart = version_restart(spec->restart),
	    .restart_delay = spec->restart_delay,
	    .restart_delay_max = spec->restart_delay_max,
	    .restart_reset = spec->restart_reset,
	    .crash_loop_after = spec->crash_loop_after,
	    .on_crash_loop = version_crash_loop(spec->on_crash_loop),
	    .held = spec->handoff == HANDOFF_CHANNEL,
	    .start_retry = spec->on_start_failure == ON_START_FAILURE_RETRY,
	};
}
