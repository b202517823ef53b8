/* check_cgroup.c - limits that only a cgroup per worker can keep: will they be kept? If not, that
 * is said, and no reason to refuse: the workers serve all the same. */
#include <stdlib.h>

#include "base/fd.h"
#include "system/cgroup.h"
#include "system/check_internal.h"

static const struct {
	const char *key;
	enum cgroup_controller controller;
} keys[] = {
    {"memory_max", CGROUP_MEMORY},
    {"tasks_max", CGROUP_PIDS},
    {"cpu_weight", CGROUP_CPU},
};

static bool is_set(const struct pool_spec *pool, enum cgroup_controller controller)
{
	const uint64_t values[CGROUP_CONTROLLERS] = {
	    [CGROUP_MEMORY] = pool->memory_max,
	    [CGROUP_PIDS] = pool->tasks_max,
	    [CGROUP_CPU] = pool->cpu_weight,
	};

	/* no limit is what there is without a cgroup, too */
	return values[controller] != 0 && values[controller] != UINT64_MAX;
}

/* Nothing runs, and whoever runs the check is not who will run the instance. */
static bool is_elsewhere(const struct check *check)
{
	return check->context->bind_test && check->context->master == 0;
}

static void warn_all(const struct check *check, const struct pool_spec *pool, const char *why)
{
	for (size_t n = 0; n < ARRAY_LEN(keys); n++) {
		if (!is_set(pool, keys[n].controller))
			continue;
		if (is_elsewhere(check))
			check_warn(check, keys[n].key,
				   "takes effect only in a cgroup that is delegated to the "
				   "instance (Delegate=yes in its unit), and here there is none");
		else
			check_warn(check, keys[n].key, "has no effect: %s", why);
	}
}

void check_cgroup(const struct check *check, const struct pool_spec *pool)
{
	cleanup_free char *path = NULL;
	cleanup_buf struct buf why = {0};
	bool has[CGROUP_CONTROLLERS] = {false};

	if (!is_set(pool, CGROUP_MEMORY) && !is_set(pool, CGROUP_PIDS) && !is_set(pool, CGROUP_CPU))
		return;
	if (cgroup_find("", check->context->master, &path, &why) < 0 ||
	    cgroup_available(path, has) < 0) {
		warn_all(check, pool, buf_text(&why));
		return;
	}
	for (size_t n = 0; n < ARRAY_LEN(keys); n++)
		if (is_set(pool, keys[n].controller) && !has[keys[n].controller])
			check_warn(check, keys[n].key,
				   "has no effect: there is no %s controller in %s",
				   cgroup_controller_name(keys[n].controller), path);
}
