/* config_verify.c - holds the keys of a pool against each other and against its sockets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* Where a key was written, else where its section begins. */
static struct config_place place_of(const struct config_section *section, const char *key)
{
	const struct config_entry *entry = config_values_entry(section, key);

	return entry->place.file != NULL ? entry->place : section->place;
}

static bool is_written(const struct config_section *section, const char *key)
{
	return config_values_entry(section, key)->n > 0;
}

void config_verify_fail(const struct config_verify_pool *verify, const char *key,
			const char *format, ...)
{
	cleanup_buf struct buf text = {.data = NULL};
	struct config_place place = place_of(verify->section, key);
	va_list args;

	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	config_problem_add(verify->problems, &place, false, "[%s] %s: %s", verify->section->title,
			   key, buf_text(&text));
}

/* " (FILE:LINE)" of the other key that a mistake is about, if it was written in another file than
 * the key that is blamed: a drop-in, most likely. */
static const char *elsewhere(const struct config_verify_pool *verify, const char *key,
			     const char *other, struct buf *out)
{
	const struct config_entry *entry = config_values_entry(verify->section, other);

	if (entry->n > 0 && strcmp(entry->place.file, place_of(verify->section, key).file) != 0)
		buf_printf(out, " (%s:%u)", entry->place.file, entry->place.line);
	return buf_text(out);
}

static void explain_no_socket(const struct config *config, const char *name, struct buf *out)
{
	const char *names[CONFIG_SOCKETS_MAX], *near;
	size_t i;

	for (i = 0; i < config->n_sockets; i++)
		names[i] = config->sockets[i].name;
	near = parse_suggest(name, names, config->n_sockets);
	buf_printf(out, "there is no [socket:%s]", name);
	if (near != NULL)
		buf_printf(out, "; did you mean '%s'?", near);
}

/* Is the name at `at` one that the list had before? */
static bool is_repeated(char *const *names, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (strcmp(names[i], names[at]) == 0)
			return true;
	return false;
}

/* Names are held against the lines that they stand in, so that the line is the right one. */
static void verify_sockets(const struct config_verify_pool *verify)
{
	const struct config_entry *entry = config_values_entry(verify->section, "sockets");
	const struct pool_spec *pool = verify->pool;
	size_t i, j, n, at = 0;

	for (i = 0; i < entry->n; i++) {
		cleanup_free char **names = NULL;

		if (config_split_list(entry->texts[i].text, &names, &n, NULL) < 0)
			continue;
		for (j = 0; j < n && at < pool->n_sockets; j++, at++) {
			cleanup_buf struct buf text = {.data = NULL};

			if (config_find_socket(verify->config, names[j]) == NULL)
				explain_no_socket(verify->config, names[j], &text);
			else if (is_repeated(pool->sockets, at))
				buf_printf(&text, "'%s' is listed twice", names[j]);
			if (text.len > 0)
				config_problem_add(verify->problems, &entry->texts[i].place, false,
						   "[%s] sockets: %s", verify->section->title,
						   text.data);
		}
	}
}

static void verify_ready(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;

	if (pool->ready == READY_FD && pool->ready_fd >= 3 &&
	    (size_t)pool->ready_fd < 3 + pool->n_sockets)
		config_verify_fail(
		    verify, "ready",
		    "fd:%d is the descriptor of '%s'; the sockets have 3 to %zu, so take a higher "
		    "one",
		    pool->ready_fd, pool->sockets[pool->ready_fd - 3], 2 + pool->n_sockets);
	else if (pool->ready == READY_FD && pool->ready_fd >= 3 &&
		 (size_t)pool->ready_fd < 3 + pool->n_sockets + pool->fd_store_max)
		config_verify_fail(
		    verify, "ready",
		    "fd:%d may be the descriptor of something that is kept (fd_store_max = %u): "
		    "these follow the sockets, up to %zu, so take a higher one",
		    pool->ready_fd, pool->fd_store_max, 2 + pool->n_sockets + pool->fd_store_max);
	if (pool->ready == READY_DELAY && pool->handoff == HANDOFF_CHANNEL)
		config_verify_fail(
		    verify, "ready",
		    "with handoff = channel a worker gets its sockets once it is ready, which a "
		    "delay cannot tell: use notify, fd or exec");
	if (pool->ready == READY_DELAY && pool->ready_delay > 0 &&
	    pool->ready_delay >= pool->start_timeout)
		config_verify_fail(
		    verify, "ready", "a worker would be ready after %s, but start_timeout is %s",
		    DURATION_TEXT(pool->ready_delay), DURATION_TEXT(pool->start_timeout));
}

