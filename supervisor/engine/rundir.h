/* rundir.h - the runtime directory and its lock: made, watched while the instance runs, removed. */
#ifndef ENGINE_RUNDIR_H
#define ENGINE_RUNDIR_H

#include "engine/engine.h"

/* Makes and locks it. given: --runtime-dir, or NULL. 0 or -errno, said in the log (-EEXIST: an
 * instance of that name runs). */
int rundir_open(struct engine *engine, const char *given);
/*
 * From now on what somebody deletes of it (the directory, the lock, control.sock) is made anew, by
 * inotify(7); without that, the instance would serve and nobody could reach it. The control socket
 * is open by now. Where inotify fails that is said, and nothing is watched.
 */
void rundir_watch(struct engine *engine);
/* Removes it, if the lock is ours. Accepts one that was not opened. */
void rundir_close(struct engine *engine);

#endif
