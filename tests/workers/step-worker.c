/*
 * step-worker: a worker for tests that does what its arguments say, one after another, and then
 * waits for a signal. It reacts to nothing that it was not told to react to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char help_text[] =
    "usage: step-worker [STEP]...\n"
    "\n"
    "  notify:TEXT            send TEXT to NOTIFY_SOCKET ('|' is a newline, \\xNN a byte)\n"
    "  ready                  the same as notify:READY=1\n"
    "  helper-notify:TEXT     the same from a child that is gone at once\n"
    "  notify-every:MS:TEXT   for ever\n"
    "  say:TEXT  err:TEXT     a line to stdout, to stderr\n"
    "  part:TEXT              the same to stdout without its newline\n"
    "  write:FD:TEXT          a line to a descriptor\n"
    "  flood:BYTES            so many bytes in lines to stdout\n"
    "  long-line:BYTES        so many bytes without any newline to stdout\n"
    "  close:FD\n"
    "  shutdown:FD            of a socket, both ways\n"
    "  sleep:MS\n"
    "  await:FILE             wait until it is there\n"
    "  create:FILE\n"
    "  exit-if:FILE:CODE      exit if it is there\n"
    "  exit-unless:FILE:CODE\n"
    "  ignore:SIGNAL          (TERM)\n"
    "  exit-on:SIGNAL:CODE    when the signal comes\n"
    "  notify-on:SIGNAL:TEXT\n"
    "  say-on:SIGNAL:TEXT\n"
    "  value-on:SIGNAL        say the number that came with it, and exit\n"
    "  dump:FILE              write what we were given as JSON\n"
    "  exit:CODE  die:SIGNAL\n";

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "step-worker: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* ---- small things ---- */

/* The part of a step up to the next colon; *rest goes behind it. */
static char *part(char **rest)
{
	char *text = strsep(rest, ":");

	if (text == NULL) {
		errno = EINVAL;
		fail("a step lacks something");
	}
	return text;
}

static int signal_number(const char *name)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (sigabbrev_np(sig) != NULL && strcmp(sigabbrev_np(sig), name) == 0)
			return sig;
	errno = EINVAL;
	fail(name);
}

static void nap(long ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		continue;
}

/* Also from a signal handler. */
static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void write_line(int fd, char *text)
{
	size_t len = strlen(text);

	text[len] = '\n'; /* in one write: the NUL is ours to use */
	write_all(fd, text, len + 1);
	text[len] = '\0';
}

/* ---- NOTIFY_SOCKET ---- */

static struct sockaddr_un notify_address = {.sun_family = AF_UNIX};
static socklen_t notify_len;
static int notify_fd = -1;

static void notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path != NULL ? strlen(path) : 0;

	if (len == 0 || len >= sizeof(notify_address.sun_path))
		return;
	memcpy(notify_address.sun_path, path, len);
	if (path[0] == '@')
		notify_address.sun_path[0] = '\0';
	notify_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Also from a signal handler. */
static void notify_send(const char *text)
{
	if (notify_fd >= 0)
		sendto(notify_fd, text, strlen(text), MSG_NOSIGNAL,
		       (const struct sockaddr *)&notify_address, notify_len);
}

/* In place: '|' is a newline, \xNN any byte. */
static char *decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		unsigned byte;

		if (sscanf(from, "\\x%2x", &byte) == 1) {
			*to++ = (char)byte;
			from += 3;
		} else {
			*to++ = *from == '|' ? '\n' : *from;
		}
	}
	*to = '\0';
	return text;
}

/* ---- signals ---- */

enum what { NOTHING, EXIT, NOTIFY, SAY, VALUE };

static struct {
	enum what what;
	int code;
	char *text;
	size_t len;
} reactions[NSIG];

static void react(int sig, siginfo_t *info, void *context)
{
	char number[32];

	(void)context;
	switch (reactions[sig].what) {
	case NOTHING:
		break;
	case EXIT:
		_exit(reactions[sig].code);
	case NOTIFY:
		notify_send(reactions[sig].text);
		break;
	case SAY:
		write_all(STDOUT_FILENO, reactions[sig].text, reactions[sig].len);
		write_all(STDOUT_FILENO, "\n", 1);
		break;
	case VALUE:
		snprintf(number, sizeof(number), "value %d\n",
			 info->si_code == SI_QUEUE ? info->si_value.sival_int : -1);
		write_all(STDOUT_FILENO, number, strlen(number));
		_exit(0);
	}
}

