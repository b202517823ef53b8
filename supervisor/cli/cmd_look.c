/* cmd_look.c - `handover status` and `handover list`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/text.h"

/* Appends "TITLE  text" with the text of others made safe. */
static void add_line(const struct term *term, struct buf *out, const char *title,
		     enum colour colour, const struct buf *text)
{
	cleanup_buf struct buf name = {0};

	term_clean(term, &name, title, strlen(title));
	buf_printf(out, "%s%-15s%s ", term_colour(term, COLOUR_BOLD), buf_text(&name),
		   term_colour(term, COLOUR_NONE));
	buf_add_str(out, term_colour(term, colour));
	if (text->data != NULL)
		term_clean(term, out, text->data, text->len);
	buf_printf(out, "%s\n", colour != COLOUR_NONE ? term_colour(term, COLOUR_NONE) : "");
}

static void add_instance(const struct term *term, const struct api_status *status, bool verbose,
			 struct buf *out)
{
	cleanup_buf struct buf text = {0};
	char up[DURATION_TEXT_MAX];
	bool fine = status->ready && !status->degraded && strcmp(status->state, "running") == 0;

	buf_printf(&text, "%s, %s", status->state, status->ready ? "ready" : "not ready");
	if (!status->ready && status->reason[0] != '\0')
		buf_printf(&text, ": %s", status->reason);
	add_line(term, out, status->instance, fine ? COLOUR_GREEN : COLOUR_YELLOW, &text);
	buf_reset(&text);
	text_add_time(&text, status->since, false, false);
	if (status->uptime_s >= 0)
		buf_printf(&text, " (%s), pid %ld", text_duration(status->uptime_s, up),
			   status->pid);
	if (verbose)
		buf_printf(&text, ", version %s", status->version);
	add_line(term, out, "since", COLOUR_NONE, &text);
	buf_reset(&text);
	buf_add_str(&text, status->config);
	add_line(term, out, "config", COLOUR_NONE, &text);
}

static const struct api_worker *waiting_worker(const struct api_status *status, const char *pool)
{
	for (size_t i = 0; i < status->n_workers; i++)
		if (strcmp(status->workers[i].pool, pool) == 0 &&
		    strcmp(status->workers[i].state, "waiting") == 0)
			return &status->workers[i];
	return NULL;
}

/* Each pool that is not as it should be, with the first reason that is known. */
static void add_degraded(struct cli *cli, const struct api_status *status, struct buf *out)
{
	const struct term *term = &cli->out;
	bool told = false;

	for (size_t i = 0; i < status->n_pools; i++) {
		const struct api_pool *pool = &status->pools[i];
		const struct api_worker *worker = waiting_worker(status, pool->name);
		cleanup_buf struct buf text = {0}, why = {0}, hint = {0};

		if (!pool->degraded)
			continue;
		buf_printf(&text, "pool %s", pool->name);
		if (pool->reason[0] != '\0')
			buf_printf(&text, ": %s", pool->reason);
		else if (worker != NULL && worker->reason[0] != '\0')
			buf_printf(&text, ": slot %ld %s", worker->slot, worker->reason);
		buf_printf(&why, "why %s", pool->name);
		buf_printf(&text, "; see `%s`", cli_hint(cli, buf_text(&why), &hint));
		add_line(term, out, "degraded", COLOUR_RED, &text);
		told = true;
	}
	if (status->degraded && !told) {
		cleanup_buf struct buf text = {0};

		buf_add_str(&text, status->reason[0] != '\0' ? status->reason : "yes");
		add_line(term, out, "degraded", COLOUR_RED, &text);
	}
}

/* What a reload would start, or did start in vain: the last one is told anyway. */
static void add_versions(const struct term *term, const struct api_status *status, bool verbose,
			 struct buf *out)
{
	bool has_failed =
	    status->last_reload != NULL && strcmp(status->last_reload->result, "committed") != 0;

