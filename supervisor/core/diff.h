/* diff.h - what differs between two specifications. Pure. */
#ifndef CORE_DIFF_H
#define CORE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a changed value means at a reload, from the weakest to the strongest. DIFF_SOCKETS: workers
 * can be told of it over their channel; otherwise they are replaced. */
enum diff_effect {
	DIFF_NONE,
	DIFF_UPDATE,
	DIFF_SCALE,
	DIFF_SOCKETS,
	DIFF_REPLACE,
	DIFF_RESTART,
};

/* What is done about it in a pool. by_channel: all of its workers can be told of other sockets;
 * resized: it gets another size as well, which takes new workers anyway. */
enum diff_effect diff_settle(enum diff_effect effect, bool by_channel, bool resized);

/* One key with its effective value, in canonical form; strings are the caller's and stay. */
struct diff_item {
	const char *key;
	const char *value;
	enum diff_effect effect; /* of a change */
};

enum { DIFF_CHANGES_MAX = 64 };

struct diff_change {
	const char *key;
	const char *old_value, *new_value; /* NULL: was not there, is no longer there */
	enum diff_effect effect;
};

struct diff {
	enum diff_effect effect; /* the strongest of all */
	struct diff_change changes[DIFF_CHANGES_MAX];
	size_t n; /* of changes kept; more than DIFF_CHANGES_MAX are only counted in total */
	size_t total;
};

/* Compares two lists by key (the order does not matter). */
void diff_items(const struct diff_item *old_items, size_t n_old, const struct diff_item *new_items,
		size_t n_new, struct diff *ret_diff);

/* In which of two sets a name is. */
enum diff_presence { DIFF_KEPT, DIFF_REMOVED, DIFF_ADDED };

struct diff_name {
	const char *name; /* the caller's string; of the old set where it is in both */
	enum diff_presence presence;
};

/* Compares two sets of names: first those of the old set in its order, then what is only in the new
 * one. ret_names has room for n_old + n_new; returns how many it got. */
size_t diff_names(const char *const *old_names, size_t n_old, const char *const *new_names,
		  size_t n_new, struct diff_name *ret_names);

#endif
