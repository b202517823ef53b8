/* launch_internal.h - what the parts of launch.h share: launch_queue.c (whose turn it is),
 * launch_prepare.c (what a start needs) and launch.c (what becomes of it). */
#ifndef ENGINE_LAUNCH_INTERNAL_H
#define ENGINE_LAUNCH_INTERNAL_H

#include "engine/launch.h"
#include "engine/proc.h"
#include "system/spawn.h"

/* What is there for one start only, from its preparation until its program runs. */
struct launch {
	struct proc *proc;
	bool by_path;	     /* what is executed was at its path when we looked */
	bool counted;	     /* among those that are on their way */
	struct launch *next; /* of those that were dropped */
	struct spawn_spec spec;
	struct spawn_start *start; /* NULL: not begun, or its result is known */
	struct event *event;	   /* something is known of it */
	struct spawn_error error;  /* stage SPAWN_STAGE_NONE: none */
	char **argv, **env;
	size_t pid_variables[2];
	int out, err;
	int ready_read, ready_write;
	int ack;   /* the worker's end */
	int probe; /* its probe socket, of which we keep nothing */
	int cgroup;
	int *fds, *numbers;
	size_t n_fds;
	char oom[16];
	struct spawn_limit limits[2];
};

/* Counts as on its way. NULL: no memory. */
struct launch *launch_new(struct proc *proc);
void launch_free(struct launch *launch);
/* Opens and finds out all that its process is to be given. 0, or -errno and perhaps a sentence. */
int launch_prepare(struct launch *launch, char **ret_error);
/*
 * What is executed: the version's own, whatever is at its path by now. 0, or -errno and a sentence:
 * it was written over, and others serve.
 */
int launch_set_program(struct launch *launch, char **ret_error);
/* It was executed by path: but had something else been put there at that moment? */
bool launch_is_other(const struct launch *launch);
/* Our ends of what its process was given. */
void launch_close(struct launch *launch);
/* Nobody waits for what becomes of its process. */
void launch_unwatch(struct launch *launch);
/* That is known. */
void launch_forget(struct launch *launch);
/* Starts a worker of the model's, if that still wants it. */
void launch_one(struct engine *engine, const struct worker_ref *ref);

#endif
