/* launch_program.c - a generation goes on with what was on disk when it began. */
#include "engine/launch_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "engine/events.h"

/* What "/dev/fd/" and a number need. */
enum { LAUNCH_NAME_MAX = 32 };

static void launch_tell_overwritten(const struct launch *launch, const char *then)
{
	const struct proc *proc = launch->proc;

	events_tell(proc->engine,
		    HAPPENING("version-overwritten", LOG_LEVEL_WARNING,
			      .pool = proc->version->spec->name, .slot = proc->slot,
			      .generation = proc->generation),
		    "%s: what it runs was written over in place (%s): %s", PROC_TEXT(proc),
		    proc->version->pin->program.path, then);
}

/*
 * There is nothing left of what it ran. While others of its pool serve, nothing is risked; where
 * nobody does, something that nobody asked for is better than nothing, if it is told.
 */
static int launch_is_lost(struct launch *launch, char **ret_error)
{
	const struct proc *proc = launch->proc;
	const struct pool *pool = &proc->engine->model->pools[proc->ref.pool];

	if (pool->counts[WORKER_SERVING] == 0) {
		launch_tell_overwritten(launch, "no worker of the pool serves, so that it is "
						"started from what is there now");
		return 0;
	}
	launch_tell_overwritten(launch, "it is not started while others of its pool serve");
	if (asprintf(ret_error,
		     "%s was written over in place, so that what generation %u ran is gone; a "
		     "reload starts what is there now",
		     proc->version->pin->program.path, proc->generation) == -1)
		*ret_error = NULL;
	return -ESTALE;
}

static void launch_tell_moved(const struct launch *launch, const struct pin_way *way)
{
	const struct pin *pin = launch->proc->version->pin;

	log_notice("%s: %s is no longer what it runs: starting it from what is held open",
		   PROC_TEXT(launch->proc), way->moved ? pin->program.path : pin->interpreter.path);
}

/* ---- scripts: as the kernel does it with the first line ---- */

/* Passes it to the interpreter, behind everything else. Returns its number. */
static int launch_pass(struct launch *launch, int fd)
{
	int number = 2;

	for (size_t n = 0; n < launch->n_fds; n++)
		if (launch->numbers[n] > number)
			number = launch->numbers[n];
	launch->fds[launch->n_fds] = fd;
	launch->numbers[launch->n_fds++] = ++number;
	return number;
}

/* The interpreter, its argument, the script, and what follows the command's first word. */
static int launch_set_words(struct launch *launch, const char *script)
{
	const struct pin *pin = launch->proc->version->pin;
	const char *first[] = {pin->interpreter.path, pin->argument, script};
	size_t n_old = 0, n = 0;
	char **words;

	while (launch->argv[n_old] != NULL)
		n_old++;
	words = calloc(n_old + ARRAY_LEN(first) + 1, sizeof(*words));
	if (words == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		if (first[i] == NULL)
			continue;
		words[n] = strdup(first[i]);
		if (words[n++] == NULL) {
			launch_free_environment(words);
			return -ENOMEM;
		}
	}
	if (n_old > 0) {
		free(launch->argv[0]);
		memcpy(&words[n], &launch->argv[1], (n_old - 1) * sizeof(*words));
	}
	free(launch->argv);
	launch->argv = words;
	return 0;
}

static int launch_set_script(struct launch *launch, const struct pin_way *way)
{
	const struct pin *pin = launch->proc->version->pin;
	const char *script = pin->program.path;
	char name[LAUNCH_NAME_MAX];

	if (way->moved || way->copy) {
		snprintf(name, sizeof(name), "/dev/fd/%d",
			 launch_pass(launch, way->copy ? pin->copy : pin->program.fd));
		script = name;
	}
	launch->spec.path = pin->interpreter.path;
	if (way->interpreter_moved)
		launch->spec.exec_fd = pin->interpreter.fd;
	return launch_set_words(launch, script);
}

/* ---- all of it ---- */

int launch_set_program(struct launch *launch, char **ret_error)
{
	const struct pin *pin = launch->proc->version->pin;
	struct spawn_spec *spec = &launch->spec;
	struct pin_way way;

	pin_look(pin, &way);
	spec->path = pin->program.path;
	spec->exec_fd = -1;
	spec->directory = pin->directory.path;
	spec->directory_fd = way.directory_moved ? pin->directory.fd : -1;
	if (way.lost)
		return launch_is_lost(launch, ret_error);
	launch->by_path = !way.moved && !way.interpreter_moved && !way.copy;
	if (launch->by_path)
		return 0;
	if (way.copy)
		launch_tell_overwritten(launch, "it is started from the copy that was kept");
	else
		launch_tell_moved(launch, &way);
	if (pin->interpreter.path != NULL)
		return launch_set_script(launch, &way);
	spec->exec_fd = pin->program.fd;
	return 0;
}

bool launch_is_other(const struct launch *launch)
{
	const struct proc *proc = launch->proc;
	const struct pin *pin = proc->version->pin;
	struct pin_way way;
	struct stat st;
	char path[32];

	if (!launch->by_path)
		return false;
	pin_look(pin, &way);
	if (!way.moved && !way.interpreter_moved && !way.copy && !way.lost)
		return false;
	/* of a script, this is the interpreter */
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)proc->pid);
	return pin->interpreter.path != NULL || stat(path, &st) == -1 ||
	       st.st_dev != pin->program.identity.device ||
	       st.st_ino != pin->program.identity.inode;
}
