/* pin.c - what a version runs, held open. */
#include "system/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

static const struct pin_file nothing = {.fd = -1};

struct pin *pin_ref(struct pin *pin)
{
	pin->refs++;
	return pin;
}

static void release(struct pin_file *file)
{
	free(file->path);
	fd_close(file->fd);
}

void pin_unref(struct pin *pin)
{
	if (pin == NULL || --pin->refs > 0)
		return;
	release(&pin->program);
	release(&pin->interpreter);
	release(&pin->directory);
	free(pin->argument);
	fd_close(pin->copy);
	free(pin->missing);
	free(pin);
}

/* Somewhere on a network, or with a process that may hang: looking at a path may take for ever. */
static bool is_remote(int fd)
{
	static const uint32_t types[] = {
	    NFS_SUPER_MAGIC,	   SMB_SUPER_MAGIC,   CIFS_SUPER_MAGIC,
	    SMB2_SUPER_MAGIC,	   CEPH_SUPER_MAGIC,  AFS_SUPER_MAGIC,
	    AFS_FS_MAGIC,	   CODA_SUPER_MAGIC,  V9FS_MAGIC,
	    FUSE_SUPER_MAGIC,	   OCFS2_SUPER_MAGIC, 0x0bd00bd0 /* Lustre */,
	    0x01161970 /* GFS2 */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) == -1)
		return true;
	for (size_t n = 0; n < ARRAY_LEN(types); n++)
		if ((uint32_t)fs.f_type == types[n])
			return true;
	return false;
}

/* Takes path over (NULL: no memory). What cannot be opened has no identity. */
static int hold(struct pin_file *file, char *path, int flags)
{
	if (path == NULL)
		return -ENOMEM;
	file->path = path;
	file->fd = open(path, O_PATH | O_CLOEXEC | flags);
	if (file->fd < 0)
		return 0;
	file->fd = fd_park(file->fd);
	file->remote = is_remote(file->fd);
	identity_read(file->fd, &file->identity);
	return 0;
}

/* The real directory, the same last part. What does not resolve stays as it is: exec says why. */
static char *resolve(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *above = NULL, *real = NULL;
	char *resolved;

	if (slash == NULL || slash == path)
		return strdup(path);
	above = strndup(path, (size_t)(slash - path));
	real = above != NULL ? realpath(above, NULL) : NULL;
	if (real == NULL)
		return strdup(path);
	return asprintf(&resolved, "%s%s", strcmp(real, "/") == 0 ? "" : real, slash) == -1
		   ? NULL
		   : resolved;
}

/* ---- scripts ---- */

/* All of it, or -1: too large, not readable, or no memory for it. */
static int copy_of(const struct pin_file *file)
{
	char path[32];
	cleanup_free char *text = NULL;
	cleanup_close int fd = -1;
	size_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	if (fd_read_file(path, PIN_COPY_MAX, &text, &len) < 0)
		return -1;
	fd = memfd_create("handover-script", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == -1)
		return -1;
	return fd_park(TAKE_FD(fd));
}

/* As the kernel reads it: the first word, and the rest as one argument. */
static int split_line(struct pin *pin, char *line)
{
	char *word = line + strspn(line, " \t"), *rest;
	size_t len;

	line[strcspn(line, "\n")] = '\0';
	rest = word + strcspn(word, " \t");
	if (*rest != '\0') {
		*rest++ = '\0';
		rest += strspn(rest, " \t");
		for (len = strlen(rest); len > 0 && strchr(" \t", rest[len - 1]) != NULL; len--)
			rest[len - 1] = '\0';
	}
	if (*word == '\0')
		return 0;
	if (*rest != '\0') {
		pin->argument = strdup(rest);
		if (pin->argument == NULL)
			return -ENOMEM;
	}
	return hold(&pin->interpreter, strdup(word), 0);
}

/* BINPRM_BUF_SIZE: the kernel looks no further. */
enum { HEAD_SIZE = 257 };

