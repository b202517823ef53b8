/* launch.h - starting workers: exact environment, exact descriptors; in slices, so that a thousand
 * delay nobody. */
#ifndef ENGINE_LAUNCH_H
#define ENGINE_LAUNCH_H

#include "engine/engine.h"

/* A worker of the model's is to get a process: now, or when those before it have theirs. */
void launch_queue(struct engine *engine, const struct worker_ref *ref);
/* Starts those that wait, for at most LAUNCH_SLICE; the rest in the loop's next turns. */
void launch_waiting(struct engine *engine);
/* The slice timer's callback. */
void launch_slice(evutil_socket_t fd, short what, void *arg);
/* That of starts that wait for others which hang. */
void launch_lose_patience(evutil_socket_t fd, short what, void *arg);

/*
 * A start is on its way (proc->launch) from the moment that the worker has a process, which the
 * model is told at once, until its program runs. Nobody waits for that; what may be waiting are
 * these:
 */
/* Its program may run by now, because it says something: tells so. Nothing if it does not, or is
 * known to. */
void launch_look(struct proc *proc);
/* It ended, and was not to go. True: it has another process, because the one that ended could not
 * join its cgroup. */
bool launch_again(struct proc *proc);
/* It ended. True: it did so before its program ran, although it was not to go; all is told. */
bool launch_has_failed(struct proc *proc, bool leaving);
/* Ends a start that is still on its way, with the process, for whose end nobody waits. */
void launch_drop(struct proc *proc);
/* It has SIGKILL: others need not wait for it any more. Nothing where no start is on its way. */
void launch_let_go(struct proc *proc);
/* A child has ended, perhaps a dropped one. */
void launch_sweep(struct engine *engine);

/*
 * Everything a worker (or a command that is run about it) is to find in its environment: a
 * NULL-terminated list. pid_variables (room for 2) gets the places of those that bear the child's
 * pid. Freed by launch_free_environment().
 */
char **launch_environment(const struct proc *proc, size_t pid_variables[static 2],
			  size_t *ret_n_pid_variables);
/* The same for a command about that worker: without what belongs to the worker's process alone, and
 * with room for so many more. NULL: no memory. */
char **launch_command_environment(const struct proc *proc, size_t more);
void launch_free_environment(char **environment);
/* Runs such a command in a process group of its own; what it writes goes to output. 0 or -errno;
 * the pid and the pidfd are the caller's. */
int launch_command(struct engine *engine, const struct version *version, char **argv, char **env,
		   int output, pid_t *ret_pid, int *ret_pidfd);
/* Sockets that its workers are born with: those of the configuration; and with the probe socket. */
size_t launch_inherited(const struct pool_spec *spec);
size_t launch_listeners(const struct pool_spec *spec);
struct config_who launch_who(const struct proc *proc);
/* words with their specifiers replaced; freed like an environment. */
char **launch_arguments(const struct proc *proc, char *const *words);

#endif
