/* cmd_sockets.c - `handover sockets`: the instance's sockets, and who holds them. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "system/proc.h"

struct look {
	struct api_status *status;
	bool failed;
};

/* A process of this machine has sockets[n] open. */
static void note(size_t n, const struct proc_holder *holder, void *arg)
{
	struct look *look = arg;
	struct api_socket *socket = &look->status->sockets[n];
	struct api_holder *list =
	    reallocarray(socket->holders, socket->n_holders + 1, sizeof(*list));

	if (list == NULL) {
		look->failed = true;
		return;
	}
	socket->holders = list;
	list[socket->n_holders] = (struct api_holder){.pid = holder->pid, .uid = holder->uid};
	snprintf(list[socket->n_holders].name, sizeof(list->name), "%s", holder->name);
	socket->n_holders++;
}

/* As far as /proc tells whoever asks: root sees all. */
static int look_around(struct api_status *status)
{
	cleanup_free unsigned long *inodes = calloc(status->n_sockets + 1, sizeof(*inodes));
	struct look look = {.status = status};

	if (inodes == NULL)
		return -1;
	for (size_t i = 0; i < status->n_sockets; i++)
		inodes[i] = (unsigned long)status->sockets[i].inode;
	proc_walk_holders(inodes, status->n_sockets, note, &look);
	return look.failed ? -1 : 0;
}

/* What the instance knows of a process that holds a socket. */
static void name_holder(const struct api_status *status, const struct api_socket *socket,
			struct api_holder *holder)
{
	if (holder->pid == status->pid) {
		holder->role = "master";
		return;
	}
	for (size_t i = 0; i < status->n_workers; i++)
		if (status->workers[i].pid == holder->pid) {
			holder->role = "worker";
			holder->pool = status->workers[i].pool;
			return;
		}
	holder->role = "other";
	for (size_t i = 0; i < socket->n_instances; i++)
		if (socket->instances[i].pid == holder->pid) {
			holder->role = "instance";
			holder->instance = socket->instances[i].name;
		}
}

int cmd_sockets(struct cli *cli)
{
	cleanup_buf struct buf body = {0};
	cleanup_buf struct buf out = {.max = CLIENT_BODY_MAX};
	struct api_status status;
	int code = cli_query(cli, "/v1/status", NULL, &body), r;

	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_status(body.data, body.len, &status) < 0)
		return cli_not_understood(cli);
	r = look_around(&status);
	for (size_t i = 0; i < status.n_sockets; i++)
		for (size_t n = 0; n < status.sockets[i].n_holders; n++)
			name_holder(&status, &status.sockets[i], &status.sockets[i].holders[n]);
	if (r == 0 && cli->options.json)
		api_write_sockets(&status, &out);
	else if (r == 0)
		r = table_holders(&cli->out, &status, &out);
	if (r < 0 || out.cut) {
		cli_error(cli, "out of memory");
		code = CLI_FAILED;
	} else {
		term_write_buf(&cli->out, &out);
	}
	api_status_free(&status);
	return code;
}
