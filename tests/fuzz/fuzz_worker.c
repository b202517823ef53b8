/* fuzz_worker.c - what a master says, as libhandover reads it: bounded; and whatever it takes, a
 * parser of the whole of JSON takes, too, and finds the same in it. */
#include "fuzz.h"

#include <jansson.h>

#include "worker/handover_internal.h"

static void check_names(const struct worker_message *message, const json_t *names, size_t len)
{
	const json_t *name;
	size_t n;

	FUZZ_RULE(json_array_size(names) == message->n_names);
	json_array_foreach(names, n, name)
	{
		FUZZ_RULE(strlen(message->names[n]) < len);
		FUZZ_RULE(strcmp(json_string_value(name), message->names[n]) == 0);
	}
}

static void check_same(const struct worker_message *message, const json_t *object, size_t len)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	const json_t *deadline = json_object_get(object, "deadline_usec");
	const json_t *set = json_object_get(object, "set");

	FUZZ_RULE(json_integer_value(json_object_get(object, "version")) == 1 && kind != NULL);
	FUZZ_RULE((strcmp(kind, "drain") == 0) == (message->kind == WORKER_DRAIN));
	FUZZ_RULE((strcmp(kind, "sockets") == 0) == (message->kind == WORKER_SOCKETS));
	FUZZ_RULE((strcmp(kind, "lameduck") == 0) == (message->kind == WORKER_LAME_DUCK));
	FUZZ_RULE((strcmp(kind, "inflight") == 0) == (message->kind == WORKER_PAGE));
	FUZZ_RULE(message->set == (set == NULL ? 0
				   : json_integer_value(set) < 0
				       ? UINT64_MAX
				       : (uint64_t)json_integer_value(set)));
	FUZZ_RULE(message->deadline == (deadline == NULL || json_integer_value(deadline) < 0
					    ? UINT64_MAX
					    : (uint64_t)json_integer_value(deadline)));
	check_names(message, json_object_get(object, "names"), len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct worker_message message;
	json_error_t error;
	json_t *object;

	memset(&message, 0xaa, sizeof(message));
	if (!worker_parse((const char *)data, len, &message))
		return 0;
	object = json_loadb((const char *)data, len, 0, &error);
	/* jansson is stricter about UTF-8, and knows no numbers above 63 bits */
	if (object != NULL)
		check_same(&message, object, len);
	else
		FUZZ_RULE(json_error_code(&error) == json_error_invalid_utf8 ||
			  json_error_code(&error) == json_error_numeric_overflow);
	json_decref(object);
	return 0;
}
