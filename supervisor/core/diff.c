/* diff.c - what differs between two specifications, two sets of names. */
#include "core/diff.h"

#include <string.h>

enum diff_effect diff_settle(enum diff_effect effect, bool by_channel, bool resized)
{
	return effect == DIFF_SOCKETS && (!by_channel || resized) ? DIFF_REPLACE : effect;
}

static bool diff_is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const struct diff_item *diff_find(const struct diff_item *items, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(items[i].key, key) == 0)
			return &items[i];
	return NULL;
}

/* One of the two may be NULL: the key is only on one side. */
static void diff_add(struct diff *diff, const struct diff_item *old_item,
		     const struct diff_item *new_item)
{
	const struct diff_item *item = new_item != NULL ? new_item : old_item;

	if (item->effect > diff->effect)
		diff->effect = item->effect;
	if (diff->total++ >= DIFF_CHANGES_MAX)
		return;
	diff->changes[diff->n++] = (struct diff_change){
	    .key = item->key,
	    .old_value = old_item != NULL ? old_item->value : NULL,
	    .new_value = new_item != NULL ? new_item->value : NULL,
	    .effect = item->effect,
	};
}

void diff_items(const struct diff_item *old_items, size_t n_old, const struct diff_item *new_items,
		size_t n_new, struct diff *ret_diff)
{
	ret_diff->effect = DIFF_NONE;
	ret_diff->n = ret_diff->total = 0;
	for (size_t i = 0; i < n_old; i++) {
		const struct diff_item *item = diff_find(new_items, n_new, old_items[i].key);

		if (item == NULL || !diff_is_same_text(old_items[i].value, item->value))
			diff_add(ret_diff, &old_items[i], item);
	}
	for (size_t i = 0; i < n_new; i++)
		if (diff_find(old_items, n_old, new_items[i].key) == NULL)
			diff_add(ret_diff, NULL, &new_items[i]);
}

static bool diff_has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

size_t diff_names(const char *const *old_names, size_t n_old, const char *const *new_names,
		  size_t n_new, struct diff_name *ret_names)
{
	size_t n = 0;

	for (size_t i = 0; i < n_old; i++)
		ret_names[n++] = (struct diff_name){
		    .name = old_names[i],
		    .presence =
			diff_has_name(new_names, n_new, old_names[i]) ? DIFF_KEPT : DIFF_REMOVED,
		};
	for (size_t i = 0; i < n_new; i++)
		if (!diff_has_name(old_names, n_old, new_names[i]))
			ret_names[n++] =
			    (struct diff_name){.name = new_names[i], .presence = DIFF_ADDED};
	return n;
}
