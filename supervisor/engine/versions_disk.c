/* versions_disk.c - is on disk what runs? */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/versions.h"
#include "system/spawn.h"

enum { DISK_ID_SHOWN = 12 }; /* digits of a build id */

static void disk_add(struct buf *text, const char *word)
{
	buf_printf(text, "%s%s", text->len > 0 ? ", " : "", word);
}

static void disk_tell_program(const struct identity *runs, const struct identity *found,
			      const char *path, const char *how, struct buf *text)
{
	char a[IDENTITY_BUILD_ID_TEXT], b[IDENTITY_BUILD_ID_TEXT];

	disk_add(text, path);
	buf_printf(text, " is %s", how);
	if (runs->build_id_len == 0 || found->build_id_len == 0)
		return;
	identity_format_build_id(runs, a);
	identity_format_build_id(found, b);
	if (strcmp(a, b) == 0)
		buf_printf(text, " (with the same build id)");
	else
		buf_printf(text, " (build id %.*s -> %.*s)", DISK_ID_SHOWN, a, DISK_ID_SHOWN, b);
}

/* What the command means now. A script that was only touched is told of, too: a reload would find
 * it changed. */
static void disk_compare_program(const struct version *version, struct buf *text)
{
	const struct pool_spec *spec = version->spec;
	const struct pin_file *program = &version->pin->program;
	cleanup_free char *path = NULL;
	struct identity found = {0};
	const char *how;

	if (spawn_resolve(spec->argv[0], spec->working_directory, &path) == 0)
		identity_read_path(path, &found);
	how = identity_change(&program->identity, &found);
	if (how != NULL)
		disk_tell_program(&program->identity, &found, path != NULL ? path : spec->argv[0],
				  how, text);
}

static void disk_compare_interpreter(const struct version *version, struct buf *text)
{
	const struct pin_file *interpreter = &version->pin->interpreter;
	struct identity found = {0};
	const char *how;

	if (interpreter->fd < 0 || interpreter->remote)
		return;
	identity_read_path(interpreter->path, &found);
	how = identity_change(&interpreter->identity, &found);
	if (how != NULL)
		disk_tell_program(&interpreter->identity, &found, interpreter->path, how, text);
}

static void disk_compare_directory(const struct version *version, struct buf *text)
{
	const struct pin_file *directory = &version->pin->directory;
	struct identity found;

	if (directory->path == NULL || directory->remote ||
	    identity_read_path(version->spec->working_directory, &found) < 0 ||
	    identity_is_same_file(&directory->identity, &found))
		return;
	disk_add(text, version->spec->working_directory);
	buf_add_str(text, " leads elsewhere");
}

/* What the configuration says by now: only a reload reads it otherwise. */
static void disk_compare_configuration(const struct engine *engine, const struct version *version,
				       struct buf *text)
{
	struct config_problems problems = {0};
	struct config *config = NULL;

	if (config_read(engine->config_path, &config, &problems) == 0)
		version_compare_specs(version, config, text);
	config_free(config);
	config_problems_free(&problems);
}

bool versions_differ_on_disk(const struct engine *engine, uint32_t p, struct buf *text)
{
	const struct version *version = engine->pools[p].current;
	size_t before = text->len;

	if (version == NULL)
		return false;
	if (engine->pools[p].rolled_back)
		disk_compare_configuration(engine, version, text);
	if (!version->pin->program.remote) {
		disk_compare_program(version, text);
		disk_compare_interpreter(version, text);
		disk_compare_directory(version, text);
	}
	return text->len > before;
}
