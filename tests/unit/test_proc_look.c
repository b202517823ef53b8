/* test_proc_look.c - what a process is doing: made-up files, broken ones, and real processes that
 * wait. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "system/proc_look.h"

#define STAT_REST " 1 7 7 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 3 0 12345 0 0"

static char *directory;

static void put(const char *name, const char *text)
{
	unit_write(directory, name, text, strlen(text));
}

static struct proc_look *look_at(pid_t pid)
{
	struct proc_look *look = NULL;

	assert_int_equal(proc_look(directory, pid, USEC_INFINITY, &look), 0);
	assert_non_null(look);
	return look;
}

/* ---- a system call in words ---- */

static void test_syscalls(void **state)
{
	char read_call[64], futex_call[64];
	struct {
		const char *content, *text;
		int fd;
	} rows[] = {
	    {read_call, "read of descriptor 5", 5},
	    {futex_call, "futex", -1},
	    {"running\n", "running", -1},
	    {"-1 0x7ffe 0x7f00\n", "in no system call", -1},
	    {"99999 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n", "system call 99999", -1},
	    {"", "", -1},
	    {"\n", "", -1},
	    {"0", "", -1},
	    {"0 ", "", -1},
	    {"0 zz", "", -1},
	    {"nonsense 0x3", "", -1},
	    {"0x3", "", -1},
	    {"999999999999999999999999 ", "", -1},
	};
	char text[PROC_LOOK_SYSCALL_MAX];
	int fd;

	(void)state;
	snprintf(read_call, sizeof(read_call), "%d 0x5 0x7ffc 0x10 0x0 0x0 0x0 0x7 0x8\n",
		 SYS_read);
	snprintf(futex_call, sizeof(futex_call), "%d 0x5 0x80 0x0 0x0 0x0 0x0 0x7 0x8\n",
		 SYS_futex);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool told = proc_syscall_describe(rows[i].content, text, sizeof(text), &fd);

		assert_string_equal(text, rows[i].text);
		assert_int_equal(told, rows[i].text[0] != '\0');
		assert_int_equal(fd, rows[i].fd);
	}
}

/* ---- files ---- */

static void test_threads_with_the_main_one_first(void **state)
{
	char call[64];
	struct proc_look *look;
	char path[512];

	(void)state;
	snprintf(call, sizeof(call), "%d 0x3 0x1 0x2 0x0 0x0 0x0 0x7 0x8\n", SYS_read);
	put("proc/4242/task/4240/stat", "4240 (helper) S" STAT_REST);
	put("proc/4242/task/4240/wchan", "0");
	put("proc/4242/task/4242/stat", "4242 (a (b) c) D" STAT_REST);
	put("proc/4242/task/4242/wchan", "pipe_read");
	put("proc/4242/task/4242/syscall", call);
	put("proc/4242/task/4242/stack", "[<0>] pipe_read+0x1/0x2\n[<0>] vfs_read+0x3/0x4\n");
	put("proc/4242/fd/none", "");
	snprintf(path, sizeof(path), "%s/proc/4242/fd/3", directory);
	assert_int_equal(symlink("/run/a fifo", path), 0);
	look = look_at(4242);
	assert_int_equal(look->n, 2);
	assert_int_equal(look->total, 3);
	assert_false(look->late);
	assert_int_equal(look->threads[0].tid, 4242);
	assert_string_equal(look->threads[0].name, "a (b) c");
	assert_int_equal(look->threads[0].state, 'D');
	assert_string_equal(look->threads[0].wchan, "pipe_read");
	assert_string_equal(look->threads[0].syscall, "read of descriptor 3 (/run/a fifo)");
	assert_string_equal(look->threads[0].stack, "pipe_read+0x1/0x2\nvfs_read+0x3/0x4\n");
	assert_int_equal(look->threads[1].tid, 4240);
	assert_string_equal(look->threads[1].wchan, "");
	assert_string_equal(look->threads[1].syscall, "");
	assert_null(look->threads[1].stack);
	/* files that there are not are no reason to speak of rights */
	assert_int_equal(look->stack_error, 0);
	assert_int_equal(look->syscall_error, 0);
	proc_look_free(look);
}

static void test_broken_files(void **state)
{
	static const char *const stats[] = {"",	  "4300", "4300 (x",   "4300 x) S 1",
					    ")(", "()",	  "4300 (x) ", "4300 (x) 7 1"};
	char long_line[9000];
	struct proc_look *look;

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	put("proc/4300/task/nonsense/stat", "4299 (y) S" STAT_REST);
	put("proc/4300/task/-5/stat", "4299 (y) S" STAT_REST);
	put("proc/4300/task/99999999999999/stat", "4299 (y) S" STAT_REST);
	put("proc/4300/task/4300/syscall", "what?");
	put("proc/4300/task/4300/wchan", "");
	put("proc/4300/task/4300/stack", "no newline, and no address");
	for (size_t i = 0; i < ARRAY_LEN(stats); i++) {
		put("proc/4300/task/4300/stat", stats[i]);
		look = look_at(4300);
		assert_int_equal(look->n, 1);
		assert_int_equal(look->threads[0].state, '?');
		assert_int_equal(look->total, 0);
		assert_string_equal(look->threads[0].syscall, "");
		assert_string_equal(look->threads[0].stack, "no newline, and no address\n");
		proc_look_free(look);
	}
	put("proc/4300/task/4300/wchan", long_line);
	put("proc/4300/task/4300/stack", long_line);
	put("proc/4300/task/4300/stat", "4300 (xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx) S 1");
	look = look_at(4300);
	assert_int_equal(look->threads[0].state, 'S');
	assert_string_equal(look->threads[0].name, "xxxxxxxxxxxxxxx");
	assert_string_equal(look->threads[0].wchan, "");
	assert_null(look->threads[0].stack);
	assert_int_equal(look->stack_error, -EFBIG);
	proc_look_free(look);
}