static void verify_shim(const struct config_verify_pool *verify)
{
	if (verify->pool->bind_shim && verify->pool->n_sockets == 0)
		config_verify_fail(
		    verify, "bind_shim",
		    "there are no sockets that a worker could bind; list them in the key sockets");
	if (verify->pool->bind_shim && verify->pool->handoff == HANDOFF_CHANNEL)
		config_verify_fail(
		    verify, "bind_shim",
		    "a server that binds its addresses itself has its sockets from the start: "
		    "that goes with handoff = inherit only");
}

static void verify_compat(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;
	cleanup_buf struct buf text = {.data = NULL};

	if (pool->ready == READY_EINHORN && (pool->compat & COMPAT_EINHORN) == 0)
		config_verify_fail(
		    verify, "ready",
		    "einhorn: a worker has no socket for that without compat = einhorn");
	if ((pool->compat & COMPAT_S6) != 0 &&
	    (pool->ready != READY_FD || pool->ready_fd != pool->compat_s6_fd))
		config_verify_fail(verify, "compat",
				   "s6:%d means ready = fd:%d, and there is another ready",
				   pool->compat_s6_fd, pool->compat_s6_fd);
	if (!is_written(verify->section, "drain_signal") &&
	    *config_compat_disagree(pool, &text) != '\0')
		config_verify_fail(verify, "compat", "%s: say which in drain_signal", text.data);
	if ((pool->compat & (COMPAT_SERVER_STARTER | COMPAT_EINHORN | COMPAT_NGINX)) != 0 &&
	    pool->handoff == HANDOFF_CHANNEL)
		config_verify_fail(
		    verify, "compat",
		    "such workers are born with their sockets: that goes with handoff = inherit "
		    "only");
}

static void verify_times(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;
	usec_t start = usec_add(pool->start_timeout, pool->min_ready);

	if (pool->restart_delay_max < pool->restart_delay && pool->restart_delay_max > 0)
		config_verify_fail(
		    verify,
		    is_written(verify->section, "restart_delay_max") ? "restart_delay_max"
								     : "restart_delay",
		    "restart_delay_max (%s) must not be shorter than restart_delay (%s)",
		    DURATION_TEXT(pool->restart_delay_max), DURATION_TEXT(pool->restart_delay));
	if (pool->progress_timeout < start && pool->progress_timeout > 0)
		config_verify_fail(
		    verify,
		    is_written(verify->section, "progress_timeout") ? "progress_timeout"
								    : "start_timeout",
		    "progress_timeout (%s) must not be shorter than start_timeout and min_ready "
		    "together (%s)",
		    DURATION_TEXT(pool->progress_timeout), DURATION_TEXT(start));
}

static unsigned amount_of(const struct amount *amount, unsigned workers, unsigned round)
{
	uint64_t value = amount->value;

	if (amount->percent)
		value = (workers * value + round) / 100;
	return value > workers ? workers : (unsigned)value;
}

unsigned config_surge(const struct pool_spec *pool, unsigned workers)
{
	return amount_of(&pool->max_surge, workers, 99);
}

unsigned config_unavailable(const struct pool_spec *pool, unsigned workers)
{
	return amount_of(&pool->max_unavailable, workers, 0);
}

