/* channel_json.c - the channel's messages as JSON. */
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "engine/api_json_internal.h"
#include "engine/channel.h"

enum { CHANNEL_VERSION = 1 };

static bool refuse(json_t *object, const char **ret_why, const char *why)
{
	json_decref(object);
	*ret_why = why;
	return false;
}

/* As a status by NOTIFY_SOCKET is taken: whole characters only, and control characters are blanks.
 */
static void take_status(const json_t *object, char status[static NOTIFY_STATUS_MAX])
{
	const char *text = json_string_value(json_object_get(object, "text"));

	parse_copy_line(text, text != NULL ? strlen(text) : 0, status, NOTIFY_STATUS_MAX);
}

static enum channel_kind kind_of(const char *word)
{
	static const char *const words[] = {
	    [CHANNEL_HELLO] = "hello",	       [CHANNEL_READY] = "ready",
	    [CHANNEL_STATUS] = "status",       [CHANNEL_INFLIGHT] = "inflight",
	    [CHANNEL_ACCEPTING] = "accepting", [CHANNEL_AGAIN] = "again",
	};

	for (size_t n = CHANNEL_HELLO; n < ARRAY_LEN(words); n++)
		if (strcmp(word, words[n]) == 0)
			return (enum channel_kind)n;
	return CHANNEL_NOTHING;
}

static uint64_t take_set(const json_t *object)
{
	json_int_t set = json_integer_value(json_object_get(object, "set"));

	return set > 0 ? (uint64_t)set : 0;
}

bool channel_parse(const char *text, size_t len, struct channel_message *ret_message,
		   const char **ret_why)
{
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *kind = json_string_value(json_object_get(object, "kind"));
	struct channel_message message = {.kind = CHANNEL_NOTHING};

	if (!json_is_object(object))
		return refuse(object, ret_why, "no JSON object");
	if (json_integer_value(json_object_get(object, "version")) != CHANNEL_VERSION)
		return refuse(object, ret_why, "no \"version\": 1");
	if (kind == NULL)
		return refuse(object, ret_why, "no \"kind\"");
	message.kind = kind_of(kind);
	message.answers = json_is_true(json_object_get(object, "answers"));
	message.set = take_set(object);
	if (message.kind == CHANNEL_STATUS)
		take_status(object, message.status);
	json_decref(object);
	*ret_message = message;
	return true;
}

static char *dump(json_t *object)
{
	char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

char *channel_text_sockets(const char *const *names, size_t n, uint64_t set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	return dump(json_pack("{s:i, s:s, s:o, s:I}", "version", CHANNEL_VERSION, "kind", "sockets",
			      "names", list, "set", (json_int_t)set));
}

char *channel_text_ask_page(void)
{
	return dump(json_pack("{s:i, s:s}", "version", CHANNEL_VERSION, "kind", "inflight"));
}

char *channel_text_lame_duck(usec_t deadline)
{
	return dump(json_pack("{s:i, s:s, s:I}", "version", CHANNEL_VERSION, "kind", "lameduck",
			      "deadline_usec", (json_int_t)deadline));
}

/* A worker needs no more of the reason than whether a successor serves. */
static const char *drain_word(enum end_reason reason)
{
	switch (reason) {
	case END_RELOAD:
		return "reload";
	case END_RESTART:
		return "restart";
	case END_SCALE:
		return "scale";
	case END_STOP:
		return "stop";
	case END_REMOVED:
		return "removed";
	case END_UNDO:
	case END_CRASH_LOOP:
	case END_START_TIMEOUT:
	case END_WATCHDOG:
	case END_NOT_LIVE:
	case END_OWN_WISH:
	case END_NONE:
		break;
	}
	return "undo";
}

char *channel_text_drain(enum end_reason reason, usec_t deadline)
{
	return dump(json_pack("{s:i, s:s, s:s, s:I}", "version", CHANNEL_VERSION, "kind", "drain",
			      "reason", drain_word(reason), "deadline_usec", (json_int_t)deadline));
}
