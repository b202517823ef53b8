/* reap.c - the end of processes. */
#include "system/reap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "system/proc.h"

/* 1: info tells of one that ended; 0: none has; -errno. */
static int wait_now(idtype_t type, id_t id, int options, siginfo_t *info)
{
	memset(info, 0, sizeof(*info)); /* where none has ended, waitid() leaves si_pid as it is */
	while (waitid(type, id, info, WEXITED | WNOHANG | options) == -1)
		if (errno != EINTR)
			return -errno;
	return info->si_pid != 0;
}

int reap_peek(int pidfd, struct reap_status *ret_status)
{
	siginfo_t info;
	int r = wait_now(P_PIDFD, (id_t)pidfd, WNOWAIT, &info);

	if (r > 0)
		*ret_status = (struct reap_status){.code = info.si_code, .value = info.si_status};
	return r;
}

int reap_collect(int pidfd, struct reap_status *ret_status)
{
	siginfo_t info;
	int r = wait_now(P_PIDFD, (id_t)pidfd, 0, &info);

	if (r < 0)
		return r;
	if (r == 0)
		return -EAGAIN;
	if (ret_status != NULL)
		*ret_status = (struct reap_status){.code = info.si_code, .value = info.si_status};
	return 0;
}

struct orphan_search {
	bool (*is_ours)(pid_t pid, void *arg);
	void *arg;
	pid_t found;
};

/* 1, which ends the walk, once an orphan has been reaped. */
static int try_child(pid_t pid, void *arg)
{
	struct orphan_search *search = arg;
	siginfo_t info;

	if (search->is_ours(pid, search->arg))
		return 0;
	if (wait_now(P_PID, (id_t)pid, 0, &info) <= 0)
		return 0; /* still runs, or gone between list and look */
	search->found = pid;
	return 1;
}

int reap_orphan(bool (*is_ours)(pid_t pid, void *arg), void *arg, pid_t *ret_pid)
{
	struct orphan_search search = {.is_ours = is_ours, .arg = arg};
	siginfo_t info;
	int r;

	/* The kernel tells of the same zombie until it is reaped; when that is one of ours, others
	 * may be hidden behind it. */
	r = wait_now(P_ALL, 0, WNOWAIT, &info);
	if (r == -ECHILD)
		return 0;
	if (r <= 0)
		return r;
	if (try_child(info.si_pid, &search) == 0) {
		r = proc_each_child(try_child, &search);
		if (r < 0)
			return r;
	}
	if (search.found == 0)
		return 0;
	*ret_pid = search.found;
	return 1;
}

static int send_signal(int pidfd, int sig, siginfo_t *info)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, info, 0) == -1 ? -errno : 0;
}

int reap_signal(int pidfd, int sig, int value)
{
	siginfo_t info;
	int r;

	if (value == 0)
		return send_signal(pidfd, sig, NULL);
	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	r = send_signal(pidfd, sig, &info);
	/* A full queue (RLIMIT_SIGPENDING) may cost the value, never the signal. */
	return r == -EAGAIN ? send_signal(pidfd, sig, NULL) : r;
}

int reap_kill_group(pid_t pgid)
{
	/* kill(-1) would end everything that we may signal, kill(-0) ourselves. */
	if (pgid <= 1 || pgid == getpgrp())
		return -EINVAL;
	return kill(-pgid, SIGKILL) == -1 ? -errno : 0;
}

char *reap_describe(const struct reap_status *status, char *text, size_t size)
{
	switch (status->code) {
	case CLD_EXITED:
		snprintf(text, size, "exited with code %d", status->value);
		break;
	case CLD_KILLED:
		snprintf(text, size, "killed by %s", parse_signal_name(status->value));
		break;
	case CLD_DUMPED:
		snprintf(text, size, "killed by %s (core dumped)",
			 parse_signal_name(status->value));
		break;
	default:
		snprintf(text, size, "ended, how is not known");
	}
	return text;
}
