/* launch_environment.c - what a worker finds in its environment, and its arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/adapt.h"
#include "engine/launch.h"
#include "engine/output.h"
#include "engine/stores.h"
#include "engine/versions.h"

extern char **environ;

/* Hand-over variables, ours and those of other supervisors that may have started us: never passed
 * on as they are. */
static const char *const launch_removed[] = {
    "LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES", "LISTEN_PIDFDID",
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",  "FDSTORE",
    "MAINPID",	     "NGINX",	     "FPM_SOCKETS",    "RUNTIME_DIRECTORY",
};
static const char *const launch_removed_prefixes[] = {
    "HANDOVER_", "SERVER_STARTER_", "EINHORN_",	  "GUNICORN_",
    "UNICORN_",	 "PUMA_INHERIT_",   "TABLEFLIP_",
};

static bool launch_is_removed(const char *variable)
{
	size_t len = strcspn(variable, "=");

	for (size_t n = 0; n < ARRAY_LEN(launch_removed); n++)
		if (strlen(launch_removed[n]) == len &&
		    memcmp(launch_removed[n], variable, len) == 0)
			return true;
	for (size_t n = 0; n < ARRAY_LEN(launch_removed_prefixes); n++)
		if (strncmp(launch_removed_prefixes[n], variable,
			    strlen(launch_removed_prefixes[n])) == 0)
			return true;
	return false;
}

struct launch_list {
	char **words;
	size_t n, size;
	bool failed;
};

/* Adds a string that is the list's from now on (NULL: memory was short), in the place of one with
 * the same name. */
static void launch_add(struct launch_list *list, char *word)
{
	size_t len = word != NULL ? strcspn(word, "=") : 0;

	if (word == NULL || list->n + 1 >= list->size) {
		list->failed = true;
		free(word);
		return;
	}
	for (size_t n = 0; n < list->n; n++)
		if (strncmp(list->words[n], word, len) == 0 && list->words[n][len] == '=') {
			free(list->words[n]);
			list->words[n] = word;
			return;
		}
	list->words[list->n++] = word;
}

static void launch_set(struct launch_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void launch_set(struct launch_list *list, const char *format, ...)
{
	char *word = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&word, format, args) == -1)
		word = NULL;
	va_end(args);
	launch_add(list, word);
}

struct config_who launch_who(const struct proc *proc)
{
	return (struct config_who){
	    .instance = proc->engine->name,
	    .pool = proc->version->spec->name,
	    .slot = proc->slot,
	    .generation = proc->generation,
	};
}

static void launch_set_configured(struct launch_list *list, const struct proc *proc)
{
	const struct version *version = proc->version;
	struct config_who who = launch_who(proc);

	if (version->user_name != NULL) {
		launch_set(list, "HOME=%s", version->user_home != NULL ? version->user_home : "/");
		launch_set(list, "USER=%s", version->user_name);
		launch_set(list, "LOGNAME=%s", version->user_name);
	}
	for (size_t n = 0; n < version->n_file_env; n++)
		launch_add(list, strdup(version->file_env[n]));
	for (size_t n = 0; n < version->spec->n_environment; n++)
		launch_add(list, config_expand(version->spec->environment[n], &who));
}

size_t launch_inherited(const struct pool_spec *spec)
{
	return spec->handoff == HANDOFF_INHERIT ? spec->n_sockets : 0;
}

size_t launch_listeners(const struct pool_spec *spec)
{
	return launch_inherited(spec) + config_has_probe_socket(spec);
}

static size_t launch_passed(const struct proc *proc)
{
	return launch_listeners(proc->version->spec) + stores_count(proc);
}

static void launch_set_sockets(struct launch_list *list, const struct proc *proc)
{
	const struct pool_spec *spec = proc->version->spec;
	size_t inherited = launch_inherited(spec), listeners = launch_listeners(spec),
	       stored = stores_count(proc);
	struct buf names = {0};

	if (spec->fd_store_max > 0) {
		launch_set(list, "FDSTORE=%u", spec->fd_store_max);
		launch_set(list, "HANDOVER_STORED=%zu", stored);
	}
	if (listeners + stored == 0)
		return;
	for (size_t n = 0; n < inherited; n++)
		buf_printf(&names, "%s%s", n > 0 ? ":" : "", spec->sockets[n]);
	if (listeners > inherited)
		buf_printf(&names, "%sprobe", inherited > 0 ? ":" : "");
	for (size_t n = 0; n < stored; n++) {
		const char *name = "";

		stores_get(proc, n, &name);
		buf_printf(&names, "%s%s", listeners + n > 0 ? ":" : "", name);
	}
	launch_set(list, "LISTEN_FDS=%zu", listeners + stored);
	launch_set(list, "LISTEN_FDNAMES=%s", names.data);
	buf_free(&names);
}

