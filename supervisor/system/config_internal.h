/*
 * config_internal.h - what the configuration's files share: the table of keys, the texts as they
 * were written, and the steps from one to the other. Nobody but config*.c and keys.c includes this.
 *
 *   config_reader.c    a file -> lines "key = value" with their sections and numbers (inih behind a
 * reader of our own) config_values.c    lines -> one text per key (repeated, replaced, appended,
 * reset) config_types.c, config_lists.c, config_special.c   text -> struct config, and back to a
 * canonical text config_verify.c    what no key alone can get wrong config.c           the order of
 * all that
 */
#ifndef SYSTEM_CONFIG_INTERNAL_H
#define SYSTEM_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/parse.h"
#include "system/config.h"
#include "system/keys.h"

struct key;

enum { CONFIG_READY_FD_MAX = 1023 };

/* How the text of a key becomes a value, and back. */
struct key_type {
	/*
	 * Reads text into object (a struct supervisor_spec, socket_spec or pool_spec). Lists
	 * append. Returns 0, -ENOMEM, or -EINVAL with a sentence's rest in why: "must be between 1
	 * and 4, but is 0".
	 */
	int (*read)(const struct key *key, const char *text, void *object, struct buf *why);
	/* Writes the value in the file's own notation, equal values equally. Nothing for what is
	 * unset. */
	void (*show)(const struct key *key, const void *object, struct buf *out);
	bool list;  /* may be repeated; an empty text empties it (reset is then what does so) */
	bool words; /* splits into words itself, so quotes are left to it */
};

/* One key of the table. */
struct key {
	struct key_info info;
	const struct key_type *type;
	size_t offset;	   /* of the member in the section's struct */
	const char *least; /* limits in the file's own notation, so that people are told them as
			      they would write them */
	const char *most;
	unsigned
	    first; /* choices: the enum value of the first word in info.type; the others follow */
	const char *missing; /* required keys: what to say when there is none */
	bool (*implied)(
	    const void *object); /* required keys: do others that stand before it say it? */
};

/* The member that a key stands for. */
#define FIELD(type_, key_, object_) ((type_ *)(void *)((char *)(object_) + (key_)->offset))
#define FIELD_CONST(type_, key_, object_) \
	((const type_ *)(const void *)((const char *)(object_) + (key_)->offset))

size_t keys_count(void);
const struct key *keys_get(size_t i);
/* The index of a key, or -1. */
int keys_find(enum key_section section, const char *name);
/* Says what is wrong with a name that keys_find() does not know: a later version's, another
 * section's, a slip. */
void keys_explain_unknown(enum key_section section, const char *name, struct buf *out);
/* The type of a choice is its words: "always | on-failure | never". The number of the word, or -1.
 */
int key_choice_find(const char *words, const char *word);
/* The nth word, into text of 32 bytes; "" behind the last. */
const char *key_choice_get(const char *words, unsigned n, char text[static 32]);

/* One text as it was written. */
struct config_text {
	char *text;
	struct config_place place;
};

struct config_entry {
	struct config_text *texts; /* lists have several */
	size_t n;
	struct config_place
	    place; /* of the last line that had the key, also of one that reset it */
};

struct config_section {
	enum key_section kind;
	char *title;		      /* "pool:api" */
	const char *name;	      /* "api", "" for the supervisor */
	struct config_place place;    /* of its first header */
	struct config_place seen;     /* of its header in the file that is being read */
	struct config_entry *entries; /* one per key of the whole table */
	struct config_item *items;    /* effective values */
	size_t n_items;
};

struct config_values {
	char **files; /* names, as places show them */
	size_t n_files;
	struct config_section **sections;
	size_t n_sections;
	bool torn; /* a header or a whole file could not be used: sections may be missing for that
		      reason */
};

/* Reads one file's text (which it changes) into values. place_file is one of values->files. 0 or
 * -ENOMEM. */
int config_reader_run(struct config_values *values, const char *place_file, char *text, size_t len,
		      struct config_problems *problems);

/* Remembers a file's name; NULL: no memory. */
const char *config_values_add_file(struct config_values *values, const char *path);
/*
 * The section that a header names, made if it is new. *ret_section is NULL when the header is wrong
 * or names one that the same file has already; the problem has been added then, and what follows is
 * to be skipped. 0 or -ENOMEM.
 */
int config_values_open(struct config_values *values, const char *title,
		       const struct config_place *place, struct config_problems *problems,
		       struct config_section **ret_section);
struct config_section *config_values_find(const struct config_values *values, const char *title);
/* Takes one line into a section. 0 or -ENOMEM. */
int config_values_set(struct config_section *section, const char *name, const char *value,
		      const struct config_place *place, struct config_problems *problems);
/* A line whose value could not be used: the key is not missing, and may not come again. */
void config_values_note(struct config_section *section, const char *name,
			const struct config_place *place);
/* What was written for a key, and where; texts is NULL if nothing was. */
const struct config_entry *config_values_entry(const struct config_section *section,
					       const char *name);
void config_values_free(struct config_values *values);

/*
 * Length of a value without the blanks behind it, and without the comment (` ;`) where comments are
 * allowed. *ret_quotes tells whether a quote is left open.
 */
size_t config_value_length(const char *text, bool comments, struct parse_quotes *ret_quotes);

/* Fills object from the section's texts and the table's defaults. 0 or -ENOMEM; mistakes go to
 * problems. */
int config_build_section(const struct config_section *section, void *object,
			 struct config_problems *problems);