	for (size_t i = 0; i < status->n_pools; i++) {
		const struct api_pool *pool = &status->pools[i];
		cleanup_buf struct buf text = {0};

		if (pool->on_disk[0] != '\0') {
			buf_printf(&text, "pool %s: another version than generation %ld runs: %s",
				   pool->name, pool->generation, pool->on_disk);
			add_line(term, out, "on disk", COLOUR_YELLOW, &text);
		}
		buf_reset(&text);
		if (pool->n_failed > 0 && (verbose || !has_failed)) {
			buf_printf(&text, "pool %s: %s at ", pool->name, pool->failed);
			text_add_time(&text, pool->failed_time, false, false);
			buf_printf(&text, ": %s", pool->failed_reason);
			if (pool->n_failed > 1)
				buf_printf(&text, "; and %zu more", pool->n_failed - 1);
			add_line(term, out, "failed", COLOUR_YELLOW, &text);
		}
		buf_reset(&text);
		if (verbose && pool->not_held[0] != '\0') {
			buf_printf(&text, "pool %s: a crash or rollback finds as it is then: %s",
				   pool->name, pool->not_held);
			add_line(term, out, "not held", COLOUR_NONE, &text);
		}
	}
}

static void add_out_of_service(struct cli *cli, const struct api_status *status, struct buf *out)
{
	cleanup_buf struct buf text = {0};
	cleanup_buf struct buf hint = {0};

	if (!status->out_of_service)
		return;
	buf_printf(&text, "/readyz says 503 until `%s`",
		   cli_hint(cli, "out-of-service off", &hint));
	add_line(&cli->out, out, "out of service", COLOUR_YELLOW, &text);
}

static void add_reload(const struct term *term, const struct api_status *status, struct buf *out)
{
	cleanup_buf struct buf text = {0};
	cleanup_buf struct buf title = {0};
	char elapsed[DURATION_TEXT_MAX];

	if (!status->reloading)
		return;
	buf_printf(&title, "%s %ld",
		   status->reload_kind[0] != '\0' ? status->reload_kind : "reload",
		   status->reload_id);
	buf_printf(&text, "%s for %s", status->reload_state,
		   text_duration(status->reload_held_s >= 0 ? status->reload_held_s
							    : status->reload_elapsed_s,
				 elapsed));
	for (size_t i = 0; i < status->n_reload_pools; i++) {
		const struct api_reload_pool *pool = &status->reload_pools[i];

		buf_printf(&text, "%s %s %ld/%ld ready", i > 0 ? "," : ":", pool->name, pool->ready,
			   pool->total);
	}
	if (status->reload_held_s >= 0) {
		buf_add_str(&text, "; promote or abort before ");
		text_add_time(&text, status->reload_held_until, false, true);
	}
	if (status->reload_by[0] != '\0')
		buf_printf(&text, "; asked by %s", status->reload_by);
	if (status->queued > 0)
		buf_printf(&text, "; %ld more waiting", status->queued);
	add_line(term, out, title.data, COLOUR_YELLOW, &text);
}

static void add_last_reload(const struct term *term, const struct api_status *status, bool verbose,
			    struct buf *out)
{
	const struct api_result *last = status->last_reload;
	cleanup_buf struct buf text = {0};
	bool failed;

	if (last == NULL)
		return;
	failed = strcmp(last->result, "committed") != 0;
	if (!failed && !verbose)
		return;
	if (last->finished[0] != '\0') {
		text_add_time(&text, last->finished, false, false);
		buf_add_str(&text, ": ");
	}
	buf_add_str(&text, last->message);
	if (last->by[0] != '\0')
		buf_printf(&text, "; asked by %s", last->by);
	add_line(term, out, failed ? "last failure" : "last reload",
		 failed ? COLOUR_RED : COLOUR_NONE, &text);
	if (failed)
		text_add_details(term, last, "  ", out);
}

/* Whether each worker has a cgroup of its own; nothing of an instance that does not tell. */
static void add_cgroups(const struct term *term, const struct api_status *status, struct buf *out)
{
	bool there = status->cgroups_path[0] != '\0', missing = status->cgroups_missing[0] != '\0';
	cleanup_buf struct buf text = {0};

	if (!there && !missing)
		return;
	if (!there)
		buf_printf(&text, "none: %s", status->cgroups_missing);
	else
		buf_printf(&text, "one for each worker below %s%s%s", status->cgroups_path,
			   missing ? "; missing: " : "", status->cgroups_missing);
	add_line(term, out, "cgroups", COLOUR_NONE, &text);
}