static void react_on(char **rest, enum what what)
{
	struct sigaction action = {.sa_sigaction = react, .sa_flags = SA_RESTART | SA_SIGINFO};
	int sig = signal_number(part(rest));

	reactions[sig].what = what;
	if (what == EXIT)
		reactions[sig].code = atoi(part(rest));
	else if (what != VALUE)
		reactions[sig].text = decode(*rest);
	reactions[sig].len = reactions[sig].text != NULL ? strlen(reactions[sig].text) : 0;
	if (sigaction(sig, &action, NULL) == -1)
		fail("sigaction");
}

/* ---- what we were given ---- */

static json_t *list_of(char *const *words)
{
	json_t *list = json_array();

	for (; *words != NULL; words++)
		json_array_append_new(list, json_string(*words));
	return list;
}

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == -1 ? -1 : value;
}

static json_t *descriptor(int fd)
{
	char path[64], target[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return json_pack("{s:s, s:i, s:b, s:i, s:i, s:i}", "target", target, "flags",
			 fcntl(fd, F_GETFL), "cloexec", fcntl(fd, F_GETFD) & FD_CLOEXEC, "domain",
			 option_of(fd, SO_DOMAIN), "type", option_of(fd, SO_TYPE), "listens",
			 option_of(fd, SO_ACCEPTCONN));
}

static json_t *descriptors(void)
{
	json_t *all = json_object();
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (directory == NULL)
		fail("/proc/self/fd");
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory))
			json_object_set_new(all, entry->d_name, descriptor(atoi(entry->d_name)));
	closedir(directory);
	return all;
}

static json_t *groups(void)
{
	gid_t list[256];
	int n = getgroups(256, list);
	json_t *all = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(all, json_integer(list[i]));
	return all;
}

static json_t *limit(int resource)
{
	struct rlimit value = {0};

	getrlimit((__rlimit_resource_t)resource, &value);
	return json_pack("[I, I]", (json_int_t)value.rlim_cur, (json_int_t)value.rlim_max);
}

/* The signal sets as the kernel shows them, before anything of ours changes them. */
static json_t *status_lines(void)
{
	json_t *lines = json_object();
	char line[4096], *value;
	FILE *file = fopen("/proc/self/status", "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		value = strchr(line, ':');
		if (value == NULL)
			continue;
		*value++ = '\0';
		value += strspn(value, " \t");
		value[strcspn(value, "\n")] = '\0';
		json_object_set_new(lines, line, json_string(value));
	}
	if (file != NULL)
		fclose(file);
	return lines;
}

static json_t *oom_score_adj(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "re");
	int value = 12345;

	if (file == NULL || fscanf(file, "%d", &value) != 1)
		value = 12345;
	if (file != NULL)
		fclose(file);
	return json_integer(value);
}

static void dump(const char *path, char **argv)
{
	mode_t mask = umask(0);
	char cwd[4096] = "", temporary[4096];
	json_t *all = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, "
	    "s:i, "
	    "s:i}",
	    "argv", list_of(argv), "env", list_of(environ), "fds", descriptors(), "groups",
	    groups(), "status", status_lines(), "nofile", limit(RLIMIT_NOFILE), "core",
	    limit(RLIMIT_CORE), "oom_score_adj", oom_score_adj(), "cwd",
	    getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "", "pid", (int)getpid(), "ppid",
	    (int)getppid(), "sid", (int)getsid(0), "pgid", (int)getpgid(0), "uid", (int)getuid(),
	    "euid", (int)geteuid(), "gid", (int)getgid(), "egid", (int)getegid(), "nice",
	    getpriority(PRIO_PROCESS, 0), "umask", (int)mask);

	umask(mask);
	/* renamed into place: who sees it, sees all of it */
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (all == NULL || json_dump_file(all, temporary, 0) != 0 || rename(temporary, path) != 0)
		fail(path);
	json_decref(all);
}

/* ---- steps ---- */

