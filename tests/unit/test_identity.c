/* test_identity.c - which file an executable is, and build ids of whole and broken files. */
#include "unit.h"

#include <elf.h>
#include <fcntl.h>

#include "base/fd.h"
#include "system/identity.h"

static void test_what_changed(void **state)
{
	const struct identity file = {.device = 1, .inode = 2, .size = 3, .mtime_ns = 4};
	const struct identity unknown = {.device = 0};
	struct identity other = file;
	(void)state;

	assert_null(identity_change(&file, &other));
	other.ctime_ns = 9; /* a link more, or less */
	assert_null(identity_change(&file, &other));
	other.inode = 9;
	assert_string_equal(identity_change(&file, &other), "replaced");
	other = file;
	other.device = 9;
	assert_string_equal(identity_change(&file, &other), "replaced");
	other = file;
	other.size = 9;
	assert_string_equal(identity_change(&file, &other), "changed in place");
	other = file;
	other.mtime_ns = -9;
	assert_string_equal(identity_change(&file, &other), "changed in place");
	assert_string_equal(identity_change(&file, &unknown), "gone");
	assert_string_equal(identity_change(&unknown, &file), "appeared");
	assert_null(identity_change(&unknown, &unknown));
	/* each member alone makes a file known */
	for (int n = 0; n < 4; n++) {
		const struct identity known = {
		    .device = n == 0, .inode = n == 1, .size = n == 2, .mtime_ns = n == 3};

		assert_string_equal(identity_change(&known, &unknown), "gone");
	}
}

static void test_same_content(void **state)
{
	const struct identity built = {
	    .inode = 2, .size = 3, .mtime_ns = 4, .build_id = {1, 2}, .build_id_len = 2};
	struct identity other = built, plain = {.inode = 2, .size = 3, .mtime_ns = 4}, touched;
	(void)state;

	other.mtime_ns = 5; /* touch */
	assert_true(identity_has_same_content(&built, &other));
	other.build_id[1] = 3;
	assert_false(identity_has_same_content(&built, &other));
	other = built;
	other.size = 9;
	assert_false(identity_has_same_content(&built, &other));
	other = built;
	other.inode = 9;
	assert_false(identity_has_same_content(&built, &other));
	other = built;
	other.build_id_len = 0;
	assert_false(identity_has_same_content(&built, &other));
	touched = plain;
	assert_true(identity_has_same_content(&plain, &touched));
	touched.mtime_ns = 5;
	assert_false(identity_has_same_content(&plain, &touched));
}

/* --- files --- */

static char directory[] = "/tmp/identity.XXXXXX";
static char file_path[sizeof(directory) + 8];

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(file_path, sizeof(file_path), "%s/file", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file_path);
	return rmdir(directory);
}

