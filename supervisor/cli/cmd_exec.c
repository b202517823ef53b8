/* cmd_exec.c - `handover exec`: any program, with listening sockets of the instance. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "system/channel.h"

/* As env(1) and the shell have it. */
enum { EXEC_CANNOT = 126, EXEC_NOT_FOUND = 127 };
/* sd_listen_fds(3) */
enum { FIRST_FD = 3 };

/* ---- asking ---- */

static int connect_to(struct cli *cli, int *ret_fd)
{
	const char *control = cli->instance.socket, *slash = strrchr(control, '/');
	cleanup_buf struct buf path = {0};
	int r;

	buf_printf(&path, "%.*ssockets.sock", slash != NULL ? (int)(slash + 1 - control) : 0,
		   control);
	r = channel_dial(buf_text(&path), ret_fd);
	if (r == 0)
		return CLI_DONE;
	if (r == -EACCES || r == -EPERM)
		return cli_explain_denied(cli, buf_text(&path));
	if (r == -EAGAIN)
		cli_error(cli, "instance %s takes no connections on %s: it hangs, or it is stopped",
			  cli->instance.name, buf_text(&path));
	else
		cli_error(cli, "instance %s gives no sockets at %s: %s", cli->instance.name,
			  buf_text(&path), strerror(-r));
	return r == -EAGAIN ? CLI_TIMED_OUT : CLI_FAILED;
}

static char *command_line(const struct cli *cli)
{
	struct buf line = {.max = 256};

	for (int i = 0; i < cli->n_operands; i++)
		buf_printf(&line, "%s%s", i > 0 ? " " : "", cli->operands[i]);
	return line.data;
}

static int ask(struct cli *cli, int fd)
{
	cleanup_free char *who = command_line(cli);
	cleanup_free char *text =
	    api_write_take(cli->options.names, cli->options.n_names,
			   cli->options.move ? "move" : "exec", who != NULL ? who : "");
	int r = text != NULL ? channel_send(fd, text, strlen(text), NULL, 0) : -ENOMEM;

	if (r == 0)
		return CLI_DONE;
	cli_error(cli, "instance %s cannot be asked for sockets: %s", cli->instance.name,
		  strerror(-r));
	return CLI_FAILED;
}

static int receive(struct cli *cli, int fd, int fds[static CHANNEL_DESCRIPTORS_MAX])
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char text[CHANNEL_MESSAGE_MAX + 1];
	cleanup_buf struct buf error = {0};
	usec_t left = usec_sub(cli->deadline, clock_now());
	size_t n = 0;
	ssize_t len;

	if (poll(&pfd, 1, cli->deadline == USEC_INFINITY ? -1 : (int)(left / USEC_PER_MSEC)) == 0)
		return cli_timed_out(cli);
	len = channel_receive_all(fd, text, fds, CHANNEL_DESCRIPTORS_MAX, &n);
	if (len > 0 && n == cli->options.n_names)
		return CLI_DONE;
	if (len > 0 && api_read_error(text, (size_t)len, &error))
		cli_error(cli, "%s", buf_text(&error));
	else if (len == 0)
		cli_error(cli, "instance %s has closed the connection", cli->instance.name);
	else
		cli_error(cli, "the answer of instance %s cannot be understood",
			  cli->instance.name);
	while (n > 0)
		fd_close(fds[--n]);
	return CLI_FAILED;
}

/* ---- becoming the program ---- */

/* All of them out of the way first: one may sit where another is to go. */
static int place(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)n);

		if (fd == -1)
			return -errno;
		fds[i] = fd;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(fds[i], FIRST_FD + (int)i) == -1)
			return -errno;
	return close_range(FIRST_FD + (unsigned)n, ~0U, CLOSE_RANGE_CLOEXEC) == -1 ? -errno : 0;
}

/* What the shell that it is started from may have inherited of a worker would make it one. */
static void clean_environment(void)
{
	static const char *const removed[] = {"LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID",
					      "WATCHDOG_USEC", "MAINPID"};

	for (size_t i = 0; i < ARRAY_LEN(removed); i++)
		unsetenv(removed[i]);
	for (size_t i = 0; environ != NULL && environ[i] != NULL;) {
		cleanup_free char *name = strndup(environ[i], strcspn(environ[i], "="));

		if (name == NULL || strncmp(name, "HANDOVER_", strlen("HANDOVER_")) != 0 ||
		    unsetenv(name) == -1)
			i++;
	}
}

static int set_environment(const struct cli *cli)
{
	cleanup_buf struct buf names = {0};
	char pid[16], n[16];

	clean_environment();
	for (size_t i = 0; i < cli->options.n_names; i++)
		buf_printf(&names, "%s%.*s", i > 0 ? ":" : "",
			   (int)strcspn(cli->options.names[i], "/"), cli->options.names[i]);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(n, sizeof(n), "%zu", cli->options.n_names);
	return names.cut || setenv("LISTEN_PID", pid, 1) == -1 ||
		       setenv("LISTEN_FDS", n, 1) == -1 ||
		       setenv("LISTEN_FDNAMES", buf_text(&names), 1) == -1
		   ? -ENOMEM
		   : 0;
}

int cmd_exec(struct cli *cli)
{
	int fds[CHANNEL_DESCRIPTORS_MAX], code, r;
	cleanup_close int fd = -1;

	if (cli->options.n_names == 0) {
		cli_error(cli, "exec: which socket? --socket NAME; `handover sockets` lists them");
		return CLI_USAGE;
	}
	code = connect_to(cli, &fd);
	if (code == CLI_DONE)
		code = ask(cli, fd);
	if (code == CLI_DONE)
		code = receive(cli, fd, fds);
	if (code != CLI_DONE)
		return code;
	r = place(fds, cli->options.n_names);
	if (r == 0)
		r = set_environment(cli);
	if (r < 0) {
		cli_error(cli, "exec: the sockets cannot be handed on: %s", strerror(-r));
		return CLI_FAILED;
	}
	signal(SIGPIPE, SIG_DFL); /* ignored signals stay ignored */
	execvp(cli->operands[0], cli->operands);
	code = errno == ENOENT ? EXEC_NOT_FOUND : EXEC_CANNOT;
	cli_error(cli, "cannot execute '%s': %s", cli->operands[0], strerror(errno));
	return code;
}
