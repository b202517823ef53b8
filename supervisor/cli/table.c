/* table.c - the tables of `status` and `list`, and how all are drawn: the only file that knows
 * libsmartcols. */
#include "cli/table_internal.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/text.h"

void table_begin(struct table *table, const struct term *term, const struct column *columns,
		 size_t n)
{
	unsigned width, rows;

	*table = (struct table){.term = term, .table = scols_new_table()};
	if (table->table == NULL) {
		table->failed = true;
		return;
	}
	term_size(term, &width, &rows);
	/* our text is clean already, and smartcols would show a backslash of it as \x5c */
	scols_table_enable_noencoding(table->table, 1);
	scols_table_enable_colors(table->table, term->colour);
	scols_table_set_termforce(table->table,
				  term->tty ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	scols_table_set_termwidth(table->table, width);
	for (size_t i = 0; i < n; i++) {
		int flags =
		    (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].cut ? SCOLS_FL_TRUNC : 0);

		if (scols_table_new_column(table->table, columns[i].name, columns[i].cut ? 0.5 : 0,
					   flags) == NULL)
			table->failed = true;
	}
}

void table_line(struct table *table)
{
	table->column = 0;
	table->line = table->failed ? NULL : scols_table_new_line(table->table, NULL);
	if (table->line == NULL)
		table->failed = true;
}

void table_cell(struct table *table, enum colour colour, const char *text)
{
	cleanup_buf struct buf clean = {0};
	struct libscols_cell *cell;

	if (table->failed)
		return;
	term_clean(table->term, &clean, text, strlen(text));
	for (size_t i = 0; i < clean.len; i++)
		if (clean.data[i] == '\t')
			clean.data[i] = ' ';
	cell = scols_line_get_cell(table->line, table->column++);
	if (scols_cell_set_data(cell, clean.len > 0 ? clean.data : "-") != 0)
		table->failed = true;
	if (colour != COLOUR_NONE && table->term->colour)
		scols_cell_set_color(cell, term_colour(table->term, colour));
}

void table_number(struct table *table, long number)
{
	char text[24] = "";

	if (number >= 0)
		snprintf(text, sizeof(text), "%ld", number);
	table_cell(table, COLOUR_NONE, text);
}

int table_end(struct table *table, struct buf *out)
{
	cleanup_free char *text = NULL;

	if (!table->failed && scols_print_table_to_string(table->table, &text) == 0 &&
	    text != NULL) {
		buf_add_str(out, text);
		buf_add_str(out, "\n");
	} else {
		table->failed = true;
	}
	scols_unref_table(table->table);
	return table->failed ? -ENOMEM : 0;
}

static enum colour state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum colour colour;
	} colours[] = {
	    {"serving", COLOUR_GREEN},	 {"running", COLOUR_GREEN}, {"starting", COLOUR_YELLOW},
	    {"rolling", COLOUR_YELLOW},	 {"draining", COLOUR_CYAN}, {"retiring", COLOUR_CYAN},
	    {"restoring", COLOUR_RED},	 {"dumping", COLOUR_RED},   {"killed", COLOUR_RED},
	    {"waiting", COLOUR_RED},	 {"stopped", COLOUR_RED},   {"lame-duck", COLOUR_YELLOW},
	    {"stopping", COLOUR_YELLOW},
	};

	for (size_t i = 0; i < ARRAY_LEN(colours); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].colour;
	return COLOUR_NONE;
}

char *table_without_blanks(char *text)
{
	size_t len = 0;

	for (const char *p = text; *p != '\0'; p++)
		if (*p != ' ')
			text[len++] = *p;
	text[len] = '\0';
	return text;
}

void table_duration(struct table *table, double seconds)
{
	char text[DURATION_TEXT_MAX] = "";

	text_duration(seconds, text);
	table_cell(table, COLOUR_NONE, table_without_blanks(text));
}

void table_exact_duration(struct table *table, double seconds)
{
	char text[DURATION_TEXT_MAX] = "";

	text_exact_duration(seconds, text);
	table_cell(table, COLOUR_NONE, table_without_blanks(text));
}

/* What a worker says of itself, and what waits for it: "reload, 4.2 s left; 12 calls". */
static void add_status_text(const struct api_worker *worker, struct buf *out)
{
	char text[DURATION_TEXT_MAX];

	if (worker->deadline_s >= 0 && strcmp(worker->state, "waiting") == 0)
		buf_printf(out, "starts again in %s", text_duration(worker->deadline_s, text));
	else if (worker->deadline_s >= 0)
		buf_printf(out, "%s left", text_duration(worker->deadline_s, text));
	if (worker->reason[0] != '\0')
		buf_printf(out, "%s%s", out->len > 0 ? ": " : "", worker->reason);
	if (worker->probe_failure[0] != '\0')
		buf_printf(out, "%s%s", out->len > 0 ? "; " : "", worker->probe_failure);
	if (worker->status[0] != '\0')
		buf_printf(out, "%s%s", out->len > 0 ? "; " : "", worker->status);
}

