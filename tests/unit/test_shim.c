/* test_shim.c - the bind shim: programs that it cannot help, and which socket an address means
 * (lib/preload/given.c). */
#include "unit_config.h"

#include <arpa/inet.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "system/shim.h"

#include "../../lib/preload/given.c"

enum { NOBODY = 65534 };

/* ---- programs ---- */

static char *directory;

static char *in_directory(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static const char *refused_for(const char *path, uid_t uid, gid_t gid)
{
	static char text[512];
	cleanup_buf struct buf why = {.data = NULL};
	int r = shim_refuses(path, uid, gid, &why);

	snprintf(text, sizeof(text), "%s", buf_text(&why));
	assert_int_equal(r, text[0] != '\0' ? -EINVAL : 0);
	return text;
}

struct elf {
	Elf64_Ehdr header;
	Elf64_Phdr interp, note;
	char loader[32];
	struct {
		Elf64_Nhdr header;
		char name[4], value[8];
	} notes[2];
};

static struct elf elf_of(const char *loader, const char *note)
{
	struct elf elf;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	memset(&elf, 0, sizeof(elf));
	assert_int_equal(read(fd, &elf.header, sizeof(elf.header)), sizeof(elf.header));
	close(fd);
	elf.header.e_phoff = offsetof(struct elf, interp);
	elf.header.e_phnum = 2;
	elf.interp = (Elf64_Phdr){.p_type = *loader != '\0' ? PT_INTERP : PT_NULL,
				  .p_offset = offsetof(struct elf, loader),
				  .p_filesz = strlen(loader) + 1};
	snprintf(elf.loader, sizeof(elf.loader), "%s", loader);
	elf.note = (Elf64_Phdr){.p_type = PT_NOTE,
				.p_offset = offsetof(struct elf, notes),
				.p_filesz = sizeof(elf.notes)};
	elf.notes[0].header = elf.notes[1].header = (Elf64_Nhdr){4, 8, 4};
	memcpy(elf.notes[0].name, "GNU", 4);
	memcpy(elf.notes[1].name, note, strlen(note));
	return elf;
}

static void write_program(const char *name, const void *data, size_t size, mode_t mode)
{
	unit_write(directory, name, data, size);
	assert_int_equal(chmod(in_directory(name), mode), 0);
}

static void test_programs(void **state)
{
	static const struct {
		const char *loader, *note, *why;
	} rows[] = {
	    {"/lib64/ld-linux-x86-64.so.2", "GNU", ""},
	    {"", "GNU",
	     "it is linked statically, and such programs load no libraries; let it take its "
	     "sockets from LISTEN_FDS"},
	    {"/lib64/ld-linux-x86-64.so.2", "Go",
	     "it is written in Go, whose programs make their system calls past all libraries; let "
	     "it take its sockets from "
	     "LISTEN_FDS"},
	    {"/lib/ld-musl-x86_64.so.1", "GNU",
	     "it is linked with musl, and the library with the GNU C library"},
	};
	struct elf elf;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		elf = elf_of(rows[i].loader, rows[i].note);
		write_program("program", &elf, sizeof(elf), 0755);
		assert_string_equal(refused_for(in_directory("program"), 0, 0), rows[i].why);
	}
	elf = elf_of("/lib/ld.so", "GNU");
	elf.header.e_machine = elf.header.e_machine == EM_S390 ? EM_X86_64 : EM_S390;
	write_program("program", &elf, sizeof(elf), 0755);
	assert_string_equal(refused_for(in_directory("program"), 0, 0),
			    "it is of another kind than handover itself (32 bits, or another "
			    "machine), and such programs cannot "
			    "load the library");
	assert_string_equal(refused_for("/bin/sh", 0, 0), "");
	assert_string_equal(refused_for("/nowhere", 0, 0), "");
}

static void test_broken_programs(void **state)
{
	struct elf elf = elf_of("/lib/ld.so", "GNU");
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct elf broken = elf;
		cleanup_buf struct buf why = {.data = NULL};

		for (int n = 0; n < 4; n++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			((unsigned char *)&broken)[16 + (seed >> 33) % (sizeof(broken) - 16)] =
			    (unsigned char)(seed >> 25);
		}
		write_program("broken", &broken, (size_t)(seed >> 40) % sizeof(broken), 0755);
		shim_refuses(in_directory("broken"), 0, 0, &why);
	}
}