/* Bytes that look a little like what the kernel writes. */
static size_t noise(uint64_t *random, char *text, size_t max)
{
	static const char likely[] = "0123456789 -x()[<>]+/\nSDabc\t";
	size_t len = unit_random(random, (uint32_t)max);

	for (size_t i = 0; i < len; i++)
		text[i] = unit_random(random, 8) == 0
			      ? (char)unit_random(random, 256)
			      : likely[unit_random(random, sizeof(likely) - 1)];
	return len;
}

static void test_noise(void **state)
{
	static const char *const names[] = {"stat", "wchan", "syscall", "stack"};
	uint64_t random = unit_seed();
	char text[600], path[64];

	(void)state;
	for (int round = 0; round < unit_rounds(500); round++) {
		struct proc_look *look = NULL;

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			snprintf(path, sizeof(path), "proc/4400/task/4400/%s", names[i]);
			unit_write(directory, path, text, noise(&random, text, sizeof(text)));
		}
		look = look_at(4400);
		assert_int_equal(look->n, 1);
		assert_true(proc_look_size(look) < 2048);
		assert_true(strlen(look->threads[0].syscall) < PROC_LOOK_SYSCALL_MAX);
		proc_look_free(look);
	}
}

static void test_bounds(void **state)
{
	char name[64], stack[PROC_LOOK_STACKS_MAX];
	struct proc_look *look = NULL;
	size_t bytes = 0, lines = 0, len = 0;

	(void)state;
	while (len < sizeof(stack) - 64)
		len += (size_t)snprintf(stack + len, sizeof(stack) - len,
					"[<0>] a_function_of_the_kernel+0x%zx/0x1000\n", len);
	for (pid_t tid = 5000; tid < 5040; tid++) {
		snprintf(name, sizeof(name), "proc/5000/task/%d/stat", (int)tid);
		put(name, "5000 (many) S" STAT_REST);
		snprintf(name, sizeof(name), "proc/5000/task/%d/stack", (int)tid);
		put(name, stack);
	}
	look = look_at(5000);
	assert_int_equal(look->n, PROC_LOOK_THREADS_MAX);
	for (size_t i = 0; i < look->n; i++) {
		const char *text = look->threads[i].stack;

		bytes += text != NULL ? strlen(text) : 0;
		for (lines = 0; text != NULL && *text != '\0'; text = strchr(text, '\n') + 1)
			lines++;
		assert_true(lines <= PROC_LOOK_STACK_LINES);
	}
	assert_true(bytes > 0 && bytes <= PROC_LOOK_STACKS_MAX);
	assert_true(proc_look_size(look) <= 16 * 1024);
	proc_look_free(look);
	/* no time is left: the main thread is looked at all the same */
	assert_int_equal(proc_look(directory, 5000, 0, &look), 0);
	assert_int_equal(look->n, 1);
	assert_true(look->late);
	proc_look_free(look);
}

static void test_nobody(void **state)
{
	struct proc_look *look = NULL;

	(void)state;
	assert_int_equal(proc_look(directory, 4999, USEC_INFINITY, &look), -ESRCH);
	assert_null(look);
	assert_null(proc_look_free(NULL));
}

/* ---- real ones ---- */

static void *wait_for_ever(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static pid_t start_reader(int fd)
{
	pthread_t thread;
	pid_t pid = fork();
	char byte;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* should a test fail */
	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		_exit(1);
	while (read(fd, &byte, 1) == -1)
		continue;
	_exit(0);
}

static void test_a_process_that_reads_a_pipe(void **state)
{
	struct proc_look *look = NULL;
	char expected[64];
	int pipefd[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	pid = start_reader(pipefd[0]);
	for (int n = 0; n < 5000; n++) {
		assert_int_equal(proc_look("", pid, USEC_INFINITY, &look), 0);
		/* the second thread may come while we look */
		if (look->n == 2 && look->total == 2 &&
		    strncmp(look->threads[0].syscall, "read of", 7) == 0)
			break;
		look = proc_look_free(look);
		unit_nap();
	}
	assert_non_null(look);
	assert_int_equal(look->total, 2);
	assert_int_equal(look->threads[0].state, 'S');
	snprintf(expected, sizeof(expected), "read of descriptor %d (pipe:[", pipefd[0]);
	assert_memory_equal(look->threads[0].syscall, expected, strlen(expected));
	assert_true(look->stack_error == 0 || look->stack_error == -EPERM ||
		    look->stack_error == -EACCES);
	proc_look_free(look);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_look("", pid, USEC_INFINITY, &look), -ESRCH);
	close(pipefd[0]);
	close(pipefd[1]);
}

static int set_up(void **state)
{
	(void)state;
	directory = unit_directory();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_syscalls),
	    cmocka_unit_test(test_threads_with_the_main_one_first),
	    cmocka_unit_test(test_broken_files),
	    cmocka_unit_test(test_noise),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_a_process_that_reads_a_pipe),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
