/* keys.h - the one table of all configuration keys: section, type, range, default, and what a
 * change of it means. */
#ifndef SYSTEM_KEYS_H
#define SYSTEM_KEYS_H

#include <stddef.h>

#include "system/config.h"

enum key_section { KEY_SUPERVISOR, KEY_SOCKET, KEY_POOL };

/* What the outside (man page test, --list-keys, documentation) may know of a key. */
struct key_info {
	enum key_section section;
	const char *name;
	const char
	    *type; /* "duration", "number", "list of names", "always | on-failure | never", ... */
	const char *range;	   /* in words, "" if the type says it all */
	const char *default_value; /* in the file's own notation; "" = unset; NULL = required */
	const char *default_words; /* in words, where the value does not say it: "drain_timeout";
				      else NULL */
	enum config_effect effect;
	const char *summary; /* one line */
};

/* The whole table, in the order in which people are told of it. */
const struct key_info *keys_all(size_t *ret_n);

#endif