/* What follows "#!", or NULL: it is no script, or may not be read. */
static char *read_head(const struct pin_file *file, char head[HEAD_SIZE])
{
	char path[32];
	cleanup_close int fd = -1;
	struct stat st;
	ssize_t n;

	if (fstat(file->fd, &st) == -1 || !S_ISREG(st.st_mode))
		return NULL; /* to open a device may do something */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	n = fd >= 0 ? pread(fd, head, HEAD_SIZE - 1, 0) : 0;
	if (n < 2 || memcmp(head, "#!", 2) != 0)
		return NULL;
	head[n] = '\0';
	return head + 2;
}

/* An interpreter that is a script itself, or is looked for where the worker starts, is left to the
 * kernel. */
static int read_script(struct pin *pin)
{
	char head[HEAD_SIZE], *line = read_head(&pin->program, head);
	int r = line != NULL ? split_line(pin, line) : 0;

	if (r < 0 || pin->interpreter.path == NULL)
		return r;
	if (pin->interpreter.path[0] != '/' || read_head(&pin->interpreter, head) != NULL)
		pin->interpreter.fd = fd_close(pin->interpreter.fd);
	pin->copy = copy_of(&pin->program);
	return 0;
}

/* ---- what is not held ---- */

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (strncmp(name, names[i], len) == 0 &&
		    strspn(name + len, "0123456789.") == strlen(name + len))
			return true;
	}
	return false;
}

static bool is_interpreter(const char *path)
{
	static const char *const names[] = {
	    "python", "pypy", "perl", "ruby", "node", "nodejs", "php", "sh",   "bash",
	    "dash",   "zsh",  "ksh",  "lua",  "java", "tclsh",	"env", "deno", "bun",
	};
	const char *slash = strrchr(path, '/');

	return is_one_of(slash != NULL ? slash + 1 : path, names, ARRAY_LEN(names));
}

/* One sentence's part, for `handover status`. */
static int tell_missing(struct pin *pin, char *const *argv)
{
	const char *interpreter = pin->interpreter.path;
	int r = 0;

	if (pin->program.fd < 0)
		r = asprintf(&pin->missing, "%s could not be opened", pin->program.path);
	else if (interpreter != NULL && pin->copy < 0)
		r = asprintf(&pin->missing,
			     "what is in %s (more than %d KiB, or not readable), and other files "
			     "that it loads",
			     pin->program.path, PIN_COPY_MAX / 1024);
	else if (interpreter != NULL && strcmp(interpreter, "/usr/bin/env") == 0)
		r = asprintf(&pin->missing,
			     "the interpreter that env finds, and other files that %s loads",
			     pin->program.path);
	else if (interpreter != NULL)
		r = asprintf(&pin->missing, "other files that %s loads", pin->program.path);
	else if (is_interpreter(pin->program.path) && argv[0] != NULL && argv[1] != NULL)
		r = asprintf(&pin->missing, "what %s loads (%s)", pin->program.path, argv[1]);
	return r < 0 ? -ENOMEM : 0;
}

int pin_new(const char *path, const char *directory, char *const *argv, struct pin **ret_pin)
{
	struct pin *pin = calloc(1, sizeof(*pin));
	int r;

	if (pin == NULL)
		return -ENOMEM;
	*pin = (struct pin){.refs = 1,
			    .program = nothing,
			    .interpreter = nothing,
			    .directory = nothing,
			    .copy = -1};
	r = hold(&pin->program, resolve(path), 0);
	if (r == 0 && pin->program.fd >= 0)
		r = read_script(pin);
	if (r == 0 && directory != NULL) {
		char *real = realpath(directory, NULL);

		r = hold(&pin->directory, real != NULL ? real : strdup(directory), O_DIRECTORY);
	}
	if (r == 0)
		r = tell_missing(pin, argv);
	if (r < 0) {
		pin_unref(pin);
		return -ENOMEM;
	}
	*ret_pin = pin;
	return 0;
}

