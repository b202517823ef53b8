/* config_values.c - one text per section and key: what may be repeated, what replaces, what is
 * added, what is emptied. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

const char *config_values_add_file(struct config_values *values, const char *path)
{
	char **files = reallocarray(values->files, values->n_files + 1, sizeof(*files));

	if (files == NULL)
		return NULL;
	values->files = files;
	files[values->n_files] = strdup(path);
	if (files[values->n_files] == NULL)
		return NULL;
	return files[values->n_files++];
}

struct config_section *config_values_find(const struct config_values *values, const char *title)
{
	size_t i;

	for (i = 0; i < values->n_sections; i++)
		if (strcmp(values->sections[i]->title, title) == 0)
			return values->sections[i];
	return NULL;
}

static void explain_unknown_section(const char *title, struct buf *out)
{
	static const char *const kinds[] = {"supervisor", "socket", "pool"};
	size_t kind_len = strcspn(title, ":");
	cleanup_free char *kind = strndup(title, kind_len);
	const char *near = kind != NULL ? parse_suggest(kind, kinds, ARRAY_LEN(kinds)) : NULL;

	buf_printf(out, "%s: unknown section; ", QUOTE(title));
	if (near == NULL)
		buf_add_str(out, "there are [supervisor], [socket:NAME] and [pool:NAME]");
	else if (strcmp(near, "supervisor") == 0)
		buf_add_str(out, "did you mean [supervisor]?");
	else
		buf_printf(out, "did you mean [%s:%s]?", near,
			   title[kind_len] == ':' ? title + kind_len + 1 : "NAME");
}

static bool is_section_name(const char *name)
{
	static const char letters_and_digits[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t i;

	if (*name == '\0' || strchr(letters_and_digits, *name) == NULL)
		return false;
	for (i = 1; name[i] != '\0'; i++)
		if (strchr(letters_and_digits, name[i]) == NULL && strchr("_.-", name[i]) == NULL)
			return false;
	return true;
}

/* Takes "pool:api" apart. -EINVAL with a sentence in why. */
static int parse_title(const char *title, enum key_section *ret_kind, const char **ret_name,
		       struct buf *why)
{
	const char *name = strchr(title, ':');
	size_t kind_len = name != NULL ? (size_t)(name - title) : strlen(title);

	if (strcmp(title, "supervisor") == 0) {
		*ret_kind = KEY_SUPERVISOR;
		*ret_name = "";
		return 0;
	}
	if (kind_len == 10 && strncmp(title, "supervisor:", 11) == 0) {
		buf_add_str(why, "[supervisor] has no name, since there is only one");
		return -EINVAL;
	}
	if (kind_len == 4 && strncmp(title, "pool", 4) == 0) {
		*ret_kind = KEY_POOL;
	} else if (kind_len == 6 && strncmp(title, "socket", 6) == 0) {
		*ret_kind = KEY_SOCKET;
	} else {
		explain_unknown_section(title, why);
		return -EINVAL;
	}
	if (name == NULL || name[1] == '\0') {
		buf_printf(why, "[%.*s] needs a name: [%.*s:NAME]", (int)kind_len, title,
			   (int)kind_len, title);
		return -EINVAL;
	}
	if (strlen(name + 1) > CONFIG_NAME_MAX) {
		buf_printf(why, "the name %s is longer than %d characters", QUOTE(name + 1),
			   CONFIG_NAME_MAX);
		return -EINVAL;
	}
	if (!is_section_name(name + 1)) {
		buf_printf(why,
			   "the name %s is wrong: it may have letters, digits, '_', '.' and '-', "
			   "and begins with a letter or digit",
			   QUOTE(name + 1));
		return -EINVAL;
	}
	*ret_name = name + 1;
	return 0;
}

static size_t count_kind(const struct config_values *values, enum key_section kind)
{
	size_t i, n = 0;

	for (i = 0; i < values->n_sections; i++)
		n += values->sections[i]->kind == kind;
	return n;
}

static void free_section(struct config_section *section)
{
	size_t i, j;

	if (section == NULL)
		return;
	for (i = 0; section->entries != NULL && i < keys_count(); i++) {
		for (j = 0; j < section->entries[i].n; j++)
			free(section->entries[i].texts[j].text);
		free(section->entries[i].texts);
	}
	for (i = 0; i < section->n_items; i++)
		free(section->items[i].value);
	free(section->items);
	free(section->entries);
	free(section->title);
	free(section);
}

static int add_section(struct config_values *values, const char *title,
		       const struct config_place *place, enum key_section kind,
		       struct config_section **ret_section)
{
	struct config_section **sections, *section;

