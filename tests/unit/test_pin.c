/* test_pin.c - what a version holds, and how it can be started once people were at its files. */
#include "unit.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "spawn_support.h"
#include "system/pin.h"
#include "system/proc.h"

static char *place;

static char *at(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", place, name);
	return path;
}

static void put(const char *path, const char *text, int more_flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | more_flags, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void copy(const char *from, const char *to)
{
	char command[600];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	(void)state;
	place = unit_directory();
	assert_int_equal(mkdir(at("v1"), 0755), 0);
	assert_int_equal(mkdir(at("v2"), 0755), 0);
	assert_int_equal(symlink("v1", at("current")), 0);
	copy("/bin/true", at("v1/program"));
	copy("/bin/true", at("v2/program"));
	copy("/bin/sh", at("sh"));
	put(at("v1/script"), "", O_TRUNC);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_remove(place);
	return 0;
}

static struct pin *hold(const char *path, const char *directory)
{
	static char *argv[] = {(char *)"x", (char *)"argument", NULL};
	struct pin *pin;

	assert_int_equal(pin_new(path, directory, argv, &pin), 0);
	return pin;
}

enum { MOVED = 1, INTERPRETER = 2, DIRECTORY = 4, COPY = 8, LOST = 16 };

static int look(const struct pin *pin)
{
	struct pin_way way;

	pin_look(pin, &way);
	return way.moved * MOVED | way.interpreter_moved * INTERPRETER |
	       way.directory_moved * DIRECTORY | way.copy * COPY | way.lost * LOST;
}

static void switch_link(const char *to)
{
	assert_int_equal(symlink(to, at("next")), 0);
	assert_int_equal(rename(at("next"), at("current")), 0);
}

/* --- programs --- */

static void test_directories_are_followed_once(void **state)
{
	struct pin *pin = hold(at("current/program"), at("current"));
	(void)state;

	assert_string_equal(pin->program.path, at("v1/program"));
	assert_string_equal(pin->directory.path, at("v1"));
	assert_null(pin->interpreter.path);
	assert_null(pin->missing);
	assert_int_equal(look(pin), 0);
	assert_int_equal(pin_count(pin), 2);
	switch_link("v2");
	assert_int_equal(look(pin), 0);
	assert_int_equal(rename(at("v1"), at("old")), 0);
	assert_int_equal(look(pin), MOVED | DIRECTORY);
	pin_unref(pin);
}

/* The name by which a program was called may mean something to it: the last part stays. */
static void test_a_link_to_the_program_itself(void **state)
{
	struct pin *pin;
	(void)state;

	assert_int_equal(symlink("v1/program", at("program")), 0);
	pin = hold(at("program"), NULL);
	assert_string_equal(pin->program.path, at("program"));
	assert_int_equal(look(pin), 0);
	assert_int_equal(unlink(at("program")), 0);
	assert_int_equal(symlink("v2/program", at("program")), 0);
	assert_int_equal(look(pin), MOVED);
	pin_unref(pin);
}

static void test_a_program(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct pin *pin = hold(at("v1/program"), NULL);
	(void)state;

	assert_int_equal(link(at("v1/program"), at("link")), 0);
	assert_int_equal(look(pin), 0);
	assert_int_equal(utimensat(AT_FDCWD, at("v1/program"), times, 0), 0);
	assert_int_equal(look(pin), pin->program.identity.build_id_len > 0 ? 0 : LOST);
	put(at("v1/program"), "X", O_APPEND);
	assert_int_equal(look(pin), LOST);
	assert_int_equal(rename(at("v2/program"), at("v1/program")), 0);
	assert_int_equal(look(pin), MOVED | LOST);
	pin_unref(pin);
}

static void test_what_is_not_there(void **state)
{
	struct pin *pin = hold(at("no/such/program"), at("no/such/directory"));
	(void)state;

	assert_string_equal(pin->program.path, at("no/such/program"));
	assert_string_equal(pin->directory.path, at("no/such/directory"));
	assert_non_null(strstr(pin->missing, "could not be opened"));
	assert_int_equal(look(pin), 0); /* exec says what is wrong */
	pin_unref(pin_ref(pin));
	pin_unref(pin);
	pin_unref(NULL);
}

/* --- scripts --- */

static struct pin *hold_script(const char *first_line)
{
	char text[512];

	snprintf(text, sizeof(text), "%s\nexit 7\n", first_line);
	put(at("v1/script"), text, O_TRUNC);
	return hold(at("v1/script"), NULL);
}

static void test_first_lines(void **state)
{
	static const struct {
		const char *line, *interpreter, *argument;
	} lines[] = {
	    {"#!/bin/sh", "/bin/sh", NULL},
	    {"#! \t/bin/sh  -e -u \t", "/bin/sh", "-e -u"},
	    {"#!/bin/sh\t", "/bin/sh", NULL},
	    {"#!", NULL, NULL},
	    {"#", NULL, NULL},
	    {"", NULL, NULL},
	    {"#!/no/such", "/no/such", NULL},
	    {"#!sh -x", "sh", "-x"},
	    {"#!/usr/bin/env sh", "/usr/bin/env", "sh"},
	};
	(void)state;

	for (size_t n = 0; n < ARRAY_LEN(lines); n++) {
		struct pin *pin = hold_script(lines[n].line);

		if (lines[n].interpreter == NULL) {
			assert_null(pin->interpreter.path);
			assert_int_equal(pin->copy, -1);
		} else {
			assert_string_equal(pin->interpreter.path, lines[n].interpreter);
			assert_true(pin->copy >= 0);
			assert_non_null(strstr(pin->missing, at("v1/script")));
		}
		if (lines[n].argument == NULL)
			assert_null(pin->argument);
		else
			assert_string_equal(pin->argument, lines[n].argument);
		pin_unref(pin);
	}
}

static void test_a_script(void **state)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	char line[300], text[64] = "";
	struct pin *pin;
	(void)state;

	snprintf(line, sizeof(line), "#!%s", at("sh"));
	pin = hold_script(line);
	assert_int_equal(look(pin), 0);
	assert_int_equal(pin_count(pin), 3);
	assert_int_equal(utimensat(AT_FDCWD, at("v1/script"), times, 0), 0);
	assert_int_equal(look(pin), 0); /* what is in it is the same */
	put(at("v1/script"), "#!/bin/false\n", O_TRUNC);
	assert_int_equal(look(pin), COPY);
	assert_true(pread(pin->copy, text, sizeof(text) - 1, 0) > 0);
	assert_true(strncmp(text, "#!", 2) == 0 && strstr(text, "false") == NULL);
	assert_int_equal(write(pin->copy, "x", 1), -1); /* sealed */
	assert_int_equal(unlink(at("v1/script")), 0);
	assert_int_equal(look(pin), MOVED | COPY);
	copy("/bin/true", at("other"));
	assert_int_equal(rename(at("other"), at("sh")), 0);
	assert_int_equal(look(pin), MOVED | COPY | INTERPRETER);
	pin_unref(pin);
}

