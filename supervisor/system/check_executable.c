/* check_executable.c - why execve(2) would refuse a file. */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/check_internal.h"
#include "system/config_internal.h"

/* May some program outside of the kernel (qemu, java) be asked to run what the kernel cannot? */
static bool has_binfmt(void)
{
	DIR *directory = opendir("/proc/sys/fs/binfmt_misc");
	const struct dirent *entry;
	bool found = false;

	if (directory == NULL)
		return false;
	while (!found && (entry = readdir(directory)) != NULL)
		found = *entry->d_name != '.' && strcmp(entry->d_name, "register") != 0 &&
			strcmp(entry->d_name, "status") != 0;
	closedir(directory);
	return found;
}

static int check_script(const char *head, size_t len, struct buf *why)
{
	char interpreter[256];
	size_t at = 2, end;

	while (at < len && (head[at] == ' ' || head[at] == '\t'))
		at++;
	end = at + strcspn(head + at, " \t\n");
	if (end >= len || end - at >= sizeof(interpreter))
		return 0;
	memcpy(interpreter, head + at, end - at);
	interpreter[end - at] = '\0';
	if (end > at && head[end - 1] == '\r') {
		buf_add_str(why, "its first line ends with a carriage return, so that its "
				 "interpreter is not found; "
				 "save it with Unix line ends");
		return -EINVAL;
	}
	if (access(interpreter, X_OK) == 0)
		return 0;
	buf_printf(why, "%s, the interpreter in its first line, cannot be executed: %s",
		   QUOTE(interpreter), strerror(errno));
	return -EINVAL;
}

/* Machines whose programs the kernel of another one runs too. */
static bool is_runnable(unsigned machine, unsigned ours)
{
	return machine == ours || (ours == EM_X86_64 && machine == EM_386) ||
	       (ours == EM_AARCH64 && machine == EM_ARM);
}

static unsigned our_machine(void)
{
	cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr header;

	/* e_machine lies at the same place in both classes. */
	if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return EM_NONE;
	return header.e_machine;
}

/* The dynamic loader that a program of our own class asks for; "" if none. */
static void find_loader(int fd, const Elf64_Ehdr *header, char *loader, size_t size)
{
	Elf64_Phdr program;
	ssize_t n;
	unsigned i;

	*loader = '\0';
	for (i = 0; i < header->e_phnum && i < 64; i++) {
		n = pread(fd, &program, sizeof(program),
			  (off_t)(header->e_phoff + i * sizeof(program)));
		if (n != sizeof(program))
			return;
		if (program.p_type != PT_INTERP || program.p_filesz >= size)
			continue;
		n = pread(fd, loader, program.p_filesz, (off_t)program.p_offset);
		loader[n > 0 ? n : 0] = '\0';
		return;
	}
}

static int check_elf(int fd, struct buf *why)
{
	unsigned ours = our_machine();
	Elf64_Ehdr header;
	char loader[256];

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header)) {
		buf_add_str(why, "it is a program that was cut short");
		return -EINVAL;
	}
	if (ours != EM_NONE && !is_runnable(header.e_machine, ours)) {
		buf_add_str(why, "it is a program for another kind of machine");
		return has_binfmt() ? 1 : -EINVAL;
	}
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || sizeof(void *) != 8 ||
	    header.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	find_loader(fd, &header, loader, sizeof(loader));
	if (*loader == '\0' || access(loader, X_OK) == 0)
		return 0;
	buf_printf(why, "%s, the loader that it asks for, cannot be executed: %s", QUOTE(loader),
		   strerror(errno));
	return -EINVAL;
}

/* What is in it. A file that may be executed and not read is left to the kernel. */
static int check_content(const char *path, struct buf *why)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char head[257];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = pread(fd, head, sizeof(head) - 1, 0);
	if (n < 0)
		return 0;
	head[n] = '\0';
	if (n >= 2 && memcmp(head, "#!", 2) == 0)
		return check_script(head, (size_t)n, why);
	if (n >= 4 && memcmp(head, ELFMAG, SELFMAG) == 0)
		return check_elf(fd, why);
	if (n == 0)
		buf_add_str(why, "it is empty");
	else
		buf_add_str(why, "it is no program; a script needs a first line such as #!/bin/sh");
	return n > 0 && has_binfmt() ? 1 : -EINVAL;
}

static const char *what_is_missing(int error)
{
	switch (error) {
	case ENOENT:
		return "no such file";
	case ENOTDIR:
		return "a part of the path is no directory";
	case EACCES:
		return "a directory in the path may not be entered";
	default:
		return strerror(error);
	}
}

int check_executable(const char *path, struct buf *why)
{
	struct stat st;

	if (stat(path, &st) == -1)
		buf_add_str(why, what_is_missing(errno));
	else if (S_ISDIR(st.st_mode))
		buf_add_str(why, "it is a directory");
	else if (!S_ISREG(st.st_mode))
		buf_add_str(why, "it is no regular file");
	else if ((st.st_mode & 0111) == 0)
		buf_printf(why, "it is not marked as executable (mode %04o)", st.st_mode & 07777u);
	else if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		buf_printf(why, "%s (for uid %u, or the file system is mounted noexec)",
			   strerror(errno), (unsigned)geteuid());
	else
		return check_content(path, why);
	return -EINVAL;
}
