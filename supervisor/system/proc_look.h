/* proc_look.h - what a process is doing at this moment, as the kernel shows it in /proc: for a
 * worker that hangs. */
#ifndef SYSTEM_PROC_LOOK_H
#define SYSTEM_PROC_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/clock.h"

enum {
	PROC_LOOK_THREADS_MAX = 16,  /* looked at; the main thread is the first */
	PROC_LOOK_STACK_LINES = 12,  /* kept of each kernel stack, the innermost ones */
	PROC_LOOK_STACKS_MAX = 4096, /* bytes of all kernel stacks together */
	PROC_LOOK_SYSCALL_MAX = 192,
	PROC_LOOK_WCHAN_MAX = 40,
};

struct proc_thread {
	pid_t tid;
	char state; /* 'R', 'S', 'D', 'T' ..., '?' where it cannot be known */
	char name[16];
	char wchan[PROC_LOOK_WCHAN_MAX];     /* the kernel's function that it waits in; "": none, or
						not ours to know */
	char syscall[PROC_LOOK_SYSCALL_MAX]; /* in words: "read of descriptor 3 (/run/x)"; "": not
						known */
	char *stack;			     /* of the kernel, a line each; NULL: none */
};

struct proc_look {
	unsigned total;			/* threads that the process has, 0: not known */
	bool late;			/* the time was up before all were looked at */
	int stack_error, syscall_error; /* 0, or -errno of the first one that could not be read */
	size_t n;
	struct proc_thread threads[];
};

/*
 * Looks at a process that is not reaped yet (so the pid is its own), until the clock says `until`:
 * threads behind it are left out. Reads only what the kernel answers from memory, without the
 * process's own locks on its address space: nothing waits for a process that hangs. /proc/PID/stack
 * needs CAP_SYS_ADMIN, /proc/PID/syscall the right to trace the process (ptrace(2)). root is put
 * before /proc ("" except in tests). 0, -ESRCH (no such process), -ENOMEM. The caller frees
 * *ret_look with proc_look_free().
 */
int proc_look(const char *root, pid_t pid, usec_t until, struct proc_look **ret_look);
/* Accepts NULL. Returns NULL. */
struct proc_look *proc_look_free(struct proc_look *look);
/* Bytes of memory that it has. */
size_t proc_look_size(const struct proc_look *look);

/* ---- proc_syscall.c ---- */

/*
 * The content of /proc/PID/syscall in words: "futex", "read of descriptor 3", "running", "in no
 * system call"; calls without a name in the table by their number. ret_fd is the descriptor that
 * the call is about, or -1. False (and "" in text): it cannot be understood.
 */
bool proc_syscall_describe(const char *content, char *text, size_t size, int *ret_fd);

#endif
