/* proc_syscall.c - /proc/PID/syscall in words. The table has what a process waits in, and what else
 * may take long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "system/proc_look.h"

struct call {
	long number;
	const char *name;
	bool fd; /* its first argument is a descriptor */
};

#define CALL(name)                   \
	{                            \
		SYS_##name, #name, 0 \
	}
#define CALL_FD(name)                \
	{                            \
		SYS_##name, #name, 1 \
	}

/* Calls that not every machine has are asked for. */
static const struct call calls[] = {
    CALL_FD(read),
    CALL_FD(write),
    CALL_FD(readv),
    CALL_FD(writev),
    CALL_FD(pread64),
    CALL_FD(pwrite64),
    CALL_FD(preadv),
    CALL_FD(pwritev),
    CALL_FD(recvfrom),
    CALL_FD(recvmsg),
    CALL_FD(recvmmsg),
    CALL_FD(sendto),
    CALL_FD(sendmsg),
    CALL_FD(sendmmsg),
    CALL_FD(accept),
    CALL_FD(accept4),
    CALL_FD(connect),
    CALL_FD(fsync),
    CALL_FD(fdatasync),
    CALL_FD(flock),
    CALL_FD(fcntl),
    CALL_FD(ioctl),
    CALL_FD(fallocate),
    CALL_FD(ftruncate),
    CALL_FD(syncfs),
    CALL_FD(sendfile),
    CALL_FD(splice),
    CALL_FD(close),
    CALL_FD(getdents64),
    CALL_FD(epoll_pwait),
    CALL_FD(io_uring_enter),
    CALL_FD(shutdown),
    CALL_FD(fstat),
    CALL_FD(mq_timedreceive),
    CALL_FD(mq_timedsend),
    CALL(openat),
    CALL(futex),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(wait4),
    CALL(waitid),
    CALL(ppoll),
    CALL(pselect6),
    CALL(rt_sigsuspend),
    CALL(rt_sigtimedwait),
    CALL(restart_syscall),
    CALL(mmap),
    CALL(munmap),
    CALL(mprotect),
    CALL(madvise),
    CALL(mremap),
    CALL(brk),
    CALL(semtimedop),
    CALL(semop),
    CALL(msgrcv),
    CALL(msgsnd),
    CALL(sync),
    CALL(execve),
    CALL(clone),
    CALL(exit_group),
    CALL(exit),
    CALL(sched_yield),
    CALL(unlinkat),
    CALL(mkdirat),
    CALL(statx),
    CALL(renameat2),
    CALL(kill),
    CALL(tgkill),
    CALL(mount),
    CALL(umount2),
    CALL(ptrace),
    CALL(getrandom),
    CALL(membarrier),
    CALL(execveat),
    CALL(process_vm_readv),
#ifdef SYS_poll
    CALL(poll),
#endif
#ifdef SYS_select
    CALL(select),
#endif
#ifdef SYS_pause
    CALL(pause),
#endif
#ifdef SYS_open
    CALL(open),
#endif
#ifdef SYS_stat
    CALL(stat),
#endif
#ifdef SYS_lstat
    CALL(lstat),
#endif
#ifdef SYS_unlink
    CALL(unlink),
#endif
#ifdef SYS_rename
    CALL(rename),
#endif
#ifdef SYS_newfstatat
    CALL(newfstatat),
#endif
#ifdef SYS_fork
    CALL(fork),
#endif
#ifdef SYS_vfork
    CALL(vfork),
#endif
#ifdef SYS_clone3
    CALL(clone3),
#endif
#ifdef SYS_openat2
    CALL(openat2),
#endif
#ifdef SYS_futex_waitv
    CALL(futex_waitv),
#endif
#ifdef SYS_epoll_wait
    CALL_FD(epoll_wait),
#endif
#ifdef SYS_epoll_pwait2
    CALL_FD(epoll_pwait2),
#endif
};

static const struct call *call_find(long number)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

bool proc_syscall_describe(const char *content, char *text, size_t size, int *ret_fd)
{
	const struct call *call;
	char *end, *argument_end;
	unsigned long argument;
	long number;

	text[0] = '\0';
	*ret_fd = -1;
	if (strncmp(content, "running", strlen("running")) == 0) {
		snprintf(text, size, "running");
		return true;
	}
	number = strtol(content, &end, 10);
	if (end == content || *end != ' ')
		return false;
	if (number < 0) {
		snprintf(text, size, "in no system call");
		return true;
	}
	argument = strtoul(end + 1, &argument_end, 16);
	if (argument_end == end + 1)
		return false;
	call = call_find(number);
	if (call == NULL)
		snprintf(text, size, "system call %ld", number);
	else if (!call->fd)
		snprintf(text, size, "%s", call->name);
	else
		snprintf(text, size, "%s of descriptor %d", call->name, (int)(unsigned)argument);
	if (call != NULL && call->fd)
		*ret_fd = (int)(unsigned)argument;
	return true;
}
