/* Figures from the records. */
#include "rpc-load-measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-blame.h"
#include "rpc-load-options.h"
#include "rpc-load-records.h"
#include "rpc-load-util.h"

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool selection_has(const struct selection *selection, const struct record *record)
{
	return (selection->phase == ANY || record->phase == selection->phase) &&
	       (selection->stream == ANY || record->stream == selection->stream) &&
	       (selection->window == ANY || record->window == selection->window);
}

static double percentile_ms(const uint32_t *sorted, size_t count, unsigned percent)
{
	size_t rank = (count * percent + 99) / 100;

	return sorted[rank - 1] / (double)USEC_PER_MSEC;
}

static uint32_t record_net_latency(const struct record *record)
{
	return record->latency > record->asked ? record->latency - record->asked : 0;
}

/* Counts, and gathers latencies and generations, unsorted. Returns how many latencies there are. */
static size_t measure_gather(const struct records *records, const struct marks *marks,
			     const struct selection *selection, struct measure *measure,
			     uint32_t *latencies)
{
	size_t count = 0;

	for (size_t i = 0; i < records->count; i++) {
		const struct record *record = &records->list[i];

		if (!selection_has(selection, record))
			continue;
		measure->raced += record->raced;
		if (record->cause != 0 && blame_is_killed(marks, record)) {
			measure->killed++;
		} else if (record->cause != 0) {
			measure->failed++;
		} else {
			measure->generations[measure->answered++] = record->generation;
			if (record->stream < STREAMS_MAX)
				latencies[count++] = record_net_latency(record);
		}
	}
	return count;
}

static size_t unique_u32(uint32_t *sorted, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (i == 0 || sorted[i] != sorted[kept - 1])
			sorted[kept++] = sorted[i];
	return kept;
}

int measure_make(const struct records *records, const struct marks *marks,
		 struct selection selection, struct measure *ret)
{
	struct measure measure = {0};
	uint32_t *latencies = malloc((records->count + 1) * sizeof(uint32_t));
	size_t count;

	measure.generations = malloc((records->count + 1) * sizeof(unsigned));
	if (latencies == NULL || measure.generations == NULL) {
		free(latencies);
		free(measure.generations);
		return -ENOMEM;
	}
	count = measure_gather(records, marks, &selection, &measure, latencies);
	qsort(measure.generations, measure.answered, sizeof(unsigned), compare_u32);
	measure.generation_count = unique_u32(measure.generations, measure.answered);
	measure.has_latency = count > 0;
	if (count > 0) {
		qsort(latencies, count, sizeof(uint32_t), compare_u32);
		measure.p50_ms = percentile_ms(latencies, count, 50);
		measure.p99_ms = percentile_ms(latencies, count, 99);
		measure.max_ms = percentile_ms(latencies, count, 100);
	}
	free(latencies);
	*ret = measure;
	return 0;
}

void measure_done(struct measure *measure)
{
	free(measure->generations);
	measure->generations = NULL;
}

static struct failure *failure_find(struct failure *list, size_t count, const struct record *record,
				    bool killed)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].phase == record->phase && list[i].stream == record->stream &&
		    list[i].cause == record->cause && list[i].killed == killed)
			return &list[i];
	return NULL;
}

static int compare_failures(const void *a, const void *b)
{
	const struct failure *x = a, *y = b;

	return x->count > y->count ? -1 : x->count < y->count;
}

static double record_start_s(const struct records *records, const struct record *record)
{
	/* A request may be due a moment before the table that it goes into was there. */
	return ((double)record->intended - (double)records->start) / USEC_PER_SEC;
}

size_t failures_collect(const struct records *records, const struct marks *marks,
			struct failure list[FAILURES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < records->count; i++) {
		const struct record *record = &records->list[i];
		struct failure *failure;
		bool killed;

		if (record->cause == 0)
			continue;
		killed = blame_is_killed(marks, record);
		failure = failure_find(list, count, record, killed);
		if (failure == NULL && count < FAILURES_MAX) {
			failure = &list[count++];
			*failure = (struct failure){.phase = record->phase,
						    .stream = record->stream,
						    .cause = record->cause,
						    .killed = killed,
						    .first_s = record_start_s(records, record)};
		}
		if (failure != NULL)
			failure->count++;
	}
	qsort(list, count, sizeof(*list), compare_failures);
	return count;
}
