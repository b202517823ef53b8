/* api_json_ask.c - what a request asks for: the members of its body. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_json_internal.h"

static const struct member {
	enum api_member bit;
	const char *name;
	json_type type; /* JSON_TRUE: a boolean */
	const char *words;
} members[] = {
    {API_CHANGED, "changed", JSON_TRUE, "true or false"},
    {API_POOL, "pool", JSON_STRING, "the name of a pool"},
    {API_WAIT, "wait", JSON_STRING, "\"committed\" or \"drained\""},
    {API_ABORT, "abort_on_disconnect", JSON_TRUE, "true or false"},
    {API_PROGRESS, "progress", JSON_TRUE, "true or false"},
    {API_NOW, "now", JSON_TRUE, "true or false"},
    {API_SLOT, "slot", JSON_INTEGER, "the number of a slot, from 0"},
    {API_WORKERS, "workers", JSON_INTEGER, "a number of workers, 1 to 10000"},
    {API_SIGNAL, "signal", JSON_STRING, "the name of a signal"},
    {API_ON, "on", JSON_TRUE, "true or false"},
};

static const struct member *member_find(const char *name, unsigned allowed)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((members[i].bit & allowed) != 0 && strcmp(members[i].name, name) == 0)
			return &members[i];
	return NULL;
}

static void explain_unknown(const char *name, unsigned allowed, struct buf *error)
{
	const char *names[ARRAY_LEN(members)];
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((members[i].bit & allowed) != 0)
			names[n++] = members[i].name;
	buf_printf(error, "unknown member '%s'", name);
	near = parse_suggest(name, names, n);
	if (near != NULL) {
		buf_printf(error, "; did you mean '%s'?", near);
		return;
	}
	buf_add_str(error, n > 0 ? "; there are:" : "; this request takes none");
	for (size_t i = 0; i < n; i++)
		buf_printf(error, "%s %s", i > 0 ? "," : "", names[i]);
}

static bool has_type(const struct member *member, const json_t *value)
{
	if (member->type == JSON_TRUE)
		return json_is_boolean(value);
	/* a NUL within a name would end it early */
	if (json_is_string(value))
		return member->type == JSON_STRING &&
		       strlen(json_string_value(value)) == json_string_length(value);
	return json_typeof(value) == member->type;
}

static bool take_number(const json_t *value, json_int_t min, json_int_t max, uint32_t *ret)
{
	if (json_integer_value(value) < min || json_integer_value(value) > max)
		return false;
	*ret = (uint32_t)json_integer_value(value);
	return true;
}

static bool take_text(const json_t *value, char **ret)
{
	*ret = strdup(json_string_value(value));
	return *ret != NULL;
}

static bool take_wait(const json_t *value, bool *ret_drained)
{
	const char *word = json_string_value(value);

	*ret_drained = strcmp(word, "drained") == 0;
	return *ret_drained || strcmp(word, "committed") == 0;
}

/* False: the value is out of range. */
static bool take_member(struct api_ask *ask, const struct member *member, const json_t *value)
{
	ask->given |= member->bit;
	switch (member->bit) {
	case API_CHANGED:
		ask->changed = json_is_true(value);
		return true;
	case API_ABORT:
		ask->abort_on_disconnect = json_is_true(value);
		return true;
	case API_PROGRESS:
		ask->progress = json_is_true(value);
		return true;
	case API_NOW:
		ask->now = json_is_true(value);
		return true;
	case API_ON:
		ask->on = json_is_true(value);
		return true;
	case API_POOL:
		return take_text(value, &ask->pool);
	case API_SIGNAL:
		return take_text(value, &ask->signal);
	case API_WAIT:
		return take_wait(value, &ask->drained);
	case API_SLOT:
		return take_number(value, 0, CONFIG_WORKERS_MAX - 1, &ask->slot);
	case API_WORKERS:
		return take_number(value, 1, CONFIG_WORKERS_MAX, &ask->workers);
	}
	return false;
}

static int take_members(json_t *root, unsigned allowed, unsigned required, struct api_ask *ask,
			struct buf *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(root, name, value)
	{
		const struct member *member = member_find(name, allowed);

		if (member == NULL) {
			explain_unknown(name, allowed, error);
			return -EINVAL;
		}
		if (!has_type(member, value) || !take_member(ask, member, value)) {
			buf_printf(error, "'%s' must be %s", name, member->words);
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((members[i].bit & required & ~ask->given) != 0) {
			buf_printf(error, "'%s' is missing: %s", members[i].name, members[i].words);
			return -EINVAL;
		}
	return 0;
}

int api_json_read_ask(const char *body, size_t len, unsigned allowed, unsigned required,
		      struct api_ask *ret_ask, struct buf *error)
{
	struct api_ask ask = {.slot = CORE_NONE};
	json_error_t problem = {.text = "out of memory"};
	json_t *root;
	int r;

	root = len > 0 ? json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem)
		       : json_object();
	if (root == NULL) {
		buf_printf(error, "the body is no JSON: line %d, column %d: %s", problem.line,
			   problem.column, problem.text);
		return -EINVAL;
	}
	if (json_is_object(root)) {
		r = take_members(root, allowed, required, &ask, error);
	} else {
		buf_add_str(error, "the body must be a JSON object");
		r = -EINVAL;
	}
	json_decref(root);
	if (r < 0)
		api_ask_free(&ask);
	else
		*ret_ask = ask;
	return r;
}

void api_ask_free(struct api_ask *ask)
{
	free(ask->pool);
	free(ask->signal);
	ask->pool = ask->signal = NULL;
}
