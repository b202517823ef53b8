/* check_pool.c - what a pool needs of the world: its programs, its accounts, its files, its limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/check_internal.h"
#include "system/config_internal.h"
#include "system/journal.h"
#include "system/spawn.h"

/* May that user execute the file, by its mode? Access lists may say otherwise, so this is only good
 * for a warning. */
static bool is_executable_for(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	if (uid == 0 || stat(path, &st) == -1)
		return true;
	if (st.st_uid == uid)
		return st.st_mode & 0100;
	/* Supplementary groups are not looked at: whoever is in the file's group by them has to
	 * rely on the group's bit. */
	if (st.st_gid == gid || (st.st_mode & 0010) != 0)
		return st.st_mode & 0010;
	return st.st_mode & 0001;
}

static void check_user_may_execute(const struct check *check, const struct pool_spec *pool,
				   const char *key, const char *path)
{
	uid_t uid;
	gid_t gid;

	if (pool->user == NULL || check_find_user(pool->user, &uid, &gid) < 0)
		return;
	if (pool->group != NULL)
		check_find_group(pool->group, &gid);
	if (!is_executable_for(path, uid, gid))
		check_warn(check, key, "the user '%s' may not execute %s, by its mode", pool->user,
			   QUOTE(path));
}

static void check_command(const struct check *check, const struct pool_spec *pool, const char *key,
			  const char *word)
{
	cleanup_buf struct buf why = {.data = NULL};
	cleanup_free char *path = NULL;
	int r;

	r = spawn_resolve(word, pool->working_directory, &path);
	if (r < 0 && strchr(word, '/') == NULL) {
		check_fail(check, key, "cannot execute %s: %s in PATH (%s)", QUOTE(word),
			   r == -EACCES ? "no such command that may be executed"
					: "no such command",
			   getenv("PATH") != NULL ? getenv("PATH") : "not set");
		return;
	}
	if (r < 0) {
		check_fail(check, key, "cannot execute %s: %s", QUOTE(word), strerror(-r));
		return;
	}
	r = check_executable(path, &why);
	if (r < 0)
		check_fail(check, key, "cannot execute %s: %s", QUOTE(path), buf_text(&why));
	else if (r > 0)
		check_warn(check, key, "%s: %s", QUOTE(path), buf_text(&why));
	else
		check_user_may_execute(check, pool, key, path);
}

/* A wrapper that stays keeps LISTEN_PID, signals and the exit status to itself. */
static void check_wrapper(const struct check *check, const struct pool_spec *pool)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "ksh", "zsh"};
	const char *slash = strrchr(pool->argv[0], '/'),
		   *name = slash != NULL ? slash + 1 : pool->argv[0];
	size_t i;

	if (strcmp(name, "sudo") == 0 || strcmp(name, "su") == 0) {
		check_warn(check, "command",
			   "'%s' would be the worker, and not what it starts; set user = instead",
			   name);
		return;
	}
	for (i = 0; i < ARRAY_LEN(shells); i++) {
		if (strcmp(name, shells[i]) != 0 || pool->argc < 3 ||
		    strcmp(pool->argv[1], "-c") != 0)
			continue;
		if (strstr(pool->argv[2], "exec ") == NULL)
			check_warn(check, "command",
				   "the shell may be the worker, and not what it starts; write '%s "
				   "-c \"exec ...\"'",
				   name);
	}
}

