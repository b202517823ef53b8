/* adapt.c - the bind shim, for workers that know nothing of us. */
#include "engine/adapt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "system/shim.h"

struct adapt {
	const struct proc *proc;
	char *const *environment;
	char **list;
	size_t n;
	bool failed;
};

static void adapt_set(struct adapt *adapt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void adapt_set(struct adapt *adapt, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&adapt->list[adapt->n], format, args) == -1) {
		adapt->list[adapt->n] = NULL;
		adapt->failed = true;
	} else {
		adapt->n++;
	}
	va_end(args);
}

static const char *adapt_get(const struct adapt *adapt, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; adapt->environment[i] != NULL; i++)
		if (strncmp(adapt->environment[i], name, len) == 0 &&
		    adapt->environment[i][len] == '=')
			return adapt->environment[i] + len + 1;
	return "";
}

/* ---- the bind shim ---- */

/* In front of the user's own libraries, so that it sees the program's calls first, and theirs see
 * what it lets through. */
static void adapt_preload(struct adapt *adapt)
{
	const char *own = adapt_get(adapt, "LD_PRELOAD");
	cleanup_free char *library = NULL;

	if (shim_find(&library) < 0) {
		adapt->failed = true;
		return;
	}
	adapt_set(adapt, "LD_PRELOAD=%s%s%s", library, own[0] != '\0' ? ":" : "", own);
}

/* Numbers and inodes, by which a program that the worker executes knows whether they are still the
 * same. */
static void adapt_shim(struct adapt *adapt)
{
	const struct version *version = adapt->proc->version;
	cleanup_buf struct buf sockets = {.data = NULL};
	struct stat st;

	for (size_t n = 0; n < version->spec->n_sockets; n++)
		if (fstat(version->sockets[n]->listener.fd, &st) == 0)
			buf_printf(&sockets, "%s%zu:%llu", sockets.len > 0 ? " " : "", 3 + n,
				   (unsigned long long)st.st_ino);
	adapt_preload(adapt);
	adapt_set(adapt, "HANDOVER_BIND=%s", buf_text(&sockets));
}

/* ---- all of it ---- */

size_t adapt_count(const struct pool_spec *spec)
{
	return spec->bind_shim ? 2 : 0;
}

char **adapt_environment(const struct proc *proc, char *const *environment)
{
	struct adapt adapt = {.proc = proc, .environment = environment};

	adapt.list = calloc(adapt_count(proc->version->spec) + 1, sizeof(*adapt.list));
	if (adapt.list == NULL)
		return NULL;
	if (proc->version->spec->bind_shim)
		adapt_shim(&adapt);
	if (!adapt.failed)
		return adapt.list;
	while (adapt.n > 0)
		free(adapt.list[--adapt.n]);
	free(adapt.list);
	return NULL;
}

bool adapt_is_private(const char *variable)
{
	return strncmp(variable, "HANDOVER_BIND=", strlen("HANDOVER_BIND=")) == 0;
}