static void step_flood(long bytes, bool lines)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (size_t i = 99; lines && i < sizeof(block); i += 100)
		block[i] = '\n';
	for (; bytes > 0; bytes -= (long)sizeof(block))
		write_all(STDOUT_FILENO, block,
			  bytes < (long)sizeof(block) ? (size_t)bytes : sizeof(block));
	if (lines)
		write_all(STDOUT_FILENO, "\n", 1);
}

static void step_helper_notify(char *text)
{
	pid_t pid = fork();

	if (pid == 0) {
		notify_send(text);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void step_notify_every(char **rest)
{
	long ms = atol(part(rest));
	const char *text = decode(*rest);

	for (;;) {
		notify_send(text);
		nap(ms);
	}
}

static void step_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd == -1)
		fail(path);
	close(fd);
}

static void step_exit_if(char **rest, bool there)
{
	const char *path = part(rest);

	if ((access(path, F_OK) == 0) == there)
		exit(atoi(*rest));
}

static void step_await(const char *path)
{
	while (access(path, F_OK) == -1)
		nap(5);
}

static void step_die(const char *name)
{
	int sig = signal_number(name);

	signal(sig, SIG_DFL);
	raise(sig);
}

static bool step_speaks(const char *name, char *rest)
{
	if (strcmp(name, "notify") == 0)
		notify_send(decode(rest));
	else if (strcmp(name, "ready") == 0)
		notify_send("READY=1");
	else if (strcmp(name, "helper-notify") == 0)
		step_helper_notify(decode(rest));
	else if (strcmp(name, "notify-every") == 0)
		step_notify_every(&rest);
	else if (strcmp(name, "say") == 0)
		write_line(STDOUT_FILENO, rest);
	else if (strcmp(name, "err") == 0)
		write_line(STDERR_FILENO, rest);
	else if (strcmp(name, "part") == 0)
		write_all(STDOUT_FILENO, rest, strlen(rest));
	else if (strcmp(name, "flood") == 0)
		step_flood(atol(rest), true);
	else if (strcmp(name, "long-line") == 0)
		step_flood(atol(rest), false);
	else
		return false;
	return true;
}

static bool step_waits_or_ends(const char *name, char *rest)
{
	if (strcmp(name, "sleep") == 0)
		nap(atol(rest));
	else if (strcmp(name, "await") == 0)
		step_await(rest);
	else if (strcmp(name, "exit-if") == 0)
		step_exit_if(&rest, true);
	else if (strcmp(name, "exit-unless") == 0)
		step_exit_if(&rest, false);
	else if (strcmp(name, "exit") == 0)
		exit(atoi(rest));
	else if (strcmp(name, "die") == 0)
		step_die(rest);
	else
		return false;
	return true;
}

static bool step_reacts(const char *name, char *rest)
{
	if (strcmp(name, "ignore") == 0)
		signal(signal_number(rest), SIG_IGN);
	else if (strcmp(name, "exit-on") == 0)
		react_on(&rest, EXIT);
	else if (strcmp(name, "notify-on") == 0)
		react_on(&rest, NOTIFY);
	else if (strcmp(name, "say-on") == 0)
		react_on(&rest, SAY);
	else if (strcmp(name, "value-on") == 0)
		react_on(&rest, VALUE);
	else
		return false;
	return true;
}

static void step(char *text, char **argv)
{
	char *rest = text;
	const char *name = strsep(&rest, ":");
	static char none[1];

	if (rest == NULL)
		rest = none;
	if (step_speaks(name, rest) || step_waits_or_ends(name, rest) || step_reacts(name, rest))
		return;
	if (strcmp(name, "create") == 0)
		step_create(rest);
	else if (strcmp(name, "close") == 0)
		close(atoi(rest));
	else if (strcmp(name, "shutdown") == 0)
		shutdown(atoi(rest), SHUT_RDWR);
	else if (strcmp(name, "dump") == 0)
		dump(rest, argv);
	else if (strcmp(name, "write") == 0)
		write_line(atoi(part(&rest)), rest);
	else {
		errno = EINVAL;
		fail(name);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(help_text, stdout);
		return 0;
	}
	if (argc > 1 && strncmp(argv[1], "dump:", 5) == 0)
		dump(argv[1] + 5, argv); /* before we have opened anything ourselves */
	notify_open();
	for (int i = 1; i < argc; i++)
		if (i > 1 || strncmp(argv[i], "dump:", 5) != 0)
			step(argv[i], argv);
	for (;;)
		pause();
}