static void test_a_large_script(void **state)
{
	cleanup_free char *text = malloc(PIN_COPY_MAX + 100);
	struct pin *pin;
	(void)state;

	assert_non_null(text);
	memset(text, '#', PIN_COPY_MAX + 99);
	text[PIN_COPY_MAX + 99] = '\0';
	memcpy(text, "#!/bin/sh\n", 10);
	put(at("v1/script"), text, O_TRUNC);
	pin = hold(at("v1/script"), NULL);
	assert_int_equal(pin->copy, -1);
	assert_non_null(strstr(pin->missing, "more than 256 KiB"));
	put(at("v1/script"), "x", O_APPEND);
	assert_int_equal(look(pin), LOST);
	pin_unref(pin);
}

static void test_an_interpreter_by_name(void **state)
{
	struct pin *pin = hold(at("sh"), NULL);
	(void)state;

	assert_non_null(strstr(pin->missing, "(argument)"));
	pin_unref(pin);
}

/* --- two of them --- */

static void test_the_same_is_held_once(void **state)
{
	struct pin *pins[] = {
	    hold(at("v1/program"), NULL),     hold(at("v1/program"), NULL),
	    hold(at("v1/program"), at("v1")), hold(at("v1/program"), at("v2")),
	    hold(at("v2/program"), NULL),     hold_script("#!/bin/sh"),
	    hold_script("#!/bin/sh -x"),
	};
	(void)state;

	for (size_t a = 0; a < ARRAY_LEN(pins); a++)
		for (size_t b = 0; b < ARRAY_LEN(pins); b++)
			assert_int_equal(pin_is_same(pins[a], pins[b]), a == b || (a < 2 && b < 2));
	for (size_t n = 0; n < ARRAY_LEN(pins); n++)
		pin_unref(pins[n]);
}

/* --- by descriptor --- */

static int run(const struct spawn_spec *spec)
{
	struct spawn_error error;
	struct reap_status status;
	int pidfd;
	pid_t pid;

	assert_int_equal(spawn_process(spec, &pid, &pidfd, &error), 0);
	wait_for_end(pidfd, &status);
	close(pidfd);
	return status.value;
}

static void test_a_program_that_is_gone_is_executed(void **state)
{
	struct pin *pin = hold(at("v1/program"), at("v1"));
	struct spawn_spec spec = true_spec();
	int fds = proc_count_fds();
	(void)state;

	spec.path = pin->program.path;
	spec.directory = pin->directory.path;
	unit_remove(strdup(at("v1")));
	spec.exec_fd = pin->program.fd;
	spec.directory_fd = pin->directory.fd;
	for (int flags = 0; flags < 2; flags++) {
		spec.memory_limited = flags;
		assert_int_equal(run(&spec), 0);
	}
	assert_int_equal(proc_count_fds(), fds);
	pin_unref(pin);
}

/* And the program sees none of these descriptors. */
static void test_hidden_descriptors_stay_hidden(void **state)
{
	static char *argv[] = {
	    (char *)"sh", (char *)"-c",
	    (char *)"for fd in 3 4 5 7 8 9 10; do test ! -e /proc/$$/fd/$fd || exit 1; "
		    "done; test -e /proc/$$/fd/6",
	    NULL};
	struct pin *pin = hold("/bin/sh", "/");
	struct spawn_spec spec = true_spec();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)state;

	spec.path = pin->program.path;
	spec.argv = argv;
	spec.stdin_fd = spec.stdout_fd = spec.stderr_fd = null;
	spec.fds = (int[]){null};
	spec.fd_numbers = (int[]){6};
	spec.n_fds = 1;
	spec.exec_fd = pin->program.fd;
	spec.directory_fd = pin->directory.fd;
	assert_int_equal(run(&spec), 0);
	close(null);
	pin_unref(pin);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_directories_are_followed_once),
	    TEST(test_a_link_to_the_program_itself),
	    TEST(test_a_program),
	    TEST(test_what_is_not_there),
	    TEST(test_first_lines),
	    TEST(test_a_script),
	    TEST(test_a_large_script),
	    TEST(test_an_interpreter_by_name),
	    TEST(test_the_same_is_held_once),
	    TEST(test_a_program_that_is_gone_is_executed),
	    TEST(test_hidden_descriptors_stay_hidden),
	};

	return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
