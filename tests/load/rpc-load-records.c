/* What happened to every request. */
#include "rpc-load-records.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-util.h"

int records_init(struct records *records, size_t max)
{
	memset(records, 0, sizeof(*records));
	/* One piece, never moved: growing it under load would stall the client. */
	records->list = malloc(max * sizeof(struct record));
	if (records->list == NULL)
		return -ENOMEM;
	records->max = max;
	records->start = now_usec();
	records->cause_count = 1; /* 0 stands for none */
	return records_set_phase(records, "load");
}

void records_done(struct records *records)
{
	free(records->list);
	records->list = NULL;
}

void records_sent(struct records *records)
{
	records->phases[records->phase].sent++;
}

/* Causes may quote the server; they end up in CSV, in JSON and on terminals. */
static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"';
}

static uint8_t records_intern(struct records *records, const char *raw)
{
	char cause[sizeof(records->causes[0])];
	unsigned i;

	snprintf(cause, sizeof(cause), "%s", raw);
	for (char *p = cause; *p != '\0'; p++)
		if (!is_plain(*p))
			*p = '?';
	for (i = 1; i < records->cause_count; i++)
		if (strcmp(records->causes[i], cause) == 0)
			return (uint8_t)i;
	if (i == CAUSES_MAX - 1)
		strcpy(cause, "something else");
	if (i < CAUSES_MAX)
		snprintf(records->causes[records->cause_count++], sizeof(records->causes[0]), "%s",
			 cause);
	return (uint8_t)(records->cause_count - 1);
}

const char *records_add(struct records *records, const struct record *record, const char *cause)
{
	struct phase *phase = &records->phases[record->phase];
	struct record *to = &records->list[records->count];

	assert(records->count < records->max); /* whoever sends requests keeps to the maximum */
	records->count++;
	*to = *record;
	to->cause = cause != NULL ? records_intern(records, cause) : 0;
	phase->answered += cause == NULL;
	phase->failed += cause != NULL;
	phase->raced += record->raced;
	return cause != NULL ? records->causes[to->cause] : NULL;
}

int records_set_phase(struct records *records, const char *name)
{
	size_t len = strlen(name);
	unsigned i;

	for (const char *p = name; *p != '\0'; p++)
		if (!is_plain(*p))
			return -EINVAL;
	if (len == 0)
		return -EINVAL;
	if (len > NAME_MAX_LEN)
		return -ENAMETOOLONG;
	for (i = 0; i < records->phase_count; i++)
		if (strcmp(records->phases[i].name, name) == 0)
			break;
	if (i == PHASES_MAX)
		return -ENOSPC;
	if (i == records->phase_count)
		strcpy(records->phases[records->phase_count++].name, name);
	records->phase = (uint8_t)i;
	return 0;
}

void records_set_window(struct records *records, bool open)
{
	if (open == records->window)
		return;
	records->window = open;
	if (open) {
		records->windows++;
		records->window_since = now_usec();
	} else {
		records->window_time += now_usec() - records->window_since;
	}
}
