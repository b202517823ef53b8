/* choose.c - which instance this call is for, and in words why it cannot be had. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/instance.h"

/* Takes over what is in `from`; the list forgets it. */
static int take(struct cli *cli, struct instance *from)
{
	instance_free(&cli->instance);
	cli->instance = *from;
	*from = (struct instance){.name = NULL};
	return CLI_DONE;
}

/* Says why the one instance that was asked for cannot be had. */
static int explain(struct cli *cli, const char *name, const char *socket_path, int error)
{
	if (error == -EACCES || error == -EPERM)
		return cli_explain_denied(cli, socket_path);
	if (error == -ECONNREFUSED) {
		cli_error(cli,
			  "instance %s does not run: nobody listens on %s, which is left over from "
			  "an earlier run",
			  name, socket_path);
		return CLI_NO_INSTANCE;
	}
	if (error == -ENOENT || error == -ENOTDIR) {
		cli_error(cli, "no instance there: %s does not exist", socket_path);
		return CLI_NO_INSTANCE;
	}
	if (error == -ETIMEDOUT) {
		cli_error(cli, "instance %s takes no connections on %s: it hangs, or it is stopped",
			  name, socket_path);
		return CLI_TIMED_OUT;
	}
	if (error == -ENAMETOOLONG) {
		cli_error(cli, "the socket's path is too long (%zu characters are possible): %s",
			  sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1, socket_path);
		return CLI_USAGE;
	}
	cli_error(cli, "cannot connect to %s: %s", socket_path, strerror(-error));
	return CLI_FAILED;
}

/* "/run/handover/payments/control.sock" -> "payments"; elsewhere the path as it was given is the
 * only name we have. */
static char *name_of_socket(const char *given, const char *path)
{
	const char *end = strrchr(path, '/');
	const char *start = end;
	static const char parent[] = "/handover/";
	const size_t len = sizeof(parent) - 1;

	while (start != NULL && start > path && start[-1] != '/')
		start--;
	if (start == NULL || start == end || (size_t)(start - path) < len ||
	    memcmp(start - len, parent, len) != 0)
		return strdup(given);
	return strndup(start, (size_t)(end - start));
}

static int choose_by_socket(struct cli *cli)
{
	struct instance *instance = &cli->instance;
	cleanup_buf struct buf path = {0};
	struct stat st;

	buf_add_str(&path, cli->options.socket);
	if (stat(cli->options.socket, &st) == 0 && S_ISDIR(st.st_mode))
		buf_add_str(&path, "/control.sock");
	instance->socket = path.data != NULL ? strdup(path.data) : NULL;
	instance->name =
	    instance->socket != NULL ? name_of_socket(cli->options.socket, instance->socket) : NULL;
	if (instance->name == NULL) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	instance->error = instance_probe(instance->socket, INSTANCE_PROBE_TIMEOUT, &instance->pid);
	return instance->error == 0
		   ? CLI_DONE
		   : explain(cli, instance->name, instance->socket, instance->error);
}

/* The names of those that run (or may), as a sentence's end. */
static void add_names(struct buf *out, const struct instances *found)
{
	for (size_t i = 0, n = 0; i < found->n; i++)
		if (found->list[i].error != -ECONNREFUSED)
			buf_printf(out, "%s%s", n++ > 0 ? ", " : "", found->list[i].name);
}

static int explain_unknown(struct cli *cli, const char *name, const struct instances *found)
{
	const char **names = calloc(found->n + 1, sizeof(*names));
	cleanup_buf struct buf there = {0};
	const char *near = NULL;
	size_t n = 0;

	for (size_t i = 0; names != NULL && i < found->n; i++)
		if (found->list[i].error != -ECONNREFUSED)
			names[n++] = found->list[i].name;
	if (n > 0)
		near = parse_suggest(name, names, n);
	add_names(&there, found);
	if (near != NULL)
		cli_error(cli, "no instance '%s' runs here; did you mean '%s'?", name, near);
	else if (there.len > 0)
		cli_error(cli, "no instance '%s' runs here; there is: %s", name, there.data);
	else
		cli_error(cli, "no instance '%s' runs here, nor any other", name);
	free(names);
	return CLI_NO_INSTANCE;
}

static int choose_by_name(struct cli *cli, const char *name, struct instances *found)
{
	struct instance *best = NULL;
	unsigned running = 0;

	for (size_t i = 0; i < found->n; i++) {
		struct instance *instance = &found->list[i];

		if (strcmp(instance->name, name) != 0)
			continue;
		running += instance->error == 0;
		if (best == NULL || instance->error == 0 || best->error == -ECONNREFUSED)
			best = instance;
	}
	if (best == NULL)
		return explain_unknown(cli, name, found);
	if (running > 1) {
		cli_error(cli,
			  "two instances '%s' run here, the system's and one of your own: choose "
			  "with -c, as in -c %s",
			  name, best->socket);
		return CLI_USAGE;
	}
	if (best->error != 0)
		return explain(cli, name, best->socket, best->error);
	return take(cli, best);
}

static int explain_none(struct cli *cli, const struct instances *found)
{
	cleanup_buf struct buf looked = {0};

	for (size_t i = 0; i < found->n; i++)
		if (found->list[i].error != -ECONNREFUSED)
			return explain(cli, found->list[i].name, found->list[i].socket,
				       found->list[i].error);
	instance_places(&looked);
	cli_error(cli,
		  "no instance runs here (looked in %s); `handoverd FILE` starts one, -c SOCKET "
		  "names one elsewhere",
		  looked.data);
	return CLI_NO_INSTANCE;
}

static int choose_only(struct cli *cli, struct instances *found)
{
	struct instance *only = NULL;
	cleanup_buf struct buf names = {0};
	unsigned running = 0;

	for (size_t i = 0; i < found->n; i++) {
		if (found->list[i].error != 0)
			continue;
		only = &found->list[i];
		buf_printf(&names, "%s%s", running++ > 0 ? ", " : "", only->name);
	}
	if (running == 1)
		return take(cli, only);
	if (running == 0)
		return explain_none(cli, found);
	cli_error(cli,
		  "several instances run here: %s; choose one with -i NAME, or with "
		  "HANDOVER_INSTANCE in the environment",
		  names.data);
	return CLI_USAGE;
}

int instance_choose(struct cli *cli)
{
	const char *name = cli->options.instance;
	struct instances found = {.list = NULL};
	int code;

	if (cli->options.socket != NULL)
		return choose_by_socket(cli);
	if (name == NULL)
		name = getenv("HANDOVER_INSTANCE");
	if (instances_find(&found) < 0) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	if (name != NULL && name[0] != '\0')
		code = choose_by_name(cli, name, &found);
	else
		code = choose_only(cli, &found);
	instances_free(&found);
	return code;
}