static void write_file(const void *data, size_t size)
{
	int fd = open(file_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

/* As file(1) and `readelf -n` show it; this test was linked with one. */
static void test_of_a_program(void **state)
{
	struct identity ours, held;
	char text[IDENTITY_BUILD_ID_TEXT];
	int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	struct stat st;
	(void)state;

	assert_int_equal(identity_read_path("/proc/self/exe", &ours), 0);
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_true(identity_is_known(&ours));
	assert_int_equal(ours.inode, st.st_ino);
	assert_int_equal(ours.size, st.st_size);
	assert_int_equal(identity_read(fd, &held), 0);
	assert_true(identity_is_same_file(&ours, &held));
	assert_null(identity_change(&ours, &held));
	assert_true(identity_has_same_content(&ours, &held));
	identity_format_build_id(&ours, text);
	assert_int_equal(strlen(text), 2 * ours.build_id_len);
	close(fd);
	assert_int_equal(identity_read_path("/no/such/file", &ours), -ENOENT);
}

/* --- ELF files, made by hand --- */

struct elf64 {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	struct {
		Elf64_Nhdr head;
		char name[4];
		unsigned char description[20];
	} notes[2];
};

static struct elf64 good_elf(void)
{
	struct elf64 elf = {
	    .header = {.e_phoff = offsetof(struct elf64, segments),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2},
	    .segments = {{.p_type = PT_LOAD},
			 {.p_type = PT_NOTE,
			  .p_offset = offsetof(struct elf64, notes),
			  .p_filesz = sizeof(elf.notes)}},
	    .notes = {{.head = {4, 20, 7}, .name = "abc"},
		      {.head = {4, 20, NT_GNU_BUILD_ID},
		       .name = "GNU",
		       .description = {0xde, 0xad, 0xbe, 0xef}}},
	};

	memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
	elf.header.e_ident[EI_CLASS] = ELFCLASS64;
	elf.header.e_ident[EI_DATA] =
	    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	return elf;
}

static int read_id(const void *data, size_t size, uint8_t id[IDENTITY_BUILD_ID_MAX])
{
	int fd, r;

	write_file(data, size);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	memset(id, 0xaa, IDENTITY_BUILD_ID_MAX);
	r = identity_read_build_id(fd, id, IDENTITY_BUILD_ID_MAX);
	close(fd);
	return r;
}

static void test_build_id(void **state)
{
	struct elf64 elf = good_elf();
	uint8_t id[IDENTITY_BUILD_ID_MAX];
	struct identity identity;
	char text[IDENTITY_BUILD_ID_TEXT];
	int fd;
	(void)state;

	assert_int_equal(read_id(&elf, sizeof(elf), id), 20);
	assert_memory_equal(id, elf.notes[1].description, 20);
	assert_int_equal(identity_read_path(file_path, &identity), 0);
	assert_string_equal(identity_format_build_id(&identity, text),
			    "deadbeef00000000000000000000000000000000");
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(identity_read_build_id(fd, id, 2), 2); /* the rest is cut off */
	close(fd);
}

/* Each is a file without a build id; none is read beyond its end or for ever. */
static void test_broken_files(void **state)
{
	uint8_t id[IDENTITY_BUILD_ID_MAX];
	struct elf64 elf;
	(void)state;

#define WITHOUT(change)                                              \
	do {                                                         \
		elf = good_elf();                                    \
		change;                                              \
		assert_int_equal(read_id(&elf, sizeof(elf), id), 0); \
	} while (0)
	WITHOUT(elf.header.e_ident[0] = 'x');
	WITHOUT(elf.header.e_ident[EI_DATA] = 3);
	WITHOUT(elf.header.e_ident[EI_CLASS] = ELFCLASS32);
	WITHOUT(elf.header.e_phnum = 1);
	WITHOUT(elf.header.e_phnum = 0);
	WITHOUT(elf.header.e_phoff = UINT64_MAX);
	WITHOUT(elf.header.e_phoff = sizeof(elf));
	WITHOUT(elf.header.e_phentsize = 1);
	WITHOUT(elf.segments[1].p_type = PT_LOAD);
	WITHOUT(elf.segments[1].p_offset = UINT64_MAX);
	WITHOUT(elf.segments[1].p_offset = INT64_MAX);
	WITHOUT(elf.segments[1].p_offset = sizeof(elf));
	WITHOUT(elf.segments[1].p_filesz = 0);
	WITHOUT(elf.segments[1].p_filesz = 11);
	WITHOUT(elf.notes[0].head.n_namesz = UINT32_MAX);
	WITHOUT(elf.notes[0].head.n_descsz = UINT32_MAX);
	WITHOUT(elf.notes[0].head.n_descsz = UINT32_MAX - 2);
	WITHOUT(elf.notes[1].head.n_descsz = 0);
	WITHOUT(elf.notes[1].head.n_descsz = 21);
	WITHOUT(elf.notes[1].head.n_namesz = 3);
	WITHOUT(elf.notes[1].head.n_type = 4);
	WITHOUT(elf.notes[1].name[0] = 'X');
	/* too far for a file of thousands of segments, but not wrong */
	elf = good_elf();
	elf.header.e_phnum = UINT16_MAX;
	elf.segments[1].p_filesz = UINT64_MAX;
	assert_int_equal(read_id(&elf, sizeof(elf), id), 20);
	for (size_t size = 0; size < sizeof(elf); size++) {
		elf = good_elf();
		assert_int_equal(read_id(&elf, size, id), 0);
	}
	assert_int_equal(read_id("#!/bin/sh\n", 10, id), 0);
}

/* Anything may be in it: what matters is what the sanitizers say. */
static void test_noise(void **state)
{
	uint8_t id[IDENTITY_BUILD_ID_MAX];
	uint64_t seed = 4711;
	(void)state;

	for (int round = 0; round < 2000; round++) {
		struct elf64 elf = good_elf();
		unsigned char *bytes = (unsigned char *)&elf;

		for (int n = 0; n < 4; n++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[(seed >> 33) % sizeof(elf)] = (unsigned char)(seed >> 56);
		}
		assert_in_range(read_id(&elf, sizeof(elf), id), 0, IDENTITY_BUILD_ID_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_changed), cmocka_unit_test(test_same_content),
	    cmocka_unit_test(test_of_a_program), cmocka_unit_test(test_build_id),
	    cmocka_unit_test(test_broken_files), cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("identity", tests, set_up, tear_down);
}
