/* shim.c - where libhandover-bind.so is, and programs that would run without it: ld.so(8), elf(5).
 */
#include "system/shim.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/spawn.h"

#define LIBRARY "libhandover-bind.so"

/* ---- where it is ---- */

int shim_find(char **ret_path)
{
	static const char *const beside[] = {"", "../lib/handover/"};
	char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	const char *directory;

	program[n > 0 ? n : 0] = '\0';
	directory = dirname(program);
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(beside); i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s" LIBRARY, directory, beside[i]) == -1) {
			path = NULL;
			return -ENOMEM;
		}
		if (access(path, F_OK) == 0) {
			*ret_path = TAKE_PTR(path);
			return 0;
		}
	}
	*ret_path = strdup(HANDOVER_LIBDIR "/" LIBRARY);
	return *ret_path == NULL ? -ENOMEM : 0;
}

/* ---- which programs it cannot help ---- */

static int say(struct buf *why, const char *reason)
{
	buf_add_str(why, reason);
	return -EINVAL;
}

/* The kernel tells the loader to trust nobody (AT_SECURE, getauxval(3)) where the program gets
 * rights that its caller does not have. */
static int refuses_rights(const char *path, uid_t uid, gid_t gid, struct buf *why)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return 0;
	if ((st.st_mode & S_ISUID) != 0 && st.st_uid != uid)
		return say(why, "it is set-uid, and such programs are started without LD_PRELOAD");
	if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != gid)
		return say(why, "it is set-gid, and such programs are started without LD_PRELOAD");
	if (uid != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return say(why, "it has capabilities of its own (setcap), and such programs are "
				"started without LD_PRELOAD; "
				"handover has opened its sockets, so it can do without them");
	return 0;
}

/* Does a segment of notes have the one that the Go linker writes? */
static bool has_go_note(int fd, const Elf64_Phdr *segment)
{
	static const struct {
		Elf64_Nhdr header;
		char name[4];
	} go = {{.n_namesz = 4, .n_type = 4}, "Go"};
	char notes[4096];
	size_t size = segment->p_filesz < sizeof(notes) ? segment->p_filesz : sizeof(notes), at = 0;
	ssize_t n = pread(fd, notes, size, (off_t)segment->p_offset);
	Elf64_Nhdr header;

	while (n > 0 && at + sizeof(go) <= (size_t)n) {
		memcpy(&header, notes + at, sizeof(header));
		if (header.n_namesz == go.header.n_namesz && header.n_type == go.header.n_type &&
		    memcmp(notes + at + sizeof(header), go.name, sizeof(go.name)) == 0)
			return true;
		if (header.n_namesz > size || header.n_descsz > size)
			return false;
		at +=
		    sizeof(header) + ((header.n_namesz + 3) & ~3U) + ((header.n_descsz + 3) & ~3U);
	}
	return false;
}

struct segments {
	bool go;
	char loader[256]; /* "": none, so that no library is loaded */
};

static void read_segments(int fd, const Elf64_Ehdr *header, struct segments *ret)
{
	Elf64_Phdr segment;
	ssize_t n;

	*ret = (struct segments){.go = false};
	for (unsigned i = 0; i < header->e_phnum && i < 64; i++) {
		if (pread(fd, &segment, sizeof(segment),
			  (off_t)(header->e_phoff + i * sizeof(segment))) != sizeof(segment))
			return;
		if (segment.p_type == PT_NOTE && has_go_note(fd, &segment))
			ret->go = true;
		if (segment.p_type != PT_INTERP || segment.p_filesz >= sizeof(ret->loader))
			continue;
		n = pread(fd, ret->loader, segment.p_filesz, (off_t)segment.p_offset);
		ret->loader[n > 0 ? n : 0] = '\0';
	}
}

static bool is_of_our_kind(const Elf64_Ehdr *header)
{
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr ours;

	return fd < 0 || pread(fd, &ours, sizeof(ours), 0) != sizeof(ours) ||
	       (header->e_ident[EI_CLASS] == ours.e_ident[EI_CLASS] &&
		header->e_machine == ours.e_machine);
}

static int refuses_elf(int fd, struct buf *why)
{
	struct segments segments;
	Elf64_Ehdr header;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return 0; /* the command is refused for that */
	if (!is_of_our_kind(&header))
		return say(why, "it is of another kind than handover itself (32 bits, or another "
				"machine), and such programs "
				"cannot load the library");
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	read_segments(fd, &header, &segments);
	if (segments.go)
		return say(why, "it is written in Go, whose programs make their system calls past "
				"all libraries; let it take "
				"its sockets from LISTEN_FDS");
	if (segments.loader[0] == '\0')
		return say(why, "it is linked statically, and such programs load no libraries; let "
				"it take its sockets from "
				"LISTEN_FDS");
	if (strstr(segments.loader, "ld-musl") != NULL)
		return say(why, "it is linked with musl, and the library with the GNU C library");
	return 0;
}

static int refuses(const char *path, uid_t uid, gid_t gid, int depth, struct buf *why);

/* `#!INTERPRETER [ARGUMENT]`; of `env` the argument counts too: -S, options and variables are left
 * to chance. */
static int refuses_script(char *line, uid_t uid, gid_t gid, int depth, struct buf *why)
{
	cleanup_free char *found = NULL;
	char *rest, *interpreter = strtok_r(line, " \t", &rest),
		    *argument = strtok_r(NULL, " \t", &rest);
	const char *slash;
	int r;

	if (interpreter == NULL)
		return 0;
	r = refuses(interpreter, uid, gid, depth, why);
	slash = strrchr(interpreter, '/');
	if (r < 0 || argument == NULL || slash == NULL || strcmp(slash, "/env") != 0 ||
	    argument[0] == '-' || spawn_resolve(argument, NULL, &found) < 0)
		return r;
	return refuses(found, uid, gid, depth, why);
}

static int refuses(const char *path, uid_t uid, gid_t gid, int depth, struct buf *why)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char head[257];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head) - 1, 0);
	int r = 0;

	if (n < 4 || depth == 0)
		return 0;
	head[n] = '\0';
	if (memcmp(head, "#!", 2) == 0) {
		head[strcspn(head, "\n")] = '\0';
		return refuses_script(head + 2, uid, gid, depth - 1, why);
	}
	if (memcmp(head, ELFMAG, SELFMAG) == 0)
		r = refuses_rights(path, uid, gid, why);
	if (r == 0 && memcmp(head, ELFMAG, SELFMAG) == 0)
		r = refuses_elf(fd, why);
	return r;
}

int shim_refuses(const char *program, uid_t uid, gid_t gid, struct buf *why)
{
	enum { SCRIPTS_MAX = 5 }; /* the kernel's own limit */

	return refuses(program, uid, gid, SCRIPTS_MAX, why);
}