static void test_scripts(void **state)
{
	struct elf elf = elf_of("", "GNU");
	char script[512];

	(void)state;
	write_program("static", &elf, sizeof(elf), 0755);
	snprintf(script, sizeof(script), "#! %s -x\n", in_directory("static"));
	write_program("script", script, strlen(script), 0755);
	assert_non_null(strstr(refused_for(in_directory("script"), 0, 0), "linked statically"));
	snprintf(script, sizeof(script), "#!/usr/bin/env %s\n", in_directory("static"));
	write_program("script", script, strlen(script), 0755);
	assert_non_null(strstr(refused_for(in_directory("script"), 0, 0), "linked statically"));
	snprintf(script, sizeof(script), "#!%s\n", in_directory("script"));
	write_program("script", script, strlen(script), 0755); /* its own interpreter */
	assert_string_equal(refused_for(in_directory("script"), 0, 0), "");
	write_program("script", "#!/bin/sh\n", 10, 04755); /* the kernel pays no heed to that */
	assert_string_equal(refused_for(in_directory("script"), NOBODY, NOBODY), "");
	write_program("script", "#!\n", 3, 0755);
	assert_string_equal(refused_for(in_directory("script"), 0, 0), "");
}

static void test_rights(void **state)
{
	/* vfs_cap_data, version 2, effective: CAP_NET_BIND_SERVICE */
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};
	struct elf elf = elf_of("/lib64/ld-linux-x86-64.so.2", "GNU");
	uid_t uid = geteuid();
	gid_t gid = getegid();

	(void)state;
	write_program("rights", &elf, sizeof(elf), 04755);
	assert_string_equal(refused_for(in_directory("rights"), uid, gid), "");
	assert_string_equal(refused_for(in_directory("rights"), uid + 1, gid),
			    "it is set-uid, and such programs are started without LD_PRELOAD");
	write_program("rights", &elf, sizeof(elf), 02755);
	assert_string_equal(refused_for(in_directory("rights"), uid, gid), "");
	assert_string_equal(refused_for(in_directory("rights"), uid, gid + 1),
			    "it is set-gid, and such programs are started without LD_PRELOAD");
	write_program("rights", &elf, sizeof(elf), 0755);
	if (setxattr(in_directory("rights"), "security.capability", capability, sizeof(capability),
		     0) == -1)
		return; /* only root may, and not on every file system */
	assert_string_equal(refused_for(in_directory("rights"), 0, 0), "");
	assert_non_null(strstr(refused_for(in_directory("rights"), NOBODY, NOBODY),
			       "it has capabilities of its own (setcap)"));
}

/* ---- addresses ---- */

/* A socket of those that were given, without there being one. */
static void give(const char *text, unsigned port, bool ipv6_only)
{
	struct given *given = &list[n_list++];
	struct sockaddr_in6 *v6 = (void *)&given->address;
	struct sockaddr_in *v4 = (void *)&given->address;

	*given = (struct given){.fd = (int)n_list, .type = SOCK_STREAM, .ipv6_only = ipv6_only};
	if (strchr(text, ':') != NULL) {
		given->len = sizeof(*v6);
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					    .sin6_port = htons((uint16_t)port)};
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	} else {
		given->len = sizeof(*v4);
		*v4 =
		    (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
	}
}