/* Writes the effective values of object into section->items. 0 or -ENOMEM. */
int config_build_items(struct config_section *section, const void *object);

/* Builds all objects of config from config->values, and their items. 0 or -ENOMEM; mistakes go to
 * problems. */
int config_build(struct config *config, struct config_problems *problems);
int config_build_all_items(struct config *config);

/* Does `compat` say how workers become ready? */
bool config_compat_says_ready(const void *object);
/* What follows from `compat` for the keys `ready` and `drain_signal`, where they were not written.
 */
void config_compat_derive(struct pool_spec *pool, bool ready, bool drain_signal);
/* Words of `compat` whose drain signals differ: a sentence's rest in out, "" if there are none.
 * Returns its text. */
const char *config_compat_disagree(const struct pool_spec *pool, struct buf *out);

/* tcp, http:/PATH, grpc[:SERVICE]; exec: is its caller's, who knows of quotes. 0, -ENOMEM, -EINVAL
 * with a sentence's rest in why; -ENOENT: it is none of them. */
int config_probe_read(const char *text, struct probe_spec *probe, struct buf *why);
void config_probe_show(const struct probe_spec *probe, struct buf *out);
void config_probe_free(struct probe_spec *probe);

/* A pool that is held against what it needs, and where what is wrong with it is told. */
struct config_verify_pool {
	const struct config *config;
	const struct pool_spec *pool;
	const struct config_section *section;
	struct config_problems *problems;
};
/* A mistake of that key: what is wrong, without file and line. */
void config_verify_fail(const struct config_verify_pool *verify, const char *key,
			const char *format, ...) __attribute__((format(printf, 3, 4)));
void config_verify_probe(const struct config_verify_pool *verify);

/* Holds keys and sections against each other. */
void config_verify(const struct config *config, struct config_problems *problems);
void config_verify_sockets(const struct config *config, struct config_problems *problems);

/* ---- config_slots.c ---- */

/* Are the specifiers of a `listen` such as may be there, and is `%n` one of them? */
int config_slots_check(const char *text, bool *ret_per_slot, struct buf *why);
/* The text for one slot. Caller frees. NULL: no memory. */
char *config_slots_expand(const char *text, uint32_t slot);
/* The pool with the most workers of those that use the socket; NULL: none does. */
const struct pool_spec *config_largest_user(const struct config *config, const char *name);
/* config_address.c: an address without specifiers, into kind, host, port and path. */
int config_parse_listen(const char *text, struct socket_spec *spec, struct buf *why);

/* "'text'" with control characters made visible and its end cut off, for sentences. Returns out. */
enum { CONFIG_QUOTE_MAX = 160 };
char *config_quote(const char *text, char out[static CONFIG_QUOTE_MAX]);
#define QUOTE(text) config_quote((text), (char[CONFIG_QUOTE_MAX]){0})

/* Splits a list of names: words as a shell has them, or separated by commas. As parse_words(). */
int config_split_list(const char *text, char ***ret_words, size_t *ret_n, const char **ret_error);
/* Appends words with the quotes that they need to be read back. */
void config_show_words(char *const *words, size_t n, struct buf *out);
void config_show_word(const char *word, struct buf *out);
/* Appends a value that is one text: quoted only where it would not be read back as it is. */
void config_show_text(const char *text, struct buf *out);
/* Writes a duration exactly, in the file's own notation. */
void config_show_duration(usec_t usec, struct buf *out);
/* Appends copies of n words to a NULL-terminated list. 0 or -ENOMEM. */
int config_list_append(char ***list, size_t *n_list, char *const *words, size_t n);
void config_list_free(char **list);

/* "NAME=value" (or NAME alone, up to len bytes): may a worker be given it? -EINVAL says why not in
 * why. */
int config_check_variable(const char *text, struct buf *why);
/* Refuses %-specifiers that config_expand() does not know. */
int config_check_specifiers(const char *text, struct buf *why);

/*
 * HOST:PORT, [V6]:PORT; an empty host and "*" are all addresses. 0, -ENOMEM, or -EINVAL with the
 * sentence's rest in why. The caller frees *ret_host.
 */
int config_parse_address(const char *text, char **ret_host, uint16_t *ret_port, struct buf *why);
/* The same, written canonically. */
void config_show_address(const char *host, uint16_t port, struct buf *out);

/*
 * CPUs that this process may use: the affinity mask, and the bandwidth limits of its cgroup and all
 * above it (cpu.max, or cpu.cfs_quota_us with cgroup v1), rounded up; at least 1. root is put
 * before /proc and /sys ("" except in tests).
 */
unsigned config_count_cpus(const char *root);
/* The limits of the cgroups alone. 0: there is none. */
unsigned config_limit_cpus(const char *root);

/* A command's words. The first is what is executed: the same for all workers, or nobody could check
 * it beforehand. 0, -ENOMEM, or -EINVAL with the sentence's rest in why. Free with
 * config_list_free() or word by word. */
int config_read_words(const char *text, char ***ret_argv, size_t *ret_argc, struct buf *why);

/* Is there no place for the pool's canaries? Then why. */
bool config_explain_canary(const struct pool_spec *pool, struct buf *why);

extern const struct key_type type_number, type_integer, type_duration, type_size, type_octal,
    type_yes_no, type_yes_no_unset, type_signal, type_choice, type_account, type_path, type_amount,
    type_names, type_accounts, type_paths, type_variables, type_success, type_command, type_workers,
    type_ready, type_canary_check, type_probe_address, type_live, type_compat, type_listen,
    type_output, type_address;

#endif