static int show_status(struct cli *cli, const struct api_status *status)
{
	cleanup_buf struct buf out = {.max = CLIENT_BODY_MAX};
	const struct options *options = &cli->options;
	const struct term *term = &cli->out;
	int r = 0;

	add_instance(term, status, options->verbose, &out);
	add_degraded(cli, status, &out);
	add_versions(term, status, options->verbose, &out);
	add_out_of_service(cli, status, &out);
	add_reload(term, status, &out);
	add_last_reload(term, status, options->verbose, &out);
	if (options->verbose)
		add_cgroups(term, status, &out);
	if (status->n_workers > 0) {
		buf_add_str(&out, "\n");
		r = table_workers(term, status, &out);
	}
	if (r == 0 && options->verbose && status->n_pools > 0) {
		buf_add_str(&out, "\n");
		r = table_pools(term, status, &out);
	}
	if (r == 0 && (options->verbose || options->sockets) && status->n_sockets > 0) {
		buf_add_str(&out, "\n");
		r = table_sockets(term, status, &out);
	}
	if (r == 0 && options->verbose && status->n_stored > 0) {
		buf_add_str(&out, "\n");
		r = table_stored(term, status, &out);
	}
	if (r < 0 || out.cut) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	term_write_buf(&cli->out, &out);
	return CLI_DONE;
}

int cmd_status(struct cli *cli)
{
	cleanup_buf struct buf body = {0};
	struct api_status status;
	int code = cli_query(cli, "/v1/status", NULL, &body);

	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_status(body.data, body.len, &status) < 0)
		return cli_not_understood(cli);
	if (cli->options.json) {
		cli_show_json(cli, &body);
	} else {
		code = show_status(cli, &status);
	}
	api_status_free(&status);
	return code;
}

/* ---- list ---- */

struct asked {
	struct client *client;
	struct request *request;
	struct api_status status;
};

/* Asks one instance; a hang of one must not keep the others from being listed. */
static void ask(struct asked *asked, const struct instance *instance, usec_t until,
		struct api_found *found)
{
	const struct buf *body;

	*found = (struct api_found){.name = instance->name,
				    .socket = instance->socket,
				    .pid = instance->pid,
				    .uptime_s = -1};
	if (instance->error == -EACCES || instance->error == -EPERM)
		found->problem = "not permitted";
	else if (instance->error != 0)
		found->problem = "hangs";
	if (found->problem != NULL)
		return;
	asked->client = client_new(instance->socket);
	asked->request = asked->client != NULL
			     ? client_start(asked->client, "/v1/status", NULL, NULL, NULL)
			     : NULL;
	if (asked->request == NULL)
		return;
	while (!request_is_done(asked->request) && clock_now() < until)
		if (client_turn(asked->client, until, -1) < 0)
			break;
	body = request_body(asked->request);
	if (!request_is_done(asked->request)) {
		found->problem = "hangs";
	} else if (request_error(asked->request) != 0 || body->data == NULL ||
		   api_read_status(body->data, body->len, &asked->status) < 0) {
		found->problem = "no answer";
	} else {
		found->pid = asked->status.pid;
		found->state = asked->status.state;
		found->config = asked->status.config;
		found->uptime_s = asked->status.uptime_s;
	}
}

static int show_list(struct cli *cli, const struct api_found *list, size_t n)
{
	cleanup_buf struct buf out = {.max = CLIENT_BODY_MAX};
	cleanup_buf struct buf looked = {0};

	if (cli->options.json) {
		api_write_found(list, n, &out);
	} else if (n == 0) {
		instance_places(&looked);
		cli_error(cli, "no instance runs here (looked in %s)", looked.data);
	} else if (table_found(&cli->out, list, n, &out) < 0) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	term_write_buf(&cli->out, &out);
	return CLI_DONE;
}

int cmd_list(struct cli *cli)
{
	usec_t each =
	    cli->options.timeout < 2 * USEC_PER_SEC ? cli->options.timeout : 2 * USEC_PER_SEC;
	struct instances found = {.list = NULL};
	cleanup_free struct api_found *list = NULL;
	cleanup_free struct asked *asked = NULL;
	size_t n = 0;
	int code;

	if (instances_find(&found) < 0) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	list = calloc(found.n + 1, sizeof(*list));
	asked = calloc(found.n + 1, sizeof(*asked));
	for (size_t i = 0; list != NULL && asked != NULL && i < found.n; i++)
		if (found.list[i].error != -ECONNREFUSED) {
			ask(&asked[n], &found.list[i], usec_add(clock_now(), each), &list[n]);
			n++;
		}
	code = show_list(cli, list, n);
	for (size_t i = 0; i < n; i++) {
		api_status_free(&asked[i].status);
		request_free(asked[i].request);
		client_free(asked[i].client);
	}
	instances_free(&found);
	return code;
}
