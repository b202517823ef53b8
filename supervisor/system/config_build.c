/* config_build.c - from a section's texts and the table's defaults to plain data, and from there to
 * canonical texts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* Whoever writes `value # comment` means a comment, and would get a value that is not the one
 * meant. */
static bool has_false_comment(const char *text)
{
	struct parse_quotes quotes = {.open = '\0'};
	bool plain, after_blank = false;
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		plain = parse_quotes_step(&quotes, text[i]);
		if (plain && after_blank && text[i] == '#')
			return true;
		after_blank = plain && (text[i] == ' ' || text[i] == '\t');
	}
	return false;
}

/* Reads one text, unquoted where the type does not do that itself. */
static int read_text(const struct key *key, const char *text, void *object, struct buf *why)
{
	cleanup_free char *plain = NULL;
	const char *error = "";
	int r;

	if (has_false_comment(text)) {
		buf_add_str(why, "' #' begins no comment behind a value; write ' ;', or quote it "
				 "if it is meant");
		return -EINVAL;
	}
	if (key->type->words)
		return key->type->read(key, text, object, why);
	r = parse_unquote(text, &plain, &error);
	if (r == 0)
		return key->type->read(key, plain, object, why);
	buf_add_str(why, error);
	return r;
}

/* Reads all texts of one key; a mistake is told with its place. */
static int read_entry(const struct config_section *section, const struct key *key,
		      const struct config_entry *entry, void *object,
		      struct config_problems *problems)
{
	size_t i;
	int r;

	for (i = 0; i < entry->n; i++) {
		cleanup_buf struct buf why = {.data = NULL};

		r = read_text(key, entry->texts[i].text, object, &why);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			config_problem_add(problems, &entry->texts[i].place, false, "[%s] %s: %s",
					   section->title, key->info.name, buf_text(&why));
	}
	return 0;
}

/* Defaults are read as if they had been written, so that the table says them once. */
static int read_default(const struct key *key, void *object)
{
	cleanup_buf struct buf why = {.data = NULL};

	if (*key->info.default_value == '\0')
		return 0;
	return read_text(key, key->info.default_value, object, &why);
}

int config_build_section(const struct config_section *section, void *object,
			 struct config_problems *problems)
{
	const struct config_entry *entry;
	const struct key *key;
	size_t i;
	int r;

	for (i = 0; i < keys_count(); i++) {
		key = keys_get(i);
		entry = &section->entries[i];
		if (key->info.section != section->kind)
			continue;
		r = 0;
		if (entry->n > 0)
			r = read_entry(section, key, entry, object, problems);
		else if (key->info.default_value != NULL)
			r = read_default(key, object);
		else if (entry->place.file == NULL &&
			 (key->implied == NULL || !key->implied(object)))
			config_problem_add(problems, &section->place, false,
					   "[%s] %s: is missing; %s", section->title,
					   key->info.name, key->missing);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_build_items(struct config_section *section, const void *object)
{
	const struct key *key;
	char *fitting;
	size_t i;

	section->items = calloc(keys_count(), sizeof(*section->items));
	if (section->items == NULL)
		return -ENOMEM;
	for (i = 0; i < keys_count(); i++) {
		struct buf value = {.max = CONFIG_FILE_MAX * 4};

		key = keys_get(i);
		if (key->info.section != section->kind)
			continue;
		buf_add(&value, "", 0);
		key->type->show(key, object, &value);
		/* to its size: there are many, and configurations of former versions are kept */
		fitting = value.data != NULL ? realloc(value.data, value.len + 1) : NULL;
		if (fitting != NULL)
			value.data = fitting;
		section->items[section->n_items++] = (struct config_item){
		    .key = key->info.name, .value = value.data, .effect = key->info.effect};
		if (value.cut || value.data == NULL)
			return -ENOMEM;
	}
	return 0;
}
