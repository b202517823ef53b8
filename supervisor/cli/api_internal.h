/* api_internal.h - what the api*.c files share: members of JSON, with a default where they are
 * missing or of another type than agreed. jansson is known here only. */
#ifndef CLI_API_INTERNAL_H
#define CLI_API_INTERNAL_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "cli/api.h"

static inline const char *get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static inline long get_number(const json_t *object, const char *key, long otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (long)json_integer_value(value) : otherwise;
}

static inline double get_real(const json_t *object, const char *key, double otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

static inline bool get_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static inline int load(const char *text, size_t len, json_t **ret_root)
{
	json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	*ret_root = root;
	return 0;
}

/* Room for a list's elements; *ret_n is their number. */
static inline void *room(const json_t *list, size_t size, size_t *ret_n)
{
	size_t n = json_array_size(list);
	void *memory = calloc(n > 0 ? n : 1, size);

	*ret_n = memory != NULL ? n : 0;
	return memory;
}

/* Caller frees; NULL and 0: no memory. */
struct api_problem *read_problems(const json_t *list, size_t *ret_n);
/* The result's root stays NULL: the strings belong to who has root. */
void read_result(const json_t *root, struct api_result *result);

static inline void read_texts(const json_t *list, const char ***ret_texts, size_t *ret_n)
{
	const char **texts = room(list, sizeof(*texts), ret_n);

	for (size_t i = 0; i < *ret_n; i++) {
		texts[i] = json_string_value(json_array_get(list, i));
		if (texts[i] == NULL)
			texts[i] = "";
	}
	*ret_texts = texts;
}

#endif