/* The place among those given of what an address means; -1: none. */
static int meant_by(const char *text, unsigned port, int type)
{
	const struct given *found;
	struct given asked;

	give(text, port, false);
	asked = list[--n_list];
	found = given_find(type, &asked.address.any, asked.len);
	return found == NULL ? -1 : (int)(found - list);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *given[3]; /* "6:" before one that leaves IPv4 to others */
		const char *asked;
		int meant;
	} rows[] = {
	    {{"127.0.0.1"}, "127.0.0.1", 0},
	    {{"127.0.0.1"}, "127.0.0.2", -1},
	    {{"10.0.0.1", "127.0.0.1"}, "127.0.0.1", 1},
	    {{"127.0.0.1"}, "::ffff:127.0.0.1", 0},
	    {{"::ffff:10.0.0.1"}, "10.0.0.1", 0},
	    {{"2001:db8::1"}, "2001:db8::1", 0},
	    {{"2001:db8::1"}, "2001:db8::2", -1},
	    /* all addresses */
	    {{"0.0.0.0"}, "0.0.0.0", 0},
	    {{"0.0.0.0"}, "::", 0},
	    {{"::"}, "0.0.0.0", 0},
	    {{"0.0.0.0"}, "::ffff:0.0.0.0", 0},
	    {{"6:::", "0.0.0.0"}, "0.0.0.0", 1},
	    {{"0.0.0.0", "6:::"}, "::", 1},
	    {{"127.0.0.1"}, "0.0.0.0", 0},
	    {{"127.0.0.1"}, "::", 0},
	    {{"2001:db8::1"}, "::", 0},
	    {{"127.0.0.1", "10.0.0.1"}, "0.0.0.0", -1},
	    {{"127.0.0.1", "10.0.0.1", "10.0.0.2"}, "::", -1},
	    {{"127.0.0.1", "10.0.0.1", "6:::"}, "::", 2},
	    /* one address is not all of them */
	    {{"0.0.0.0"}, "127.0.0.1", -1},
	    {{"::"}, "::1", -1},
	    /* localhost */
	    {{"127.0.0.1"}, "::1", 0},
	    {{"::1"}, "127.0.0.1", 0},
	    {{"::1", "127.0.0.1"}, "127.0.0.1", 1},
	    {{"10.0.0.1"}, "::1", -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		n_list = 0;
		for (size_t n = 0; n < 3 && rows[i].given[n] != NULL; n++) {
			bool only = strncmp(rows[i].given[n], "6:", 2) == 0;

			give(rows[i].given[n] + (only ? 2 : 0), 80, only);
		}
		if (meant_by(rows[i].asked, 80, SOCK_STREAM) != rows[i].meant)
			fail_msg("row %zu: %s means %d", i, rows[i].asked,
				 meant_by(rows[i].asked, 80, SOCK_STREAM));
		assert_int_equal(meant_by(rows[i].asked, 81, SOCK_STREAM), -1);
		assert_int_equal(meant_by(rows[i].asked, 0, SOCK_STREAM), -1);
		assert_int_equal(meant_by(rows[i].asked, 80, SOCK_DGRAM), -1);
	}
	n_list = 0;
}

/* HANDOVER_BIND, and descriptors that are what it says, or are not. */
static void test_reading(void **state)
{
	int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
	struct stat st_one, st_two;
	char text[128];

	(void)state;
	assert_int_equal(fstat(one, &st_one) | fstat(two, &st_two), 0);
	snprintf(text, sizeof(text), "%d:%lu %d:%lu 999:1 %d:%lu", one,
		 (unsigned long)st_one.st_ino, two, (unsigned long)st_one.st_ino, two,
		 (unsigned long)st_two.st_ino);
	setenv("HANDOVER_BIND", text, 1);
	given_read();
	assert_int_equal(n_list, 2);
	assert_ptr_equal(given_behind(one), &list[0]);
	assert_ptr_equal(given_behind(two), &list[1]);
	assert_ptr_equal(given_behind(list[0].fd), &list[0]);
	assert_null(given_behind(0));
	assert_null(given_behind(-1));
	assert_true(given_is_copy(list[0].fd) && !given_is_copy(one));
	assert_int_equal(given_next_copy((unsigned)list[0].fd + 1), list[1].fd);
	assert_int_equal(given_next_copy((unsigned)list[1].fd + 1), -1);
	for (size_t i = 0; i < 2; i++)
		close(list[i].fd);
	n_list = 0;
	for (const char *const *bad = (const char *const[]){"", "x", "3", "3:", ":3", "3:x",
							    "99999999999999999999:1", NULL};
	     *bad != NULL; bad++) {
		setenv("HANDOVER_BIND", *bad, 1);
		given_read();
		assert_int_equal(n_list, 0);
	}
	close(one);
	close(two);
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
	    cmocka_unit_test(test_programs),  cmocka_unit_test(test_broken_programs),
	    cmocka_unit_test(test_scripts),   cmocka_unit_test(test_rights),
	    cmocka_unit_test(test_addresses), cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
