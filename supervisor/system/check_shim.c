/* check_shim.c - bind_shim = yes: is the library there, and would it be loaded into the worker? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/check_internal.h"
#include "system/config_internal.h"
#include "system/shim.h"
#include "system/spawn.h"

static void check_library(const struct check *check)
{
	cleanup_free char *path = NULL;

	if (shim_find(&path) < 0)
		return;
	if (access(path, R_OK) == -1)
		check_fail(check, "bind_shim", "%s, the library that does it, cannot be read: %s",
			   QUOTE(path), strerror(errno));
	else if (strpbrk(path, " :") != NULL)
		check_fail(check, "bind_shim",
			   "%s: LD_PRELOAD cannot name a path with a blank or a colon",
			   QUOTE(path));
}

/* The file that a command means is the command's own matter; here it is one that can be executed.
 */
static void check_program(const struct check *check, const struct pool_spec *pool)
{
	cleanup_buf struct buf why = {.data = NULL};
	cleanup_free char *path = NULL;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (spawn_resolve(pool->argv[0], pool->working_directory, &path) < 0)
		return;
	if (pool->user != NULL)
		check_find_user(pool->user, &uid, &gid);
	if (pool->group != NULL)
		check_find_group(pool->group, &gid);
	if (shim_refuses(path, uid, gid, &why) < 0)
		check_fail(check, "bind_shim", "is of no use with %s: %s", QUOTE(path),
			   buf_text(&why));
}

void check_shim(const struct check *check, const struct pool_spec *pool)
{
	if (!pool->bind_shim)
		return;
	check_library(check);
	check_program(check, pool);
}
