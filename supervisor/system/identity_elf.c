/* identity_elf.c - the build id of an ELF file: elf(5), "Notes". */
#include "system/identity.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	ELF_SEGMENTS_MAX = 64, /* program headers that are looked at */
	ELF_NOTES_MAX = 4096,  /* bytes of one segment of notes */
};

/* A segment of notes, the same for both classes. */
struct elf_notes {
	uint64_t offset, size;
};

static bool is_ours(const unsigned char *ident)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return ident[EI_DATA] == ELFDATA2LSB;
#else
	return ident[EI_DATA] == ELFDATA2MSB;
#endif
}

/* False: cut short. */
static bool read_at(int fd, void *data, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX - size && pread(fd, data, size, (off_t)offset) == (ssize_t)size;
}

/* Program header i. Returns false where there is none, or it is no segment of notes. */
static bool find_notes(int fd, bool wide, uint64_t table, unsigned i, struct elf_notes *ret)
{
	if (wide) {
		Elf64_Phdr header;

		if (!read_at(fd, &header, sizeof(header), table + i * sizeof(header)) ||
		    header.p_type != PT_NOTE)
			return false;
		*ret = (struct elf_notes){header.p_offset, header.p_filesz};
	} else {
		Elf32_Phdr header;

		if (!read_at(fd, &header, sizeof(header), table + i * sizeof(header)) ||
		    header.p_type != PT_NOTE)
			return false;
		*ret = (struct elf_notes){header.p_offset, header.p_filesz};
	}
	return true;
}

static size_t aligned(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* Name and description each begin at a multiple of 4; lengths may be anything. */
static int search_notes(const unsigned char *data, size_t len, uint8_t *id, size_t size)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note; /* has the same members in both classes */
		size_t name, description;

		memcpy(&note, data + at, sizeof(note));
		name = at + sizeof(note);
		if (note.n_namesz > len - name || aligned(note.n_namesz) > len - name)
			return 0;
		description = name + aligned(note.n_namesz);
		if (note.n_descsz > len - description)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
		    memcmp(data + name, "GNU", sizeof("GNU")) == 0 && note.n_descsz > 0) {
			size_t n = note.n_descsz < size ? note.n_descsz : size;

			memcpy(id, data + description, n);
			return (int)n;
		}
		if (aligned(note.n_descsz) > len - description)
			return 0;
		at = description + aligned(note.n_descsz);
	}
	return 0;
}

static int read_notes(int fd, const struct elf_notes *notes, uint8_t *id, size_t size)
{
	unsigned char data[ELF_NOTES_MAX];
	size_t len = notes->size < sizeof(data) ? (size_t)notes->size : sizeof(data);
	ssize_t n;

	if (notes->offset > INT64_MAX - sizeof(data))
		return 0;
	n = pread(fd, data, len, (off_t)notes->offset);
	return n > 0 ? search_notes(data, (size_t)n, id, size) : 0;
}

int identity_read_build_id(int fd, uint8_t *id, size_t size)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} header;
	ssize_t n = pread(fd, &header, sizeof(header), 0);
	struct elf_notes notes;
	uint64_t table;
	unsigned count;
	bool wide;
	int r = 0;

	if (n < 0)
		return -errno;
	if (n != sizeof(header) || memcmp(header.ident, ELFMAG, SELFMAG) != 0 ||
	    !is_ours(header.ident))
		return 0;
	wide = header.ident[EI_CLASS] == ELFCLASS64;
	if ((wide ? header.wide.e_phentsize : header.narrow.e_phentsize) !=
	    (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return 0;
	table = wide ? header.wide.e_phoff : header.narrow.e_phoff;
	count = wide ? header.wide.e_phnum : header.narrow.e_phnum;
	if (table > INT64_MAX / 2)
		return 0;
	for (unsigned i = 0; r == 0 && i < count && i < ELF_SEGMENTS_MAX; i++)
		if (find_notes(fd, wide, table, i, &notes))
			r = read_notes(fd, &notes, id, size);
	return r;
}
