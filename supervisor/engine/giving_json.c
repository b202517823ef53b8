/* giving_json.c - the messages of sockets.sock as JSON. */
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_json_internal.h"
#include "engine/giving.h"

enum { GIVING_VERSION = 1, TAKING_ERROR_MAX = 512 };

static const char *const purposes[] = {
    [GIVING_EXEC] = "exec", [GIVING_MOVE] = "move", [GIVING_INSTANCE] = "instance"};

/* A slot may follow a name. */
static const char name_characters[] =
    "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

static bool refuse(json_t *object, const char **ret_why, const char *why)
{
	json_decref(object);
	*ret_why = why;
	return false;
}

/* The other side may write anything: what is kept of it goes into a line of our log. */
static void take_line(const json_t *object, const char *member, char *line, size_t size)
{
	const char *text = json_string_value(json_object_get(object, member));

	parse_copy_line(text, text != NULL ? strlen(text) : 0, line, size);
}

static bool take_purpose(const json_t *object, enum giving_purpose *ret_purpose)
{
	const char *word = json_string_value(json_object_get(object, "for"));

	for (size_t n = 0; word != NULL && n < ARRAY_LEN(purposes); n++)
		if (strcmp(word, purposes[n]) == 0) {
			*ret_purpose = (enum giving_purpose)n;
			return true;
		}
	return false;
}

static bool take_names(const json_t *object, struct giving_ask *ask)
{
	const json_t *names = json_object_get(object, "names");
	size_t n = json_array_size(names);

	if (n == 0 || n > GIVING_NAMES_MAX)
		return false;
	for (ask->n = 0; ask->n < n; ask->n++) {
		const char *name = json_string_value(json_array_get(names, ask->n));

		if (name == NULL || *name == '\0' || strlen(name) > GIVING_NAME_MAX ||
		    name[strspn(name, name_characters)] != '\0')
			return false;
		strcpy(ask->names[ask->n], name);
	}
	return true;
}

bool giving_parse_ask(const char *text, size_t len, struct giving_ask *ret_ask,
		      const char **ret_why)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *kind = json_string_value(json_object_get(object, "kind"));

	if (!json_is_object(object))
		return refuse(object, ret_why, "no JSON object");
	if (json_integer_value(json_object_get(object, "version")) != GIVING_VERSION)
		return refuse(object, ret_why, "no \"version\": 1");
	if (kind == NULL || strcmp(kind, "take") != 0)
		return refuse(object, ret_why, "its \"kind\" is not \"take\"");
	if (!take_purpose(object, &ret_ask->purpose))
		return refuse(object, ret_why, "\"for\" is none of exec, move and instance");
	if (!take_names(object, ret_ask))
		return refuse(object, ret_why, "\"names\" is no list of 1 to 64 names of sockets");
	if (ret_ask->purpose == GIVING_INSTANCE && ret_ask->n != 1)
		return refuse(object, ret_why, "an instance takes one socket a connection");
	take_line(object, "who", ret_ask->who, sizeof(ret_ask->who));
	json_decref(object);
	return true;
}

static char *dump(json_t *object)
{
	char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

char *giving_text_sockets(const char *instance, const char *const *names, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	return dump(json_pack("{s:i, s:s, s:s, s:o}", "version", GIVING_VERSION, "kind", "sockets",
			      "instance", instance, "names", list));
}

char *giving_text_refused(const char *sentence)
{
	json_t *object = json_pack("{s:i, s:s, s:s}", "version", GIVING_VERSION, "kind", "refused",
				   "error", "refused");
	json_t *text = json_string(sentence); /* NULL: a name in it is no UTF-8 */

	if (text != NULL)
		json_object_set_new(object, "error", text);
	return dump(object);
}

char *giving_text_yours(const char *name)
{
	return dump(json_pack("{s:i, s:s, s:[s]}", "version", GIVING_VERSION, "kind", "yours",
			      "names", name));
}

char *taking_text_ask(const char *name, const char *instance)
{
	return dump(json_pack("{s:i, s:s, s:[s], s:s, s:s}", "version", GIVING_VERSION, "kind",
			      "take", "names", name, "for", purposes[GIVING_INSTANCE], "who",
			      instance));
}

static char *take_error(const json_t *object)
{
	char line[TAKING_ERROR_MAX];

	take_line(object, "error", line, sizeof(line));
	return strdup(line);
}

bool taking_parse(const char *text, size_t len, enum taking_kind *ret_kind, char **ret_error)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *kind = json_string_value(json_object_get(object, "kind"));
	bool good = kind != NULL &&
		    json_integer_value(json_object_get(object, "version")) == GIVING_VERSION;

	*ret_kind = TAKING_NOTHING;
	if (good && strcmp(kind, "sockets") == 0)
		*ret_kind = TAKING_SOCKETS;
	else if (good && strcmp(kind, "yours") == 0)
		*ret_kind = TAKING_YOURS;
	else if (good && strcmp(kind, "refused") == 0)
		*ret_kind = TAKING_REFUSED;
	if (*ret_kind == TAKING_REFUSED)
		*ret_error = take_error(object);
	json_decref(object);
	return good;
}
