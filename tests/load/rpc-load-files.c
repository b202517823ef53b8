/* The end of a run, for programs. */
#include "rpc-load-files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-blame.h"
#include "rpc-load-measure.h"
#include "rpc-load-run.h"
#include "rpc-load-util.h"

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static uint64_t count_killed(const struct run *run)
{
	uint64_t killed = 0;

	for (size_t i = 0; i < run->records.count; i++)
		if (run->records.list[i].cause != 0 &&
		    blame_is_killed(&run->marks, &run->records.list[i]))
			killed++;
	return killed;
}

json_t *stats_json(const struct run *run)
{
	uint64_t answered = 0, failed = 0, raced = 0, killed;

	for (unsigned i = 0; i < run->records.phase_count; i++) {
		answered += run->records.phases[i].answered;
		failed += run->records.phases[i].failed;
		raced += run->records.phases[i].raced;
	}
	killed = failed > 0 ? count_killed(run) : 0;
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "event", "stats", "phase",
			 run->records.phases[run->records.phase].name, "sent", integer(run->sent),
			 "answered", integer(answered), "failed", integer(failed - killed),
			 "killed", integer(killed), "raced", integer(raced), "in_flight",
			 integer(run->inflight));
}

static void measure_to_json(const struct measure *measure, json_t *to)
{
	json_t *generations = json_array();

	json_object_set_new(to, "answered", integer(measure->answered));
	json_object_set_new(to, "failed", integer(measure->failed));
	json_object_set_new(to, "killed", integer(measure->killed));
	json_object_set_new(to, "raced", integer(measure->raced));
	if (measure->has_latency) {
		json_object_set_new(to, "p50_ms", json_real(measure->p50_ms));
		json_object_set_new(to, "p99_ms", json_real(measure->p99_ms));
		json_object_set_new(to, "max_ms", json_real(measure->max_ms));
	}
	for (size_t i = 0; i < measure->generation_count; i++)
		json_array_append_new(generations, integer(measure->generations[i]));
	json_object_set_new(to, "generations", generations);
}

static json_t *selection_json(const struct run *run, struct selection selection)
{
	struct measure measure;
	json_t *json = json_object();

	if (measure_make(&run->records, &run->marks, selection, &measure) < 0)
		return json;
	measure_to_json(&measure, json);
	measure_done(&measure);
	return json;
}

static void windows_to_json(const struct run *run, int stream, json_t *to)
{
	json_object_set_new(to, "inside_windows",
			    selection_json(run, (struct selection){ANY, stream, 1}));
	json_object_set_new(to, "outside_windows",
			    selection_json(run, (struct selection){ANY, stream, 0}));
}

static json_t *phases_json(const struct run *run)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < run->records.phase_count; i++) {
		const struct phase *phase = &run->records.phases[i];
		json_t *json;

		if (phase->sent == 0)
			continue;
		json = selection_json(run, (struct selection){(int)i, ANY, ANY});
		json_object_set_new(json, "name", json_string(phase->name));
		json_object_set_new(json, "sent", integer(phase->sent));
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *streams_json(const struct run *run)
{
	json_t *list = json_array();

	for (int i = 0; i < STREAM_INDEX_MAX; i++) {
		json_t *json;

		if (i >= (int)run->opts->stream_count && i < STREAM_HANG)
			continue;
		json = selection_json(run, (struct selection){ANY, i, ANY});
		json_object_set_new(json, "name", json_string(run_stream_name(run, (unsigned)i)));
		windows_to_json(run, i, json);
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *failures_json(const struct run *run)
{
	struct failure *found = calloc(FAILURES_MAX, sizeof(*found));
	json_t *list = json_array();
	size_t count = found != NULL ? failures_collect(&run->records, &run->marks, found) : 0;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:f}", "phase",
				    run->records.phases[found[i].phase].name, "stream",
				    run_stream_name(run, found[i].stream), "outcome",
				    found[i].killed ? "killed" : "failed", "cause",
				    run->records.causes[found[i].cause], "count",
				    integer(found[i].count), "first_s", found[i].first_s));
	free(found);
	return list;
}

static json_t *summary_json(const struct run *run)
{
	json_t *total = selection_json(run, (struct selection){ANY, ANY, ANY});

	json_object_set_new(total, "sent", integer(run->sent));
	windows_to_json(run, ANY, total);
	return json_pack("{s:o, s:o, s:o, s:o, s:{s:i, s:f}, s:f}", "total", total, "phases",
			 phases_json(run), "streams", streams_json(run), "failures",
			 failures_json(run), "windows", "count", (int)run->records.windows,
			 "seconds", (double)run->records.window_time / USEC_PER_SEC,
			 "client_lag_max_ms", (double)run->lag_max / USEC_PER_MSEC);
}

static int file_finish(FILE *file, const char *path, bool written)
{
	/* A full disk may be noticed only when the last bytes go out. */
	if (fclose(file) == 0 && written)
		return 0;
	fprintf(stderr, "rpc-load: cannot write %s: %s\n", path, strerror(errno));
	return -EIO;
}

static FILE *file_open(const char *path)
{
	FILE *file = fopen(path, "we");

	if (file == NULL)
		fprintf(stderr, "rpc-load: cannot write %s: %s\n", path, strerror(errno));
	return file;
}

int summary_write(const struct run *run, const char *path)
{
	FILE *file = file_open(path);
	json_t *json;
	bool written;

	if (file == NULL)
		return -EIO;
	json = summary_json(run);
	written =
	    json != NULL && json_dumpf(json, file, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(json);
	return file_finish(file, path, written);
}

static const char *record_outcome(const struct run *run, const struct record *record)
{
	if (record->cause == 0)
		return "answered";
	return blame_is_killed(&run->marks, record) ? "killed" : "failed";
}

int records_write(const struct run *run, const char *path)
{
	FILE *file = file_open(path);

	if (file == NULL)
		return -EIO;
	fprintf(file, "stream,phase,window,intended_usec,late_usec,latency_usec,asked_usec,outcome,"
		      "raced,pid,generation,cause\n");
	for (size_t i = 0; i < run->records.count; i++) {
		const struct record *r = &run->records.list[i];

		fprintf(file,
			"%s,\"%s\",%d,%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32
			",%s,%d,%" PRId32 ",%" PRIu32 ",\"%s\"\n",
			run_stream_name(run, r->stream), run->records.phases[r->phase].name,
			r->window, r->intended, r->late, r->latency, r->asked,
			record_outcome(run, r), r->raced, r->pid, r->generation,
			run->records.causes[r->cause]);
	}
	return file_finish(file, path, !ferror(file));
}
