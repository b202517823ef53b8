/* spawn_path.c - which file a command means, and a failed start in words. */
#include "system/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"

static int join_path(const char *directory, size_t directory_len, const char *name, char **ret_path)
{
	return asprintf(ret_path, "%.*s/%s", (int)directory_len, directory, name) == -1 ? -ENOMEM
											: 0;
}

/* 0: a file that we may execute. Effective ids, as exec looks at them. */
static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1 ? -errno : 0;
}

static int search_path(const char *word, char **ret_path)
{
	const char *part = getenv("PATH");
	int result = -ENOENT;

	if (part == NULL)
		part = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		size_t len = strcspn(part, ":");
		cleanup_free char *path = NULL;
		int r;

		if (part[0] == '/') { /* relative ones would mean another program with every working
					 directory */
			r = join_path(part, len, word, &path);
			if (r < 0)
				return r;
			r = check_executable(path);
			if (r == 0) {
				*ret_path = TAKE_PTR(path);
				return 0;
			}
			if (r == -EACCES)
				result = r;
		}
		if (part[len] == '\0')
			return result;
		part += len + 1;
	}
}

int spawn_resolve(const char *word, const char *directory, char **ret_path)
{
	char *path;

	if (word[0] == '\0')
		return -ENOENT;
	if (strchr(word, '/') == NULL)
		return search_path(word, ret_path);
	if (word[0] != '/' && directory != NULL)
		return join_path(directory, strlen(directory), word, ret_path);
	path = strdup(word);
	if (path == NULL)
		return -ENOMEM;
	*ret_path = path;
	return 0;
}

const char *spawn_stage_name(enum spawn_stage stage)
{
	static const char *const names[SPAWN_STAGE_COUNT] = {
	    [SPAWN_STAGE_NONE] = "start",
	    [SPAWN_STAGE_CLONE] = "create a process for",
	    [SPAWN_STAGE_SESSION] = "start a session for",
	    [SPAWN_STAGE_CGROUP] = "join the cgroup",
	    [SPAWN_STAGE_DESCRIPTORS] = "pass descriptors to",
	    [SPAWN_STAGE_OOM] = "set oom_score_adj for",
	    [SPAWN_STAGE_NICE] = "set nice for",
	    [SPAWN_STAGE_LIMITS] = "set resource limits for",
	    [SPAWN_STAGE_GROUPS] = "set supplementary groups for",
	    [SPAWN_STAGE_GROUP] = "set group for",
	    [SPAWN_STAGE_USER] = "set user for",
	    [SPAWN_STAGE_DIRECTORY] = "change directory to",
	    [SPAWN_STAGE_EXEC] = "execute",
	};

	return (unsigned)stage < SPAWN_STAGE_COUNT ? names[stage] : "start";
}

/* "cannot set group 33 for /usr/bin/api"; stages without a value of their own are told by their
 * name. */
static void describe_step(const struct spawn_spec *spec, enum spawn_stage stage, char *text,
			  size_t size)
{
	switch (stage) {
	case SPAWN_STAGE_CGROUP:
		snprintf(text, size, "cannot join the cgroup meant for %s", spec->path);
		break;
	case SPAWN_STAGE_GROUP:
		snprintf(text, size, "cannot set group %u for %s", (unsigned)spec->gid, spec->path);
		break;
	case SPAWN_STAGE_USER:
		snprintf(text, size, "cannot set user %u for %s", (unsigned)spec->uid, spec->path);
		break;
	case SPAWN_STAGE_NICE:
		snprintf(text, size, "cannot set nice %d for %s", spec->nice, spec->path);
		break;
	case SPAWN_STAGE_DIRECTORY:
		snprintf(text, size, "cannot change directory to %s", spec->directory);
		break;
	default:
		snprintf(text, size, "cannot %s %s", spawn_stage_name(stage), spec->path);
	}
}

/* What strerror() leaves open about a failed exec; "" if nothing. */
static const char *explain_exec(const char *path, int error)
{
	struct stat st;

	switch (error) {
	case ENOENT:
		if (stat(path, &st) == 0)
			return " (the file is there, but the interpreter in its first line, or its "
			       "loader, is not)";
		return "";
	case ENOEXEC:
		return " (no program for this machine; a script needs a first line such as "
		       "#!/bin/sh)";
	case EACCES:
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return " (it is a directory)";
		if (stat(path, &st) == 0 && (st.st_mode & 0111) == 0)
			return " (the file is not marked as executable)";
		return "";
	case ETXTBSY:
		return " (somebody is still writing to it; put new versions in place with a "
		       "rename)";
	default:
		return "";
	}
}

char *spawn_describe_error(const struct spawn_spec *spec, const struct spawn_error *error,
			   char *text, size_t size)
{
	char step[256];

	describe_step(spec, error->stage, step, sizeof(step));
	if (error->signal != 0)
		snprintf(text, size, "%s: killed by %s before that", step,
			 parse_signal_name(error->signal));
	else
		snprintf(text, size, "%s: %s%s", step, strerror(error->error),
			 error->stage == SPAWN_STAGE_EXEC ? explain_exec(spec->path, error->error)
							  : "");
	return text;
}
