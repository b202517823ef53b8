/* The end of a run, for people. */
#include "rpc-load-report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "rpc-load-measure.h"
#include "rpc-load-run.h"
#include "rpc-load-util.h"

#define LINES_MAX    20
#define LAG_NOTED_MS 20

/* "1-3,5" */
static void generations_format(const struct measure *measure, char *text, size_t size)
{
	size_t used = 0, i = 0;

	text[0] = '\0';
	while (i < measure->generation_count && used + 24 < size) {
		unsigned first = measure->generations[i], last = first;

		while (++i < measure->generation_count && measure->generations[i] == last + 1)
			last++;
		used +=
		    (size_t)snprintf(text + used, size - used, first == last ? "%s%u" : "%s%u-%u",
				     used > 0 ? "," : "", first, last);
	}
	if (i < measure->generation_count)
		snprintf(text + used, size - used, ",...");
}

static void print_row(FILE *to, const char *name, uint64_t sent, const struct measure *m)
{
	char generations[64];

	generations_format(m, generations, sizeof(generations));
	fprintf(to, "%-20s %9" PRIu64 " %9" PRIu64 " %7" PRIu64 " %7" PRIu64 " %6" PRIu64, name,
		sent, m->answered, m->failed, m->killed, m->raced);
	if (m->has_latency)
		fprintf(to, " %9.2f %9.2f %9.2f", m->p50_ms, m->p99_ms, m->max_ms);
	else
		fprintf(to, " %9s %9s %9s", "-", "-", "-");
	fprintf(to, "  %s\n", generations);
}

static int print_phase(const struct run *run, FILE *to, int phase)
{
	const char *name = phase == ANY ? "all" : run->records.phases[phase].name;
	uint64_t sent = phase == ANY ? run->sent : run->records.phases[phase].sent;
	struct measure measure;
	int r;

	r = measure_make(&run->records, &run->marks, (struct selection){phase, ANY, ANY}, &measure);
	if (r < 0)
		return r;
	print_row(to, name, sent, &measure);
	measure_done(&measure);
	return 0;
}

static int print_phases(const struct run *run, FILE *to)
{
	int r = 0;

	fprintf(to, "%-20s %9s %9s %7s %7s %6s %9s %9s %9s  %s\n", "phase", "sent", "answered",
		"failed", "killed", "raced", "p50 ms", "p99 ms", "max ms", "generations");
	for (unsigned i = 0; i < run->records.phase_count && r == 0; i++)
		if (run->records.phases[i].sent > 0)
			r = print_phase(run, to, (int)i);
	return r == 0 ? print_phase(run, to, ANY) : r;
}

static int print_window(const struct run *run, FILE *to, unsigned stream)
{
	struct measure in, out;
	int r;

	r = measure_make(&run->records, &run->marks, (struct selection){ANY, (int)stream, 1}, &in);
	if (r < 0)
		return r;
	r = measure_make(&run->records, &run->marks, (struct selection){ANY, (int)stream, 0}, &out);
	if (r < 0) {
		measure_done(&in);
		return r;
	}
	if (in.has_latency && out.has_latency)
		fprintf(to, "  %-28s %9.2f inside %9.2f outside\n", run_stream_name(run, stream),
			in.p99_ms, out.p99_ms);
	measure_done(&in);
	measure_done(&out);
	return 0;
}

static int print_windows(const struct run *run, FILE *to)
{
	int r = 0;

	if (run->records.windows == 0)
		return 0;
	fprintf(to, "\np99 ms inside and outside of %u windows (%.1f s in all):\n",
		run->records.windows, (double)run->records.window_time / USEC_PER_SEC);
	for (unsigned i = 0; i < run->opts->stream_count && r == 0; i++)
		r = print_window(run, to, i);
	return r;
}

static int print_failures(const struct run *run, FILE *to)
{
	struct failure *list = calloc(FAILURES_MAX, sizeof(*list));
	size_t count;

	if (list == NULL)
		return -ENOMEM;
	count = failures_collect(&run->records, &run->marks, list);
	if (count > 0)
		fprintf(to, "\nfailures (in phase, stream: cause):\n");
	for (size_t i = 0; i < count && i < LINES_MAX; i++)
		fprintf(to, "  %6" PRIu64 " %s in %s, %s: %s (first at %.3f s)\n", list[i].count,
			list[i].killed ? "killed" : "failed",
			run->records.phases[list[i].phase].name,
			run_stream_name(run, list[i].stream), run->records.causes[list[i].cause],
			list[i].first_s);
	if (count > LINES_MAX)
		fprintf(to, "  and %zu more kinds of failure\n", count - LINES_MAX);
	free(list);
	return 0;
}

int report_print(const struct run *run, FILE *to)
{
	int r = print_phases(run, to);

	if (r < 0)
		return r;
	fprintf(to,
		"latency: from the moment a request was due, without the time it asked the worker "
		"to take\n");
	if (run->lag_max > LAG_NOTED_MS * USEC_PER_MSEC)
		fprintf(
		    to,
		    "note: this client itself was up to %.1f ms late, which is in the figures\n",
		    (double)run->lag_max / USEC_PER_MSEC);
	r = print_windows(run, to);
	return r == 0 ? print_failures(run, to) : r;
}
