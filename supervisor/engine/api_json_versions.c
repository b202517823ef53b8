/* api_json_versions.c - what a pool runs, what it could go back to, and what has failed. */
#include "base/fd.h"
#include "engine/api_json_internal.h"
#include "engine/failures.h"
#include "engine/versions.h"

static json_t *version_build_id(const struct version *version)
{
	char text[IDENTITY_BUILD_ID_TEXT];

	identity_format_build_id(&version->pin->program.identity, text);
	return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *version_object(const struct version *version)
{
	const struct pin_file *program = &version->pin->program;
	const struct identity *identity = &program->identity;

	return json_pack("{s:i, s:o, s:o, s:I, s:I, s:o}", "generation", (int)version->generation,
			 "path", api_json_text(program->path), "build_id",
			 version_build_id(version), "inode", (json_int_t)identity->inode, "size",
			 (json_int_t)identity->size, "mtime",
			 api_json_time((usec_t)(identity->mtime_ns / 1000)));
}

static json_t *version_current(const struct engine *engine, uint32_t p)
{
	const struct version *version = engine->pools[p].current;
	cleanup_buf struct buf differs = {0};
	json_t *object;

	if (version == NULL)
		return json_null();
	object = version_object(version);
	json_object_set_new(object, "held", json_boolean(version->pin->program.fd >= 0));
	json_object_set_new(object, "not_held", api_json_text(version->pin->missing));
	json_object_set_new(object, "on_disk",
			    versions_differ_on_disk(engine, p, &differs)
				? api_json_text(buf_text(&differs))
				: json_null());
	return object;
}

static json_t *version_kept(const struct pool_runtime *runtime)
{
	json_t *list = json_array();

	for (unsigned n = runtime->n_kept; n-- > 0;)
		json_array_append_new(list, version_object(runtime->kept[n]));
	return list;
}

static json_t *version_failures(const struct engine *engine, const struct pool_runtime *runtime)
{
	const struct failure *failure = NULL;
	json_t *list = json_array();

	while ((failure = failures_next(engine, runtime->name, failure)) != NULL)
		json_array_append_new(
		    list, json_pack("{s:o, s:o, s:i, s:o}", "version", api_json_text(failure->what),
				    "time", api_json_time(failure->at_wall), "times",
				    (int)failure->times, "reason", api_json_text(failure->reason)));
	return list;
}

void api_json_add_versions(json_t *pool, const struct engine *engine, uint32_t p)
{
	const struct pool_runtime *runtime = &engine->pools[p];

	json_object_set_new(pool, "version", version_current(engine, p));
	json_object_set_new(pool, "previous", version_kept(runtime));
	json_object_set_new(pool, "failed", version_failures(engine, runtime));
}