/* A rollout has to have a way to replace a worker, and the time for it. */
static void verify_progress(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;
	usec_t drain =
	    usec_add(pool->drain_timeout, pool->dump_signal != 0 ? pool->dump_timeout : 0);
	const char *key =
	    is_written(verify->section, "max_unavailable") ? "max_unavailable" : "max_surge";
	unsigned surge = config_surge(pool, pool->workers);

	if (pool->workers == 0 || surge == pool->workers)
		return;
	if (surge == 0 && pool->max_unavailable.value == 0)
		config_verify_fail(
		    verify, key,
		    "max_surge and max_unavailable are both 0, so no worker could ever be "
		    "replaced: allow one more of them (max_surge) or one fewer (max_unavailable)");
	else if (surge == 0 && config_unavailable(pool, pool->workers) == 0)
		config_verify_fail(
		    verify, key,
		    "%u%% of %u worker%s, rounded down, are none, and max_surge is 0, so no worker "
		    "could ever be replaced: say a number, 1 or more",
		    pool->max_unavailable.value, pool->workers, pool->workers == 1 ? "" : "s");
	else if (config_unavailable(pool, pool->workers) > 0 && pool->progress_timeout <= drain &&
		 pool->progress_timeout > 0)
		config_verify_fail(
		    verify,
		    is_written(verify->section, "progress_timeout") ? "progress_timeout"
								    : "drain_timeout",
		    "progress_timeout (%s) must be longer than a drain (%s) where workers have to "
		    "go before their successors start (max_unavailable)",
		    DURATION_TEXT(pool->progress_timeout), DURATION_TEXT(drain));
}

/* What is about canaries means nothing without one. */
static void verify_canary(const struct config_verify_pool *verify)
{
	static const char *const keys[] = {"canary_time", "canary_check", "canary_check_timeout",
					   "canary_hold", "canary_hold_timeout"};
	const struct pool_spec *pool = verify->pool;
	cleanup_buf struct buf why = {.data = NULL};

	if (pool->workers > 0 && config_explain_canary(pool, &why))
		config_verify_fail(verify, "canary", "%s", buf_text(&why));
	if (verify->problems->errors > 0)
		return; /* enough to do */
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct config_place place = place_of(verify->section, keys[i]);

		if (is_written(verify->section, keys[i]) && !is_written(verify->section, "canary"))
			config_problem_add(verify->problems, &place, true,
					   "[%s] %s: has no effect without canary",
					   verify->section->title, keys[i]);
	}
}

static void verify_numbers(const struct config_verify_pool *verify)
{
	const struct pool_spec *pool = verify->pool;
	unsigned surge = config_surge(pool, pool->workers);
	cleanup_buf struct buf where = {.data = NULL}, too_few = {.data = NULL};

	/* A mistake in `workers` itself is enough. */
	if (pool->workers == 0)
		return;
	if (pool->max_processes != 0 && pool->max_processes < pool->workers + surge)
		config_verify_fail(
		    verify, "max_processes",
		    "must be at least %u, for %u workers%s and %u more in a rollout (max_surge), "
		    "but is %u",
		    pool->workers + surge, pool->workers,
		    elsewhere(verify, "max_processes", "workers", &where), surge,
		    pool->max_processes);
	if (pool->ready_workers.percent || pool->ready_workers.value <= pool->workers ||
	    pool->workers_auto)
		return;
	config_verify_fail(
	    verify, is_written(verify->section, "ready_workers") ? "ready_workers" : "workers",
	    "the pool could never count as ready: ready_workers is %u, but workers is %u%s",
	    pool->ready_workers.value, pool->workers,
	    elsewhere(verify, "ready_workers", "workers", &too_few));
}

static void verify_pools(const struct config *config, struct config_problems *problems)
{
	struct config_verify_pool verify = {.config = config, .problems = problems};
	size_t i, n = 0;
	unsigned long total = 0;

	for (i = 0; i < config->values->n_sections; i++) {
		if (config->values->sections[i]->kind != KEY_POOL)
			continue;
		verify.section = config->values->sections[i];
		verify.pool = &config->pools[n++];
		verify_sockets(&verify);
		verify_ready(&verify);
		config_verify_probe(&verify);
		verify_shim(&verify);
		verify_compat(&verify);
		verify_times(&verify);
		verify_progress(&verify);
		verify_canary(&verify);
		verify_numbers(&verify);
		total += verify.pool->workers;
	}
	if (n > 0 && total > CONFIG_WORKERS_MAX)
		config_verify_fail(&verify, "workers",
				   "all pools together have %lu workers; at most %d are possible",
				   total, CONFIG_WORKERS_MAX);
}

void config_verify(const struct config *config, struct config_problems *problems)
{
	struct config_place file = {.file = config->values->files[0]};

	if (config->n_pools == 0 && !config->values->torn)
		config_problem_add(problems, &file, false,
				   "there is no [pool:NAME], so there is nothing to run");
	verify_pools(config, problems);
	config_verify_sockets(config, problems);
}
