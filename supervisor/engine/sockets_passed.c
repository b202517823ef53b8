/* sockets_passed.c - sockets that the service manager opened for us: which of them is meant? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/sockets.h"

/* Names that a sentence has room for. */
#define PASSED_NAMES_MAX 8

static bool passed_is_free(const struct systemd_fd *passed)
{
	return !passed->used && passed->fd >= 0;
}

/* What was passed instead: most often a unit without FileDescriptorName= or one that does not run.
 */
static void passed_tell_others(const struct engine *engine, struct buf *text)
{
	unsigned told = 0, more = 0;

	for (int n = 0; n < engine->n_passed; n++) {
		if (!passed_is_free(&engine->passed[n]) || sockets_is_own(&engine->passed[n]))
			continue;
		if (told == PASSED_NAMES_MAX)
			more++;
		else
			buf_printf(text, "%s'%s'", told++ == 0 ? "; what was passed: " : ", ",
				   engine->passed[n].name);
	}
	if (more > 0)
		buf_printf(text, " and %u more", more);
	if (told == 0)
		buf_add_str(text, "; none was passed that is not in use (does its .socket unit "
				  "run, and name this service?)");
}

static void passed_tell_all(const struct engine *engine, const char *name, struct buf *text)
{
	const char *separator = " (";

	for (int n = 0; n < engine->n_passed; n++)
		if (strcmp(engine->passed[n].name, name) == 0) {
			buf_printf(text, "%sdescriptor %d", separator, engine->passed[n].fd);
			separator = ", ";
		}
}

static int passed_find(struct engine *engine, const char *name, struct systemd_fd **ret_passed,
		       struct buf *why)
{
	struct systemd_fd *found = NULL;
	unsigned matches = 0;

	for (int n = 0; n < engine->n_passed; n++)
		if (passed_is_free(&engine->passed[n]) &&
		    strcmp(engine->passed[n].name, name) == 0 && matches++ == 0)
			found = &engine->passed[n];
	if (matches == 1) {
		*ret_passed = found;
		return 0;
	}
	if (matches == 0) {
		buf_printf(why, "no socket named '%s' was passed to us by the service manager",
			   name);
		passed_tell_others(engine, why);
		return -ENOENT;
	}
	buf_printf(why, "%u sockets named '%s' were passed to us by the service manager", matches,
		   name);
	passed_tell_all(engine, name, why);
	buf_add_str(why,
		    "): which one is meant? Give each a .socket unit and a FileDescriptorName= of "
		    "its own");
	return -ENOTUNIQ;
}

int sockets_adopt(struct engine *engine, const struct socket_spec *spec,
		  struct engine_socket *socket, char **ret_error)
{
	struct buf why = {0};
	struct systemd_fd *passed;
	int r = passed_find(engine, spec->path, &passed, &why);

	if (r < 0) {
		*ret_error = why.data;
		return r;
	}
	r = listener_adopt(passed->fd, passed->name, &socket->listener, ret_error);
	if (r < 0)
		return r;
	passed->used = true;
	passed->fd = -1;
	socket->passed = true;
	return 0;
}