unsigned pin_count(const struct pin *pin)
{
	const int fds[] = {pin->program.fd, pin->interpreter.fd, pin->directory.fd, pin->copy};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		n += fds[i] >= 0;
	return n;
}

static bool is_same_word(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool holds_same(const struct pin_file *a, const struct pin_file *b)
{
	return is_same_word(a->path, b->path) && (a->fd < 0) == (b->fd < 0) &&
	       identity_change(&a->identity, &b->identity) == NULL;
}

bool pin_is_same(const struct pin *a, const struct pin *b)
{
	return holds_same(&a->program, &b->program) &&
	       holds_same(&a->interpreter, &b->interpreter) &&
	       is_same_word(a->directory.path, b->directory.path) &&
	       identity_is_same_file(&a->directory.identity, &b->directory.identity) &&
	       is_same_word(a->argument, b->argument) && is_same_word(a->missing, b->missing);
}

/* ---- is it still there? ---- */

static int64_t to_ns(const struct statx_timestamp *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* What is known here, without asking a server that may be gone. */
static bool look_at(int fd, const char *path, struct statx *ret)
{
	return statx(fd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, ret) == 0;
}

static bool is_file(const struct statx *found, const struct identity *identity)
{
	return makedev(found->stx_dev_major, found->stx_dev_minor) == identity->device &&
	       found->stx_ino == identity->inode;
}

/* By a path of which every part is known here. */
static bool leads_there_as_known(const struct pin_file *file)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
	cleanup_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, file->path, &how, sizeof(how));
	struct statx found;

	return fd >= 0 && look_at(fd, "", &found) && is_file(&found, &file->identity);
}

/* Only where it is held: by descriptor it could not be started otherwise. */
static bool has_moved(const struct pin_file *file)
{
	struct statx found;

	if (file->path == NULL || file->fd < 0)
		return false;
	if (file->remote)
		return !leads_there_as_known(file);
	return !look_at(AT_FDCWD, file->path, &found) || !is_file(&found, &file->identity);
}

static bool is_overwritten(const struct pin_file *file)
{
	struct identity now;
	struct statx found;

	if (file->path == NULL || file->fd < 0 || !look_at(file->fd, "", &found) ||
	    (found.stx_size == file->identity.size &&
	     to_ns(&found.stx_mtime) == file->identity.mtime_ns))
		return false;
	return file->remote || identity_read(file->fd, &now) < 0 ||
	       !identity_has_same_content(&file->identity, &now);
}

/* Compared with its copy once there is any reason to: a link less is one, too. */
static bool is_other_text(const struct pin *pin)
{
	const struct identity *then = &pin->program.identity;
	cleanup_free char *text = NULL, *copy = NULL;
	char path[32];
	size_t len, copy_len;
	struct statx found;

	if (!look_at(pin->program.fd, "", &found) || to_ns(&found.stx_ctime) == then->ctime_ns)
		return false;
	if (pin->program.remote)
		return is_overwritten(&pin->program);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pin->program.fd);
	if (fd_read_file(path, PIN_COPY_MAX, &text, &len) < 0)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pin->copy);
	return fd_read_file(path, PIN_COPY_MAX, &copy, &copy_len) < 0 || len != copy_len ||
	       memcmp(text, copy, len) != 0;
}

void pin_look(const struct pin *pin, struct pin_way *ret_way)
{
	*ret_way = (struct pin_way){
	    .moved = has_moved(&pin->program),
	    .interpreter_moved = has_moved(&pin->interpreter),
	    .directory_moved = !pin->directory.remote && has_moved(&pin->directory),
	    .copy = pin->copy >= 0 && is_other_text(pin),
	    .lost = (pin->copy < 0 && is_overwritten(&pin->program)) ||
		    is_overwritten(&pin->interpreter),
	};
}