/* What workers use is shown where their cgroups can tell it, so that the columns do not depend on
 * which workers there are just now. */
struct usage {
	bool memory, cpu;
};

static size_t worker_columns(const struct usage *usage, struct column columns[static 11])
{
	static const struct column first[] = {
	    {"POOL", false, false},    {"SLOT", true, false},	  {"GEN", true, false},
	    {"PID", true, false},      {"STATE", false, false},	  {"SINCE", true, false},
	    {"RESTARTS", true, false}, {"IN-FLIGHT", true, false}};
	size_t n = ARRAY_LEN(first);

	memcpy(columns, first, sizeof(first));
	if (usage->memory)
		columns[n++] = (struct column){"MEMORY", true, false};
	if (usage->cpu)
		columns[n++] = (struct column){"CPU", true, false};
	columns[n++] = (struct column){"STATUS", false, true};
	return n;
}

static void table_usage(struct table *table, const struct usage *usage,
			const struct api_worker *worker)
{
	if (usage->memory)
		table_cell(table, COLOUR_NONE,
			   worker->memory_bytes >= 0 ? SIZE_TEXT((uint64_t)worker->memory_bytes)
						     : "");
	if (usage->cpu)
		table_duration(table, worker->cpu_s);
}

int table_workers(const struct term *term, const struct api_status *status, struct buf *out)
{
	struct usage usage = {.memory = status->measures_memory,
			      .cpu = status->cgroups_path[0] != '\0'};
	struct column columns[11];
	size_t n_columns = worker_columns(&usage, columns);
	struct table table;

	table_begin(&table, term, columns, n_columns);
	for (size_t i = 0; i < status->n_workers && !table.failed; i++) {
		const struct api_worker *worker = &status->workers[i];
		cleanup_buf struct buf text = {0};

		add_status_text(worker, &text);
		table_line(&table);
		table_cell(&table, COLOUR_NONE, worker->pool);
		table_number(&table, worker->slot);
		table_number(&table, worker->generation);
		table_number(&table, worker->pid);
		table_cell(&table, state_colour(worker->state), worker->state);
		table_duration(&table, worker->since_s);
		table_number(&table, worker->restarts);
		table_number(&table, worker->inflight);
		table_usage(&table, &usage, worker);
		table_cell(&table, COLOUR_NONE, buf_text(&text));
	}
	return table_end(&table, out);
}

