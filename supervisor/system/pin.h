/*
 * pin.h - what a version runs, held open, so that it can be started again when its file is no
 * longer at its path: replaced by a rename, deleted, or behind a symlink that was switched.
 *
 * Of a program the file is held; of a script (a first line with "#!") the script and its
 * interpreter, and what is in the script, because nothing keeps people from writing over it.
 */
#ifndef SYSTEM_PIN_H
#define SYSTEM_PIN_H

#include "system/identity.h"

/* A larger script is held, but not copied. */
enum { PIN_COPY_MAX = 256 * 1024 };

struct pin_file {
	char *path;
	int fd;	     /* O_PATH; -1: not held */
	bool remote; /* on a network file system, whose server may be gone */
	struct identity identity;
};

struct pin {
	unsigned refs;
	struct pin_file program; /* what the command names */
	/* Of a script: the program in its first line, as it is written there, and the one argument
	 * that may follow. path NULL: it is no script. */
	struct pin_file interpreter;
	char *argument;
	int copy;		   /* of the script: a sealed memfd(2); -1: none */
	struct pin_file directory; /* where it is started; path NULL: nowhere in particular */
	char *missing;		   /* what is not held, in words; NULL: nothing */
};

/*
 * Symlinks among the directories of path, and in directory (may be NULL), are followed now, once;
 * the last part of path stays as it is, because programs look at the name by which they were
 * called. What cannot be held is no error: `missing` says so. argv: the command, for that.
 * 0 or -ENOMEM.
 */
int pin_new(const char *path, const char *directory, char *const *argv, struct pin **ret_pin);
struct pin *pin_ref(struct pin *pin);
void pin_unref(struct pin *pin); /* accepts NULL */

/* Descriptors that it takes. */
unsigned pin_count(const struct pin *pin);
/* Do both hold the same? Then one of them is enough. */
bool pin_is_same(const struct pin *a, const struct pin *b);

/* How it can be started now. Never waits: of a remote file only what is known here counts, and by
 * descriptor is always right. */
struct pin_way {
	bool moved;		/* the program's path does not lead to it: by descriptor */
	bool interpreter_moved; /* nor the interpreter's */
	bool directory_moved;
	bool copy; /* the script was written over: from the copy */
	bool lost; /* it was written over, and there is no copy: what it was is gone */
};
void pin_look(const struct pin *pin, struct pin_way *ret_way);

#endif
