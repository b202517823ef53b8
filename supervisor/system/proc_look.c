/* proc_look.c - one look at each of a process's threads, bounded in number, bytes and time. */
#include "system/proc_look.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/parse.h"

enum { LOOK_FILE_MAX = 8192, LOOK_PATH_MAX = 512 };

/* What one look has to know. */
struct looking {
	const char *root;
	pid_t pid;
	struct proc_look *look;
	size_t stack_bytes;
};

static void close_directory(DIR **directory)
{
	if (*directory != NULL)
		closedir(*directory);
}

/* A file of one thread. The caller frees *ret_text. 0 or -errno. */
static int read_of(const struct looking *looking, pid_t tid, const char *name, char **ret_text)
{
	char path[LOOK_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/proc/%d/task/%d/%s", looking->root,
			 (int)looking->pid, (int)tid, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	return fd_read_file(path, LOOK_FILE_MAX, ret_text, NULL);
}

/* Name, state, and for the main thread the number of all. */
static void take_stat(struct looking *looking, struct proc_thread *thread, const char *text)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned total;
	char state;
	int n;

	if (open == NULL || close == NULL || close < open)
		return;
	snprintf(thread->name, sizeof(thread->name), "%.*s", (int)(close - open - 1), open + 1);
	n = sscanf(close + 1,
		   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u", &state,
		   &total);
	if (n >= 1 && isalpha((unsigned char)state))
		thread->state = state;
	if (n == 2 && thread->tid == looking->pid)
		looking->look->total = total;
}

static void take_wchan(struct proc_thread *thread, const char *text)
{
	size_t len = strcspn(text, "\n");

	if (len > 0 && strcmp(text, "0") != 0)
		snprintf(thread->wchan, sizeof(thread->wchan), "%.*s", (int)len, text);
}

/* What the descriptor leads to, behind the call: "(/run/x)", "(socket:[4711])". */
static void add_target(const struct looking *looking, struct proc_thread *thread, int fd)
{
	char path[LOOK_PATH_MAX], target[PROC_LOOK_SYSCALL_MAX];
	size_t len = strlen(thread->syscall);
	ssize_t n;

	snprintf(path, sizeof(path), "%s/proc/%d/fd/%d", looking->root, (int)looking->pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	if (len + (size_t)n + strlen(" ()") < sizeof(thread->syscall))
		stpcpy(stpcpy(stpcpy(thread->syscall + len, " ("), target), ")");
}

static void take_syscall(const struct looking *looking, struct proc_thread *thread,
			 const char *text)
{
	int fd;

	if (proc_syscall_describe(text, thread->syscall, sizeof(thread->syscall), &fd) && fd >= 0)
		add_target(looking, thread, fd);
}

/* "[<0>] pipe_read+0x3c/0x5a0" -> "pipe_read+0x3c/0x5a0": the innermost lines. */
static void take_stack(struct looking *looking, struct proc_thread *thread, const char *text)
{
	cleanup_buf struct buf lines = {.max = PROC_LOOK_STACKS_MAX};
	const char *line = text, *end;

	for (unsigned n = 0; *line != '\0' && n < PROC_LOOK_STACK_LINES; n++) {
		const char *name = strncmp(line, "[<", 2) == 0 ? strstr(line, "] ") : NULL;

		end = strchrnul(line, '\n');
		name = name != NULL && name < end ? name + 2 : line;
		if (looking->stack_bytes + (size_t)(end - name) + 1 > PROC_LOOK_STACKS_MAX)
			break;
		buf_add(&lines, name, (size_t)(end - name));
		buf_add_str(&lines, "\n");
		looking->stack_bytes += (size_t)(end - name) + 1;
		line = *end == '\n' ? end + 1 : end;
	}
	if (lines.len > 0 && !lines.cut)
		thread->stack = TAKE_PTR(lines.data);
}

/* A thread that ends meanwhile is no error of ours. */
static void note_error(int *error, int r)
{
	if (*error == 0 && r < 0 && r != -ENOENT && r != -ESRCH)
		*error = r;
}

static void look_at(struct looking *looking, pid_t tid)
{
	struct proc_look *look = looking->look;
	struct proc_thread *thread = &look->threads[look->n];
	cleanup_free char *stat = NULL, *wchan = NULL, *call = NULL, *stack = NULL;
	int r;

	*thread = (struct proc_thread){.tid = tid, .state = '?'};
	if (read_of(looking, tid, "stat", &stat) < 0)
		return; /* it has ended */
	look->n++;
	take_stat(looking, thread, stat);
	if (read_of(looking, tid, "wchan", &wchan) == 0)
		take_wchan(thread, wchan);
	r = read_of(looking, tid, "syscall", &call);
	note_error(&look->syscall_error, r);
	if (r == 0)
		take_syscall(looking, thread, call);
	r = read_of(looking, tid, "stack", &stack);
	note_error(&look->stack_error, r);
	if (r == 0)
		take_stack(looking, thread, stack);
}

/* The other threads, as many as there is room and time for. */
static void look_at_others(struct looking *looking, usec_t until)
{
	__attribute__((cleanup(close_directory))) DIR *directory = NULL;
	struct proc_look *look = looking->look;
	const struct dirent *entry;
	char path[LOOK_PATH_MAX];
	uint64_t tid;

	snprintf(path, sizeof(path), "%s/proc/%d/task", looking->root, (int)looking->pid);
	directory = opendir(path);
	if (directory == NULL)
		return;
	while (look->n < PROC_LOOK_THREADS_MAX && (entry = readdir(directory)) != NULL) {
		if (parse_uint(entry->d_name, 1, INT32_MAX, &tid) < 0 || (pid_t)tid == looking->pid)
			continue;
		if (clock_now() >= until) {
			look->late = true;
			return;
		}
		look_at(looking, (pid_t)tid);
	}
}

/* Gives the memory back that the threads which there are not would have had. */
static struct proc_look *look_shrink(struct proc_look *look)
{
	struct proc_look *smaller =
	    realloc(look, sizeof(*look) + look->n * sizeof(look->threads[0]));

	return smaller != NULL ? smaller : look;
}

int proc_look(const char *root, pid_t pid, usec_t until, struct proc_look **ret_look)
{
	struct looking looking = {.root = root, .pid = pid};

	looking.look = calloc(1, sizeof(*looking.look) +
				     PROC_LOOK_THREADS_MAX * sizeof(looking.look->threads[0]));
	if (looking.look == NULL)
		return -ENOMEM;
	look_at(&looking, pid);
	if (looking.look->n == 0) {
		proc_look_free(looking.look);
		return -ESRCH;
	}
	look_at_others(&looking, until);
	*ret_look = look_shrink(looking.look);
	return 0;
}

struct proc_look *proc_look_free(struct proc_look *look)
{
	for (size_t i = 0; look != NULL && i < look->n; i++)
		free(look->threads[i].stack);
	free(look);
	return NULL;
}

size_t proc_look_size(const struct proc_look *look)
{
	size_t size = sizeof(*look) + look->n * sizeof(look->threads[0]);

	for (size_t i = 0; i < look->n; i++)
		size += look->threads[i].stack != NULL ? strlen(look->threads[i].stack) + 1 : 0;
	return size;
}