int table_pools(const struct term *term, const struct api_status *status, struct buf *out)
{
	static const struct column columns[] = {
	    {"POOL", false, false},    {"STATE", false, false},	    {"GEN", true, false},
	    {"WORKERS", true, false},  {"CONFIGURED", true, false}, {"SERVING", true, false},
	    {"STARTING", true, false}, {"DRAINING", true, false},   {"RESTARTS", true, false},
	    {"READY", false, false},   {"DEGRADED", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < status->n_pools && !table.failed; i++) {
		const struct api_pool *pool = &status->pools[i];

		table_line(&table);
		table_cell(&table, COLOUR_NONE, pool->name);
		table_cell(&table, state_colour(pool->state), pool->state);
		table_number(&table, pool->generation);
		table_number(&table, pool->workers);
		table_number(&table, pool->configured);
		table_number(&table, pool->serving);
		table_number(&table, pool->starting);
		table_number(&table, pool->draining);
		table_number(&table, pool->restarts);
		table_cell(&table, pool->ready ? COLOUR_GREEN : COLOUR_RED,
			   pool->ready ? "yes" : "no");
		table_cell(&table, pool->degraded ? COLOUR_RED : COLOUR_NONE,
			   !pool->degraded ? "no"
					   : (pool->reason[0] != '\0' ? pool->reason : "yes"));
	}
	return table_end(&table, out);
}

int table_sockets(const struct term *term, const struct api_status *status, struct buf *out)
{
	static const struct column columns[] = {{"SOCKET", false, false},
						{"ADDRESS", false, true},
						{"QUEUE", true, false},
						{"LIMIT", true, false},
						{"MENDED", true, false}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < status->n_sockets && !table.failed; i++) {
		const struct api_socket *socket = &status->sockets[i];
		char name[80];

		table_line(&table);
		snprintf(name, sizeof(name), socket->slot >= 0 ? "%s/%ld" : "%s", socket->name,
			 socket->slot);
		table_cell(&table, COLOUR_NONE, name);
		table_cell(&table, COLOUR_NONE, socket->address);
		table_number(&table, socket->queue);
		table_number(&table, socket->queue_limit);
		table_number(&table, socket->mended);
	}
	return table_end(&table, out);
}

/* "master 4200, api 4711 4712, instance new 99, gdb 5 (foreign)": who is of one kind stands
 * together. */
static void add_holders(const struct api_socket *socket, struct buf *out)
{
	const char *last = NULL;

	for (size_t i = 0; i < socket->n_holders; i++) {
		const struct api_holder *holder = &socket->holders[i];
		const char *group = holder->pool != NULL       ? holder->pool
				    : holder->instance != NULL ? holder->instance
							       : holder->role;
		bool same = last != NULL && strcmp(last, group) == 0 && holder->pool != NULL;

		if (!same && i > 0)
			buf_add_str(out, ", ");
		if (strcmp(holder->role, "other") == 0)
			buf_printf(out, "foreign: %s", holder->name);
		else if (!same)
			buf_printf(out, "%s%s", holder->instance != NULL ? "instance " : "", group);
		buf_printf(out, " %ld", holder->pid);
		last = group;
	}
}

static int by_role(const void *a, const void *b)
{
	const struct api_holder *x = a, *y = b;
	int r = strcmp(x->role, "master") == 0 ? -1
		: strcmp(y->role, "master") == 0
		    ? 1
		    : strcmp(y->role, x->role); /* workers before others before instances */

	if (r == 0 && x->pool != NULL && y->pool != NULL)
		r = strcmp(x->pool, y->pool);
	return r != 0 ? r : x->pid < y->pid ? -1 : 1;
}

int table_holders(const struct term *term, const struct api_status *status, struct buf *out)
{
	static const struct column columns[] = {
	    {"SOCKET", false, false}, {"KIND", false, false},  {"ADDRESS", false, false},
	    {"FROM", false, false},   {"QUEUE", true, false},  {"LIMIT", true, false},
	    {"GIVEN", true, false},   {"HELD BY", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < status->n_sockets && !table.failed; i++) {
		const struct api_socket *socket = &status->sockets[i];
		const char *space = strchr(socket->address, ' ');
		cleanup_buf struct buf held = {0};
		char name[128];

		if (socket->n_holders > 0)
			qsort(socket->holders, socket->n_holders, sizeof(*socket->holders),
			      by_role);
		add_holders(socket, &held);
		table_line(&table);
		snprintf(name, sizeof(name), socket->slot >= 0 ? "%s/%ld" : "%s", socket->name,
			 socket->slot);
		table_cell(&table, COLOUR_NONE, name);
		table_cell(&table, COLOUR_NONE, socket->kind);
		table_cell(&table, COLOUR_NONE, space != NULL ? space + 1 : socket->address);
		table_cell(&table, COLOUR_NONE, socket->source);
		table_number(&table, socket->queue);
		table_number(&table, socket->queue_limit);
		table_number(&table, socket->given);
		table_cell(&table, COLOUR_NONE, buf_text(&held));
	}
	return table_end(&table, out);
}

int table_stored(const struct term *term, const struct api_status *status, struct buf *out)
{
	static const struct column columns[] = {{"STORED FOR", false, false},
						{"KIND", false, false},
						{"COUNT", true, false},
						{"NAME", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < status->n_stored && !table.failed; i++) {
		const struct api_stored *stored = &status->stored[i];
		char slot[80];

		table_line(&table);
		snprintf(slot, sizeof(slot), "%s/%ld", stored->pool, stored->slot);
		table_cell(&table, COLOUR_NONE, slot);
		table_cell(&table, COLOUR_NONE, stored->kind);
		table_number(&table, stored->count);
		table_cell(&table, COLOUR_NONE, stored->name);
	}
	return table_end(&table, out);
}

int table_found(const struct term *term, const struct api_found *list, size_t n, struct buf *out)
{
	static const struct column columns[] = {
	    {"INSTANCE", false, false}, {"PID", true, false},	 {"STATE", false, false},
	    {"UP", true, false},	{"CONFIG", false, true}, {"SOCKET", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < n && !table.failed; i++) {
		const char *state = list[i].problem != NULL ? list[i].problem : list[i].state;

		table_line(&table);
		table_cell(&table, COLOUR_NONE, list[i].name);
		table_number(&table, list[i].pid > 0 ? list[i].pid : -1);
		table_cell(&table, list[i].problem != NULL ? COLOUR_RED : state_colour(state),
			   state);
		table_duration(&table, list[i].uptime_s);
		table_cell(&table, COLOUR_NONE, list[i].config != NULL ? list[i].config : "");
		table_cell(&table, COLOUR_NONE, list[i].socket);
	}
	return table_end(&table, out);
}
