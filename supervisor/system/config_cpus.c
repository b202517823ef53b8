/* config_cpus.c - how many CPUs we may use: sched_getaffinity(2), and the bandwidth limits of
 * cgroups(7). */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

static unsigned count_affinity(void)
{
	enum { CPUS_MAX = 8192 };
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	int n = 1;

	if (set != NULL && sched_getaffinity(0, size, set) == 0)
		n = CPU_COUNT_S(size, set);
	CPU_FREE(set);
	return n > 0 ? (unsigned)n : 1;
}

/* quota microseconds per period, in CPUs, rounded up. 0: not limited. */
static unsigned limit_of(const char *quota, const char *period)
{
	uint64_t q, p, cpus;

	/* "max" and "-1" are no numbers. */
	if (parse_uint(quota, 1, UINT64_MAX, &q) < 0 || parse_uint(period, 1, UINT64_MAX, &p) < 0)
		return 0;
	cpus = q / p + (q % p != 0);
	return cpus < CONFIG_WORKERS_MAX ? (unsigned)cpus : 0;
}

static char *read_first_line(const char *directory, const char *file)
{
	cleanup_buf struct buf path = {.data = NULL};
	char *text;

	buf_printf(&path, "%s/%s", directory, file);
	if (path.cut || fd_read_file(buf_text(&path), 4096, &text, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* The limit of one cgroup's directory: v2 has one file, v1 two. */
static unsigned limit_of_directory(const char *directory)
{
	cleanup_free char *max = read_first_line(directory, "cpu.max"), *quota = NULL,
			  *period = NULL;
	char *blank;

	if (max != NULL) {
		blank = strchr(max, ' ');
		if (blank == NULL)
			return 0;
		*blank = '\0';
		return limit_of(max, blank + 1);
	}
	quota = read_first_line(directory, "cpu.cfs_quota_us");
	period = read_first_line(directory, "cpu.cfs_period_us");
	return quota != NULL && period != NULL ? limit_of(quota, period) : 0;
}

static unsigned smaller(unsigned a, unsigned b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* The smallest limit of a cgroup and all above it, up to where the hierarchy is mounted. */
static unsigned limit_of_group(const char *mount, const char *group)
{
	cleanup_buf struct buf directory = {.data = NULL};
	size_t mount_len = strlen(mount);
	unsigned limit = 0;
	char *slash;

	buf_printf(&directory, "%s%s", mount, group);
	if (directory.cut || directory.data == NULL)
		return 0;
	for (;;) {
		limit = smaller(limit, limit_of_directory(directory.data));
		slash = strrchr(directory.data, '/');
		if (slash == NULL || (size_t)(slash - directory.data) < mount_len)
			return limit;
		*slash = '\0';
	}
}

/* "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1) of /proc/self/cgroup. 0: says nothing of CPUs. */
static unsigned limit_of_line(const char *root, char *line)
{
	static const char *const v1_mounts[] = {"cpu,cpuacct", "cpu"};
	char *controllers = strchr(line, ':'), *group, *word;
	char mount[256];
	unsigned limit = 0;
	bool cpu = false;
	size_t i;

	if (controllers == NULL || (group = strchr(++controllers, ':')) == NULL)
		return 0;
	*group++ = '\0';
	if (*controllers == '\0') {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		return limit_of_group(mount, group);
	}
	while ((word = strsep(&controllers, ",")) != NULL)
		cpu = cpu || strcmp(word, "cpu") == 0;
	for (i = 0; cpu && limit == 0 && i < ARRAY_LEN(v1_mounts); i++) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, v1_mounts[i]);
		limit = limit_of_group(mount, group);
	}
	return limit;
}

unsigned config_limit_cpus(const char *root)
{
	cleanup_free char *text = NULL;
	char path[256], *line, *next;
	unsigned limit = 0;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (fd_read_file(path, 64 * 1024, &text, NULL) < 0)
		return 0;
	next = text;
	while ((line = strsep(&next, "\n")) != NULL)
		limit = smaller(limit, limit_of_line(root, line));
	return limit;
}

unsigned config_count_cpus(const char *root)
{
	return smaller(count_affinity(), config_limit_cpus(root));
}