static void check_working_directory(const struct check *check, const struct pool_spec *pool)
{
	struct stat st;

	if (pool->working_directory == NULL)
		return;
	if (stat(pool->working_directory, &st) == -1)
		check_fail(check, "working_directory", "%s: %s", QUOTE(pool->working_directory),
			   strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		check_fail(check, "working_directory", "%s is no directory",
			   QUOTE(pool->working_directory));
}

static void check_user(const struct check *check, const struct pool_spec *pool)
{
	uid_t uid = geteuid();
	gid_t gid;

	if (pool->user == NULL)
		return;
	/* A number alone would leave open which groups and which home it has. */
	if (check_find_user(pool->user, &uid, &gid) < 0 || getpwuid(uid) == NULL)
		check_fail(check, "user", "there is no user %s", QUOTE(pool->user));
	else if (uid != geteuid() && !check_has_capability(CAP_SETUID))
		check_fail(check, "user", "only root may start workers as %s, and we are uid %u",
			   QUOTE(pool->user), (unsigned)geteuid());
}

static void check_group(const struct check *check, const char *key, const char *name)
{
	gid_t gid;

	if (check_find_group(name, &gid) < 0)
		check_fail(check, key, "there is no group %s", QUOTE(name));
	else if (gid != getegid() && !check_has_capability(CAP_SETGID))
		check_fail(check, key,
			   "only root may start workers in the group %s, and we are uid %u",
			   QUOTE(name), (unsigned)geteuid());
}

static void check_accounts(const struct check *check, const struct pool_spec *pool)
{
	size_t i;

	check_user(check, pool);
	if (pool->group != NULL)
		check_group(check, "group", pool->group);
	for (i = 0; i < pool->n_supplementary_groups; i++)
		check_group(check, "supplementary_groups", pool->supplementary_groups[i]);
}

static void check_environment_files(const struct check *check, const struct pool_spec *pool)
{
	size_t i, n = 0;

	for (i = 0; i < pool->n_environment_file; i++) {
		cleanup_free char *error = NULL;
		char **variables = NULL;

		n = 0;
		if (config_read_environment_file(pool->environment_file[i], &variables, &n,
						 &error) < 0)
			check_fail(check, "environment_file", "%s",
				   error != NULL ? error : "no memory");
		config_list_free(variables);
	}
}

static void check_output(const struct check *check, const char *key,
			 const struct output_spec *output)
{
	cleanup_free char *directory = NULL;
	struct stat st;

	if (output->kind == OUTPUT_JOURNAL && stat(JOURNAL_STREAM_SOCKET, &st) == -1)
		check_warn(check, key,
			   "there is no journal at " JOURNAL_STREAM_SOCKET
			   " (%s): output will be captured instead",
			   strerror(errno));
	if (output->kind != OUTPUT_FILE || output->path == NULL)
		return;
	if (stat(output->path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			check_fail(check, key, "%s is a directory", QUOTE(output->path));
		else if (faccessat(AT_FDCWD, output->path, W_OK, AT_EACCESS) == -1)
			check_fail(check, key, "%s cannot be written: %s", QUOTE(output->path),
				   strerror(errno));
		return;
	}
	directory = strndup(output->path, (size_t)(strrchr(output->path, '/') - output->path) + 1);
	if (directory != NULL && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == -1)
		check_fail(check, key, "%s cannot be made: %s: %s", QUOTE(output->path), directory,
			   strerror(errno));
}

static void check_limit(const struct check *check, const char *key, int resource, uint64_t value)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) == -1 ||
	    limit.rlim_max == RLIM_INFINITY || value <= limit.rlim_max ||
	    check_has_capability(CAP_SYS_RESOURCE))
		return;
	check_fail(check, key, "only root may raise the limit above %llu, and we are uid %u",
		   (unsigned long long)limit.rlim_max, (unsigned)geteuid());
}

/* Not even root passes this one. */
static void check_nr_open(const struct check *check, const struct pool_spec *pool)
{
	cleanup_free char *text = NULL;
	unsigned long long most;

	if (fd_read_file("/proc/sys/fs/nr_open", 64, &text, NULL) < 0)
		return;
	most = strtoull(text, NULL, 10);
	if (most > 0 && pool->limit_nofile > most)
		check_fail(check, "limit_nofile",
			   "the kernel allows at most %llu (fs.nr_open), but it is %llu", most,
			   (unsigned long long)pool->limit_nofile);
}

static void check_priorities(const struct check *check, const struct pool_spec *pool)
{
	cleanup_free char *own = NULL;
	struct rlimit limit;
	int nice;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, 0);
	/* RLIMIT_NICE of 20 - n allows a nice of n: setrlimit(2). */
	if (pool->nice != CONFIG_UNSET && errno == 0 && pool->nice < nice &&
	    !check_has_capability(CAP_SYS_NICE) && getrlimit(RLIMIT_NICE, &limit) == 0 &&
	    20 - (long)limit.rlim_cur > pool->nice)
		check_fail(check, "nice",
			   "only root may lower it below our own (%d), and we are uid %u", nice,
			   (unsigned)geteuid());
	if (pool->oom_score_adj == CONFIG_UNSET || check_has_capability(CAP_SYS_RESOURCE) ||
	    fd_read_file("/proc/self/oom_score_adj", 64, &own, NULL) < 0)
		return;
	if (pool->oom_score_adj < atoi(own))
		check_fail(check, "oom_score_adj",
			   "only root may lower it below our own (%d), and we are uid %u",
			   atoi(own), (unsigned)geteuid());
}

void check_pool(const struct check *check, const struct pool_spec *pool)
{
	check_command(check, pool, "command", pool->argv[0]);
	check_wrapper(check, pool);
	check_shim(check, pool);
	if (pool->ready == READY_PROBE && pool->ready_probe.kind == PROBE_KIND_EXEC)
		check_command(check, pool, "ready", pool->ready_probe.argv[0]);
	if (pool->live.kind == PROBE_KIND_EXEC)
		check_command(check, pool, "live", pool->live.argv[0]);
	if (pool->canary_check != NULL)
		check_command(check, pool, "canary_check", pool->canary_check[0]);
	check_working_directory(check, pool);
	check_accounts(check, pool);
	check_environment_files(check, pool);
	check_output(check, "stdout", &pool->stdout_to);
	/* The same file as stdout's by default: said once. */
	if (pool->stderr_to.path == NULL || pool->stdout_to.path == NULL ||
	    strcmp(pool->stderr_to.path, pool->stdout_to.path) != 0)
		check_output(check, "stderr", &pool->stderr_to);
	if (pool->limit_nofile != 0) {
		check_limit(check, "limit_nofile", RLIMIT_NOFILE, pool->limit_nofile);
		check_nr_open(check, pool);
	}
	if (pool->limit_core != CONFIG_LIMIT_UNSET)
		check_limit(check, "limit_core", RLIMIT_CORE, pool->limit_core);
	check_priorities(check, pool);
	check_cgroup(check, pool);
}
