/* proc.h - what /proc tells: who holds a socket, whose child an orphan was, what a process is and
 * in which state. */
#ifndef SYSTEM_PROC_H
#define SYSTEM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/clock.h"

struct proc_holder {
	pid_t pid;
	uid_t uid;
	char name[64];	   /* comm */
	char instance[64]; /* HANDOVER_INSTANCE of its environment, "" if none or unreadable */
};

/*
 * A process that listens on (or is bound to) this TCP, UDP or Unix address: by the socket's inode
 * in /proc/net and the descriptors in /proc/PID/fd; of several, the one with the lowest pid. An
 * any-address matches every address of its port. A Unix socket is looked for by its file
 * (sock_diag(7)), so that a renamed one is found too, and by the name it was bound to. 0, -ENOENT
 * (nobody found: other network namespace, or no right to look), -errno. Bounded: looks at no more
 * than 65536 processes; 1 ms or so, but more on a machine with very many descriptors: for error
 * messages only.
 */
int proc_find_holder(const struct sockaddr *address, socklen_t len, int type,
		     struct proc_holder *ret_holder);

/* Calls each for every process that has the socket inodes[which] open, once a socket: in one walk
 * over /proc, bounded as proc_find_holder(). Processes that we may not look into are left out. 0 or
 * -errno. */
int proc_walk_holders(const unsigned long *inodes, size_t n,
		      void (*each)(size_t which, const struct proc_holder *holder, void *arg),
		      void *arg);

/* Which worker a process was started under, from HANDOVER_* in /proc/PID/environ. */
struct proc_origin {
	char instance[64];
	char pool[64];
	long slot;
	long generation;
	char notify[128]; /* its NOTIFY_SOCKET: random, so it names one worker for sure; "" if it
			     has none */
};
/* 0, -ENOENT (no such process, or it was not started under a worker), -EACCES, -errno. The process
 * may have changed its environment: hold what this says against what is known of the worker. In the
 * instant after spawn_process() the kernel may not show the new environment yet. */
int proc_read_origin(pid_t pid, struct proc_origin *ret_origin);

struct proc_stat {
	char state; /* 'R', 'S', 'D', 'T', 'Z' ... */
	pid_t ppid, pgrp, session;
	uint64_t start_time; /* clock ticks since boot: with the pid, a process's identity */
};
/* 0, -ENOENT or -ESRCH (no such process), -errno. */
int proc_read_stat(pid_t pid, struct proc_stat *ret_stat);

/* All our children, zombies too (by /proc/self/task/TID/children where the kernel has it, else by a
 * walk over /proc). Calls each for every pid, until it returns something else than 0. 0 or -errno.
 * Children that come or go meanwhile may be left out. */
int proc_each_child(int (*each)(pid_t pid, void *arg), void *arg);
/* The walk alone: every process of the machine is asked for its parent. */
int proc_walk_children(int (*each)(pid_t pid, void *arg), void *arg);

/* Does a process of the tree that begins with root hold the socket with this inode? 1, 0; -EACCES:
 * we may not look; -ESRCH: there is no such process; -errno. Looks at no more than 256 processes
 * and 64 Ki descriptors. */
int proc_tree_holds(pid_t root, unsigned long inode);

/* Number of descriptors that we have open now, or -errno. */
int proc_count_fds(void);

#endif
