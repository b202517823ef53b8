/* acks.h - the socket on which workers written for einhorn acknowledge that they are ready. */
#ifndef ENGINE_ACKS_H
#define ENGINE_ACKS_H

#include "engine/engine.h"

/* A pair of connected sockets: ours, which does not block, and the worker's. 0 or -errno. */
int acks_open(int *ret_ours, int *ret_workers);
/* Heeds what the worker of a process says on it (takes fd over). 0 or -errno. */
int acks_watch(struct proc *proc, int fd);
/* Its process is gone; accepts one without. */
void acks_stop(struct proc *proc);

#endif