static void launch_set_own(struct launch_list *list, const struct proc *proc)
{
	const struct pool_spec *spec = proc->version->spec;
	char stream[OUTPUT_STREAM_TEXT_MAX];

	launch_set_sockets(list, proc);
	if (output_journal_stream(proc, stream))
		launch_set(list, "JOURNAL_STREAM=%s", stream);
	launch_set(list, "NOTIFY_SOCKET=%s", proc->notify_address);
	if (spec->watchdog > 0)
		launch_set(list, "WATCHDOG_USEC=%llu", (unsigned long long)spec->watchdog);
	launch_set(list, "HANDOVER_INSTANCE=%s", proc->engine->name);
	launch_set(list, "HANDOVER_POOL=%s", spec->name);
	launch_set(list, "HANDOVER_SLOT=%u", proc->slot);
	launch_set(list, "HANDOVER_GENERATION=%u", proc->generation);
	launch_set(list, "HANDOVER_CHANNEL=%s/channel.sock", proc->engine->runtime_dir);
	if (spec->handoff == HANDOFF_CHANNEL) /* sockets will come: to be waited for */
		launch_set(list, "HANDOVER_HANDOFF=channel");
	launch_set(list, "HANDOVER_DRAIN_TIMEOUT_USEC=%llu",
		   (unsigned long long)spec->drain_timeout);
}

/* For workers that know nothing of us. */
static void launch_set_adapted(struct launch_list *list, const struct proc *proc)
{
	char **more = adapt_environment(proc, list->words);

	list->failed = list->failed || more == NULL;
	for (size_t n = 0; more != NULL && more[n] != NULL; n++)
		launch_add(list, more[n]);
	free(more);
}

/* The child writes its own pid behind the '='; it needs room for 10 digits and the NUL. */
static size_t launch_set_pid(struct launch_list *list, const char *name)
{
	launch_set(list, "%s=%s", name, "0123456789");
	return list->n - 1;
}

static int launch_begin(struct launch_list *list, size_t size)
{
	list->words = calloc(size, sizeof(char *));
	list->size = size;
	return list->words == NULL ? -ENOMEM : 0;
}

char **launch_environment(const struct proc *proc, size_t pid_variables[static 2],
			  size_t *ret_n_pid_variables)
{
	const struct version *version = proc->version;
	struct launch_list list = {0};
	size_t inherited = 0, n_pids = 0;

	while (environ != NULL && environ[inherited] != NULL)
		inherited++;
	if (launch_begin(&list, inherited + version->n_file_env + version->spec->n_environment +
				    26 + adapt_count(version->spec)) < 0)
		return NULL;
	for (size_t n = 0; n < inherited; n++)
		if (!launch_is_removed(environ[n]) && strchr(environ[n], '=') != NULL)
			list.words[list.n++] =
			    strdup(environ[n]); /* no look for doubles: ours has none */
	for (size_t n = 0; n < list.n; n++)
		list.failed = list.failed || list.words[n] == NULL;
	if (!list.failed) {
		launch_set_configured(&list, proc);
		launch_set_own(&list, proc);
		launch_set_adapted(&list, proc);
		if (launch_passed(proc) > 0)
			pid_variables[n_pids++] = launch_set_pid(&list, "LISTEN_PID");
		if (version->spec->watchdog > 0)
			pid_variables[n_pids++] = launch_set_pid(&list, "WATCHDOG_PID");
	}
	if (list.failed) {
		launch_free_environment(list.words);
		return NULL;
	}
	*ret_n_pid_variables = n_pids;
	return list.words;
}

static bool launch_is_private(const char *variable)
{
	return strncmp(variable, "LISTEN_", 7) == 0 ||
	       strncmp(variable, "NOTIFY_SOCKET=", 14) == 0 ||
	       strncmp(variable, "WATCHDOG_", 9) == 0 || adapt_is_private(variable);
}

char **launch_command_environment(const struct proc *proc, size_t more)
{
	size_t places[2], n_places, n = 0, kept = 0;
	char **all = launch_environment(proc, places, &n_places);
	char **env;

	for (n = 0; all != NULL && all[n] != NULL; n++)
		;
	env = all != NULL ? calloc(n + more + 1, sizeof(*env)) : NULL;
	for (size_t i = 0; env != NULL && i < n; i++)
		if (!launch_is_private(all[i])) {
			env[kept++] = all[i];
			all[i] = NULL;
		}
	for (size_t i = 0; i < n; i++)
		free(all[i]); /* those that were not taken */
	free(all);
	return env;
}

void launch_free_environment(char **environment)
{
	for (size_t n = 0; environment != NULL && environment[n] != NULL; n++)
		free(environment[n]);
	free(environment);
}

char **launch_arguments(const struct proc *proc, char *const *words)
{
	struct config_who who = launch_who(proc);
	size_t n = 0;
	char **copy;

	while (words[n] != NULL)
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy != NULL && i < n; i++) {
		copy[i] = config_expand(words[i], &who);
		if (copy[i] == NULL) {
			launch_free_environment(copy);
			return NULL;
		}
	}
	return copy;
}
