/*
 * hold-chdir PATH COMMAND...: executes the command, below which every chdir(PATH) hangs, as it does
 * on a network file system whose server is gone. SIGKILL ends who hangs there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* chdir() waits for an answer. Returns the descriptor that asks for it. */
static int hold(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	long fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		die("PR_SET_NO_NEW_PRIVS");
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		     &program);
	if (fd == -1)
		die("seccomp");
	return (int)fd;
}

static int is_held(const struct seccomp_notif *asked, const char *path)
{
	char file[64], text[4096] = "";
	int fd;

	snprintf(file, sizeof(file), "/proc/%d/mem", (int)asked->pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || pread(fd, text, strlen(path) + 1, (off_t)asked->data.args[0]) <= 0)
		text[0] = '\0';
	if (fd != -1)
		close(fd);
	return strcmp(text, path) == 0;
}

static void answer(int fd, const char *path)
{
	for (;;) {
		struct seccomp_notif asked;
		struct seccomp_notif_resp response = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		memset(&asked, 0, sizeof(asked));
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &asked) == -1) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			die("SECCOMP_IOCTL_NOTIF_RECV");
		}
		response.id = asked.id;
		if (!is_held(&asked, path))
			ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

int main(int argc, char **argv)
{
	pid_t parent = getpid(), pid;
	int fd;

	if (argc < 3)
		return 2;
	fd = hold();
	pid = fork();
	if (pid == -1)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() == parent)
			answer(fd, argv[1]);
		return 0;
	}
	close(fd);
	execv(argv[2], argv + 2);
	die(argv[2]);
}
