/* proc.h - a worker's process as the engine knows it: what it says, how it ends, and what is left
 * behind. */
#ifndef ENGINE_PROC_H
#define ENGINE_PROC_H

#include "engine/engine.h"

enum {
	PROC_NOTIFY_BURST = 32, /* datagrams read in one turn of the loop */
	PROC_REPORT_LINES = 8,	/* last output lines in a report */
};

/* A record for a worker of the model's, not started yet. Takes a reference to version. NULL: no
 * memory. */
struct proc *proc_new(struct engine *engine, const struct worker_ref *ref, uint32_t slot,
		      struct version *version);
/* Frees it with all descriptors; returns NULL. It has ended, or never ran. */
struct proc *proc_free(struct proc *proc);
/* Its process runs: watches it (takes pidfd over), and what it says. 0 or -errno. */
int proc_watch(struct proc *proc, pid_t pid, int pidfd);
/* That process has ended, and was not the worker yet: reaps and forgets it. */
void proc_unwatch(struct proc *proc);
/* Watches a pipe for the newline that says "ready" (takes fd over). 0 or -errno. */
int proc_watch_ready(struct proc *proc, int fd);
/* SIGKILL to all of its processes that we can name. */
void proc_kill(struct proc *proc);
/* Is this the kind of readiness that its specification names? */
bool proc_is_ready_by(const struct proc *proc, enum ready_kind kind);
/* It is ready: the model is told, at once or when its channel is there. */
void proc_ready(struct proc *proc);
void proc_set_status(struct proc *proc, const char *status);
/* Requests that it says are in flight. False: it does not tell. */
bool proc_inflight(const struct proc *proc, unsigned long *ret_inflight);
/* The signal, and SIGCONT behind it: a stopped process cannot drain. 0 or -errno. */
int proc_signal(struct proc *proc, int sig, int value);
/* Its worker is gone in the model: off the books, freed by proc_bury() when the step's plan is
 * done. */
void proc_retire(struct proc *proc);
void proc_bury(struct engine *engine);
/* "pool api slot 2 generation 3 pid 4711", as every message names a worker. Returns text. */
char *proc_describe(const struct proc *proc, char *text, size_t size);
#define PROC_TEXT(proc) proc_describe((proc), (char[PROC_NAME_MAX]){0}, PROC_NAME_MAX)
/* How it ended: "exited with code 1", "was killed by the kernel: out of memory in its cgroup
 * (memory_max = 64M)". Returns text. */
enum { PROC_EXIT_MAX = 128 };
char *proc_describe_exit(const struct proc *proc, char *text, size_t size);
/* What it was doing, if it told us: ", 3 requests in flight, status: \"...\"", or nothing. */
void proc_describe_work(const struct proc *proc, struct buf *out);
/* "<fails> its liveness probe 3 times in a row: http:/healthz had no answer within 2 s". */
void proc_describe_not_live(const struct proc *proc, const char *fails, struct buf *out);
/* Did it end in a way that its specification counts as success? */
bool proc_ended_well(const struct proc *proc, bool was_told);

/* ---- orphans.c ---- */

/* Processes that we started and reap ourselves: workers, and the commands of ready = exec:. */
struct proc *pids_find(struct engine *engine, pid_t pid);
int pids_add(struct engine *engine, pid_t pid, struct proc *proc);
void pids_remove(struct engine *engine, pid_t pid);
void pids_free(struct engine *engine);
/* Tells, once, of a process that a worker left behind and that is being killed. */
void orphans_tell(struct engine *engine, pid_t pid, const char *pool, long slot, long generation);
/* Soon, once: reaps ended orphans, and kills those whose worker is gone. */
void orphans_sweep_soon(struct engine *engine);
void orphans_sweep(evutil_socket_t fd, short what, void *arg);
/* The loop has ended, and all workers are gone: so does what they left behind. Waits for that, but
 * not for long. */
void orphans_end(struct engine *engine);

/* ---- probing.c: ready = http:, grpc, tcp, exec: ---- */

/* Begins to ask it until it answers as it should. 0 or -errno. */
int probe_start(struct proc *proc);
/* Ends that; accepts a proc that is not asked. */
void probe_stop(struct proc *proc);
/* ---- living.c: live = ---- */

/* Begins to ask it, if its pool wants that; it serves. */
void live_start(struct proc *proc);
/* Ends that; accepts a proc that is not asked. */
void live_stop(struct proc *proc);
/* The instance stops. */
void live_stop_all(struct engine *engine);
/* How it failed its last probe, in words; NULL: it did not. */
void proc_set_probe_failure(struct proc *proc, const char *text);

#endif
