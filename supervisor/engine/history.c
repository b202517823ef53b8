/* history.c - the last transactions in bounded memory. */
#include "engine/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
	return text != NULL ? strndup(text, HISTORY_TEXT_MAX) : NULL;
}

static void record_free(struct history_record *record)
{
	if (record == NULL)
		return;
	free(record->by);
	free(record->unit);
	free(record->what);
	free(record->message);
	free(record);
}

struct history_record *history_begin(struct history *history, const struct history_begin *begin,
				     usec_t now)
{
	struct history_record *record = calloc(1, sizeof(*record));

	if (record == NULL)
		return NULL;
	record->number = begin->number;
	record->kind = begin->kind;
	record->by = copy(begin->by);
	record->unit = copy(begin->unit);
	record->what = copy(begin->what);
	record->callers = begin->callers;
	record->asked = begin->asked;
	record->waited = begin->waited;
	record->begun = now;
	if (history->n == HISTORY_KEPT) {
		record_free(history->list[0]);
		history->n--;
		memmove(&history->list[0], &history->list[1],
			history->n * sizeof(history->list[0]));
		history->dropped++;
	}
	history->list[history->n++] = record;
	return record;
}

struct history_record *history_find(const struct history *history, uint64_t number)
{
	for (unsigned i = history->n; i > 0; i--)
		if (history->list[i - 1]->number == number)
			return history->list[i - 1];
	return NULL;
}

bool history_is_open(const struct history_record *record)
{
	return record->ended == 0 || record->left < record->leaving;
}

void history_prepared(struct history_record *record, usec_t now)
{
	record->prepared = now;
}

void history_ended(struct history_record *record, enum result result, const char *message,
		   usec_t now)
{
	record->ended = now;
	record->result = result;
	free(record->message);
	record->message = copy(message);
}

static void take_slower(struct history_worker *slowest, const struct history_worker *worker)
{
	if (slowest->pool[0] == '\0' || worker->took > slowest->took)
		*slowest = *worker;
}

void history_ready(struct history_record *record, const struct history_worker *worker)
{
	take_slower(&record->slowest_start, worker);
}

void history_leaves(struct history_record *record, usec_t now)
{
	if (record->leaving++ == 0)
		record->drain_begun = now;
}

void history_left(struct history_record *record, const struct history_worker *worker, usec_t now)
{
	if (record->left == record->leaving)
		return; /* it was not told for this one */
	record->left++;
	record->drained = now;
	take_slower(&record->slowest_drain, worker);
}

void history_queue(struct history_record *record, const char *socket, unsigned waiting,
		   unsigned limit)
{
	if (record->queue_socket[0] != '\0' && waiting <= record->queue)
		return;
	snprintf(record->queue_socket, sizeof(record->queue_socket), "%s", socket);
	record->queue = waiting;
	record->queue_limit = limit;
}

void history_free(struct history *history)
{
	while (history->n > 0)
		record_free(history->list[--history->n]);
}
