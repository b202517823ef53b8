/* table_past.c - the tables of `why` and `history`. */
#include <string.h>

#include "base/fd.h"
#include "cli/table_internal.h"
#include "cli/text.h"

/* One word, as a duration: "2026-11-23T14:02:11", or the time alone on a terminal today. */
static void table_time(struct table *table, const char *time)
{
	cleanup_buf struct buf text = {0};

	text_add_time(&text, time, false, table->term->tty);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == ' ')
			text.data[i] = 'T';
	table_cell(table, COLOUR_NONE, buf_text(&text));
}

int table_incidents(const struct term *term, const struct api_incident *list, size_t n,
		    struct buf *out)
{
	static const struct column columns[] = {{"ID", true, false},	  {"ENDED", false, false},
						{"WORKER", false, false}, {"GEN", true, false},
						{"PID", true, false},	  {"UP", true, false},
						{"KIND", false, false},	  {"WHAT", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < n && !table.failed; i++) {
		cleanup_buf struct buf worker = {0};

		buf_printf(&worker, "%s/%ld", list[i].pool, list[i].slot);
		table_line(&table);
		table_number(&table, list[i].id);
		table_time(&table, list[i].time);
		table_cell(&table, COLOUR_NONE, buf_text(&worker));
		table_number(&table, list[i].generation);
		table_number(&table, list[i].pid > 0 ? list[i].pid : -1);
		table_exact_duration(&table, list[i].up_s);
		table_cell(&table, strcmp(list[i].kind, "exited") == 0 ? COLOUR_YELLOW : COLOUR_RED,
			   list[i].kind);
		table_cell(&table, COLOUR_NONE, list[i].message);
	}
	return table_end(&table, out);
}

static void table_milliseconds(struct table *table, long milliseconds)
{
	table_exact_duration(table, milliseconds >= 0 ? (double)milliseconds / 1000 : -1);
}

/* "api/2:1.2s" */
static void table_slowest(struct table *table, const struct api_slowest *slowest)
{
	cleanup_buf struct buf text = {0};
	char took[DURATION_TEXT_MAX] = "";

	text_exact_duration((double)slowest->ms / 1000, took);
	if (slowest->pool[0] != '\0' && slowest->ms >= 0)
		buf_printf(&text, "%s/%ld:%s", slowest->pool, slowest->slot,
			   table_without_blanks(took));
	table_cell(table, COLOUR_NONE, buf_text(&text));
}

/* "web:128/4096" */
static void table_queue(struct table *table, const struct api_record *record)
{
	cleanup_buf struct buf text = {0};

	if (record->queue_socket[0] != '\0')
		buf_printf(&text, "%s:%ld/%ld", record->queue_socket, record->queue,
			   record->queue_limit);
	table_cell(table, COLOUR_NONE, buf_text(&text));
}

static void table_record(struct table *table, const struct api_record *record)
{
	bool running =
	    strcmp(record->result, "running") == 0 || strcmp(record->result, "held") == 0;
	bool good = strcmp(record->result, "committed") == 0;
	cleanup_buf struct buf by = {0};

	table_line(table);
	table_number(table, record->id);
	table_time(table, record->asked);
	table_cell(table, COLOUR_NONE, record->kind);
	table_cell(table,
		   running ? COLOUR_YELLOW
		   : good  ? COLOUR_GREEN
			   : COLOUR_RED,
		   record->result);
	table_milliseconds(table, record->waited_ms > 0 ? record->waited_ms : -1);
	table_milliseconds(table, record->prepare_ms);
	table_milliseconds(table, running ? record->duration_ms : record->ready_ms);
	table_milliseconds(table, record->drain_ms);
	table_slowest(table, &record->start);
	table_slowest(table, &record->drain);
	table_queue(table, record);
	table_cell(table, COLOUR_NONE, record->what);
	buf_add_str(&by, record->by);
	if (record->unit[0] != '\0')
		buf_printf(&by, " (%s)", record->unit);
	table_cell(table, COLOUR_NONE, buf_text(&by));
}

int table_history(const struct term *term, const struct api_record *list, size_t n, struct buf *out)
{
	static const struct column columns[] = {{"ID", true, false},
						{"ASKED", false, false},
						{"KIND", false, false},
						{"RESULT", false, false},
						{"WAITED", true, false},
						{"PREPARE", true, false},
						{"READY", true, false},
						{"DRAIN", true, false},
						{"SLOWEST-START", false, false},
						{"SLOWEST-DRAIN", false, false},
						{"QUEUE-MAX", false, false},
						{"WHAT", false, true},
						{"BY", false, true}};
	struct table table;

	table_begin(&table, term, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < n && !table.failed; i++)
		table_record(&table, &list[i]);
	return table_end(&table, out);
}
