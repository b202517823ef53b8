/* launch_command.c - commands about workers: with their user, directory and environment, and
 * nothing of theirs. */
#include "engine/launch.h"

#include "base/fd.h"
#include "system/spawn.h"

int launch_command(struct engine *engine, const struct version *version, char **argv, char **env,
		   int output, pid_t *ret_pid, int *ret_pidfd)
{
	cleanup_free char *path = NULL;
	struct spawn_error error = {0};
	struct spawn_spec spec = {
	    .argv = argv,
	    .env = env,
	    .stdin_fd = engine->null_fd,
	    .stdout_fd = output,
	    .stderr_fd = output,
	    .cgroup_fd = -1,
	    .exec_fd = -1,
	    .directory_fd = -1,
	    .directory = version->pin->directory.path,
	    .change_user = version->change_user,
	    .uid = version->uid,
	    .gid = version->gid,
	    .groups = version->groups,
	    .n_groups = version->n_groups,
	    .umask = version->spec->umask,
	};
	int r = spawn_resolve(argv[0], version->pin->directory.path, &path);

	if (r < 0)
		return r;
	spec.path = path;
	return spawn_process(&spec, ret_pid, ret_pidfd, &error);
}
