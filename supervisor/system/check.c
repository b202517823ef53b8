/* check.c - holds a configuration against the world: the order of the questions, and what several
 * of them need. */
#include "system/check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/check_internal.h"
#include "system/config_internal.h"

static struct config_place place_of(const struct check *check, const char *key)
{
	const struct config_section *section =
	    config_values_find(check->config->values, check->title);
	const struct config_entry *entry;

	if (section == NULL)
		return (struct config_place){.file = check->config->path};
	entry = config_values_entry(section, key);
	if (entry != NULL && entry->place.file != NULL)
		return entry->place;
	return section->place;
}

static void add(const struct check *check, const char *key, bool warning, const char *format,
		va_list args) __attribute__((format(printf, 4, 0)));
static void add(const struct check *check, const char *key, bool warning, const char *format,
		va_list args)
{
	struct config_place place = place_of(check, key);
	cleanup_buf struct buf text = {.data = NULL};

	buf_vprintf(&text, format, args);
	config_problem_add(check->problems, &place, warning, "[%s] %s: %s", check->title, key,
			   buf_text(&text));
}

void check_fail(const struct check *check, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(check, key, false, format, args);
	va_end(args);
}

void check_warn(const struct check *check, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(check, key, true, format, args);
	va_end(args);
}

int check_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user = getpwnam(name);
	uint64_t number;

	if (user == NULL && parse_uint(name, 0, UINT32_MAX - 1, &number) == 0) {
		user = getpwuid((uid_t)number);
		*ret_uid = (uid_t)number;
		*ret_gid = user != NULL ? user->pw_gid : (gid_t)number;
		return 0;
	}
	if (user == NULL)
		return -ENOENT;
	*ret_uid = user->pw_uid;
	*ret_gid = user->pw_gid;
	return 0;
}

int check_find_group(const char *name, gid_t *ret_gid)
{
	const struct group *group = getgrnam(name);
	uint64_t number;

	if (group != NULL)
		*ret_gid = group->gr_gid;
	else if (parse_uint(name, 0, UINT32_MAX - 1, &number) == 0)
		*ret_gid = (gid_t)number;
	else
		return -ENOENT;
	return 0;
}

bool check_has_capability(int capability)
{
	cleanup_free char *text = NULL;
	const char *line;

	if (fd_read_file("/proc/self/status", 64 * 1024, &text, NULL) < 0)
		return geteuid() == 0;
	line = strstr(text, "\nCapEff:");
	if (line == NULL)
		return geteuid() == 0;
	return strtoull(line + strlen("\nCapEff:"), NULL, 16) >> capability & 1;
}

int check_world(const struct config *config, const struct check_context *context,
		struct config_problems *problems, struct buf *summary)
{
	struct check check = {.config = config, .context = context, .problems = problems};
	size_t errors = problems->errors, i;

	snprintf(check.title, sizeof(check.title), "supervisor");
	check_supervisor(&check);
	check_descriptors(&check);
	for (i = 0; i < config->n_sockets; i++) {
		snprintf(check.title, sizeof(check.title), "socket:%s", config->sockets[i].name);
		check_socket(&check, &config->sockets[i]);
	}
	for (i = 0; i < config->n_pools; i++) {
		snprintf(check.title, sizeof(check.title), "pool:%s", config->pools[i].name);
		check_pool(&check, &config->pools[i]);
	}
	if (summary != NULL)
		check_summarize(config, summary);
	return problems->errors > errors ? -EINVAL : 0;
}