	sections =
	    reallocarray(values->sections, values->n_sections + 1, sizeof(struct config_section *));
	if (sections == NULL)
		return -ENOMEM;
	values->sections = sections;
	section = calloc(1, sizeof(*section));
	if (section == NULL)
		return -ENOMEM;
	section->kind = kind;
	section->title = strdup(title);
	section->entries = calloc(keys_count(), sizeof(*section->entries));
	if (section->title == NULL || section->entries == NULL) {
		free_section(section);
		return -ENOMEM;
	}
	section->name = kind == KEY_SUPERVISOR ? "" : strchr(section->title, ':') + 1;
	section->place = *place;
	section->seen = *place;
	sections[values->n_sections++] = section;
	*ret_section = section;
	return 0;
}

int config_values_open(struct config_values *values, const char *title,
		       const struct config_place *place, struct config_problems *problems,
		       struct config_section **ret_section)
{
	cleanup_buf struct buf why = {.data = NULL};
	struct config_section *section;
	enum key_section kind;
	const char *name;
	size_t limit;

	*ret_section = NULL;
	if (parse_title(title, &kind, &name, &why) < 0) {
		config_problem_add(problems, place, false, "%s", buf_text(&why));
		return 0;
	}
	section = config_values_find(values, title);
	if (section != NULL) {
		if (section->seen.file == place->file) {
			config_problem_add(problems, place, false,
					   "[%s] stands here again; it began at line %u", title,
					   section->seen.line);
			return 0;
		}
		section->seen = *place;
		*ret_section = section;
		return 0;
	}
	limit = kind == KEY_POOL ? CONFIG_POOLS_MAX : CONFIG_SOCKETS_MAX;
	if (kind != KEY_SUPERVISOR && count_kind(values, kind) >= limit) {
		config_problem_add(problems, place, false,
				   "[%s] is one too many: there can be %zu %s", title, limit,
				   kind == KEY_POOL ? "pools" : "sockets");
		return 0;
	}
	return add_section(values, title, place, kind, ret_section);
}

static void empty_entry(struct config_entry *entry)
{
	size_t i;

	for (i = 0; i < entry->n; i++)
		free(entry->texts[i].text);
	free(entry->texts);
	entry->texts = NULL;
	entry->n = 0;
}

static int add_text(struct config_entry *entry, const char *value, const struct config_place *place)
{
	struct config_text *texts = reallocarray(entry->texts, entry->n + 1, sizeof(*texts));

	if (texts == NULL)
		return -ENOMEM;
	entry->texts = texts;
	texts[entry->n].text = strdup(value);
	if (texts[entry->n].text == NULL)
		return -ENOMEM;
	texts[entry->n++].place = *place;
	return 0;
}

int config_values_set(struct config_section *section, const char *name, const char *value,
		      const struct config_place *place, struct config_problems *problems)
{
	cleanup_buf struct buf why = {.data = NULL};
	int i = keys_find(section->kind, name);
	struct config_entry *entry;
	bool list;

	if (i < 0) {
		keys_explain_unknown(section->kind, name, &why);
		config_problem_add(problems, place, false, "[%s] %s: %s", section->title, name,
				   buf_text(&why));
		return 0;
	}
	entry = &section->entries[i];
	list = keys_get((size_t)i)->type->list;
	if (!list && entry->place.file == place->file) {
		config_problem_add(problems, place, false,
				   "[%s] %s: stands here again; it was set at line %u",
				   section->title, name, entry->place.line);
		return 0;
	}
	if (!list && *value == '\0') {
		entry->place = *place;
		config_problem_add(
		    problems, place, false,
		    "[%s] %s: has no value; without the line it would have its default",
		    section->title, name);
		return 0;
	}
	entry->place = *place;
	if (!list || *value == '\0')
		empty_entry(entry);
	return *value == '\0' ? 0 : add_text(entry, value, place);
}

void config_values_note(struct config_section *section, const char *name,
			const struct config_place *place)
{
	int i = keys_find(section->kind, name);

	if (i >= 0)
		section->entries[i].place = *place;
}

const struct config_entry *config_values_entry(const struct config_section *section,
					       const char *name)
{
	int i = keys_find(section->kind, name);

	return i < 0 ? NULL : &section->entries[i];
}

void config_values_free(struct config_values *values)
{
	size_t i;

	if (values == NULL)
		return;
	for (i = 0; i < values->n_sections; i++)
		free_section(values->sections[i]);
	for (i = 0; i < values->n_files; i++)
		free(values->files[i]);
	free(values->sections);
	free(values->files);
	free(values);
}
