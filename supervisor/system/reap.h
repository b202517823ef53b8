/* reap.h - how processes end: looking at a zombie before it is reaped, signals through pidfds, exit
 * reasons in words. */
#ifndef SYSTEM_REAP_H
#define SYSTEM_REAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How a process ended, as in waitid(2): code is CLD_EXITED, CLD_KILLED or CLD_DUMPED. */
struct reap_status {
	int code;
	int value; /* exit code or signal */
};

/*
 * Looks whether the process behind pidfd has ended, without reaping it: as long as it is a zombie,
 * its pid and its process group cannot be used again. 1 and *ret_status: ended; 0: still runs;
 * -errno (-ECHILD: no child of ours, or already reaped).
 */
int reap_peek(int pidfd, struct reap_status *ret_status);
/* Reaps it. 0 or -errno (-EAGAIN: not ended yet; -ECHILD: no child of ours). ret_status may be
 * NULL. */
int reap_collect(int pidfd, struct reap_status *ret_status);
/*
 * The next ended child of ours for which is_ours(pid, arg) is false (an orphan that came to us as
 * subreaper or PID 1): reaped, *ret_pid set. 1: one reaped; 0: no more; never touches children for
 * which is_ours is true. Two system calls, unless one of ours is an unreaped zombie: then it looks
 * at all children. So collect those first.
 */
int reap_orphan(bool (*is_ours)(pid_t pid, void *arg), void *arg, pid_t *ret_pid);

/* pidfd_send_signal(2). value: si_value.sival_int, sent with SI_QUEUE when value != 0 and the queue
 * has room for it. 0 or -errno (-ESRCH: gone). */
int reap_signal(int pidfd, int sig, int value);
/* SIGKILL to every process of the group; only while its leader has not been reaped. 0 or -errno
 * (-ESRCH: none left; -EINVAL: our own group, or no group of a single worker at all). */
int reap_kill_group(pid_t pgid);

/* "exited with code 1", "killed by SIGSEGV (core dumped)". Writes into text, returns text. */
char *reap_describe(const struct reap_status *status, char *text, size_t size);

#endif
