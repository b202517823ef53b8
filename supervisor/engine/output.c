/* output.c - what workers write: where it goes from their start to a while after their end. */
#include "engine/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/output_internal.h"

enum {
	OUTPUT_BATCH = 128 * 1024, /* written to a file in one go */
	/* read from a pipe whose worker has ended: more than a full one, even of empty lines */
	OUTPUT_LAST_MAX = 8 * 1024 * 1024,
	OUTPUT_DROPS_TOLD = 20, /* workers named in one report of drops */
};

/* ---- lines that do not get through ---- */

static void output_tell_drops(struct output *output)
{
	if (output->dropped == output->told)
		return;
	log_warning("pool %s slot %u: %llu lines dropped: %s was not read fast enough",
		    output->pool, output->slot,
		    (unsigned long long)(output->dropped - output->told),
		    output->outputs->journal.on ? "the journal" : "standard error");
	output->told = output->dropped;
}

static void outputs_tell_drops(evutil_socket_t fd, short what, void *arg)
{
	struct outputs *outputs = arg;
	unsigned told = 0, workers = 0;
	uint64_t rest = 0;
	struct output *output;

	(void)fd;
	(void)what;
	for (output = TAILQ_FIRST(&outputs->living); output != NULL;
	     output = TAILQ_NEXT(output, place)) {
		if (output->dropped == output->told)
			continue;
		if (told++ < OUTPUT_DROPS_TOLD) {
			output_tell_drops(output);
			continue;
		}
		rest += output->dropped - output->told;
		output->told = output->dropped;
		workers++;
	}
	if (workers > 0)
		log_warning("%u more workers: %llu lines dropped", workers,
			    (unsigned long long)rest);
}

uint64_t output_dropped(const struct proc *proc)
{
	return proc->output != NULL ? proc->output->dropped : 0;
}

uint64_t outputs_dropped(const struct engine *engine)
{
	return engine->outputs->dropped;
}

/* ---- opening ---- */

int output_complain(char **ret_error, int error, const char *what)
{
	if (asprintf(ret_error, "cannot %s: %s", what, strerror(-error)) == -1)
		*ret_error = NULL;
	return error;
}

static bool is_captured(const struct output_spec *spec)
{
	return spec->kind == OUTPUT_CAPTURE || spec->kind == OUTPUT_FILE;
}

static bool is_same(const struct output_spec *a, const struct output_spec *b)
{
	return a->kind == b->kind && (a->kind != OUTPUT_FILE || strcmp(a->path, b->path) == 0);
}

/* What is not captured: nothing, or ours (-1). */
static int open_other(const struct output_spec *spec, int *ret_fd, char **ret_error)
{
	int fd = -1;

	if (spec->kind == OUTPUT_NULL) {
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (fd == -1)
			return output_complain(ret_error, -errno, "open /dev/null");
	}
	*ret_fd = fd;
	return 0;
}

static int open_one(struct output *output, struct output_stream *stream,
		    const struct output_spec *spec, int *ret_fd, char **ret_error)
{
	static const struct output_spec capture = {.kind = OUTPUT_CAPTURE};

	if (spec->kind == OUTPUT_JOURNAL) {
		if (output_journal_open(output, ret_fd) == 0)
			return 0;
		spec = &capture;
	}
	if (is_captured(spec))
		return stream_open(output->outputs, stream, spec, ret_fd, ret_error);
	return open_other(spec, ret_fd, ret_error);
}

/* The two go into one pipe where they go the same way: so their lines stay in order. */
static int output_open_streams(struct output *output, const struct pool_spec *spec, int *ret_stdout,
			       int *ret_stderr, char **ret_error)
{
	const struct output_spec *specs[2] = {&spec->stdout_to, &spec->stderr_to};
	cleanup_close int first = -1;
	int second = -1, r;

	r = open_one(output, &output->streams[0], specs[0], &first, ret_error);
	if (r < 0)
		return r;
	if (first >= 0 && is_same(specs[0], specs[1])) {
		second = fcntl(first, F_DUPFD_CLOEXEC, 3);
		if (second == -1)
			r = output_complain(ret_error, -errno, "duplicate a worker's output");
	} else {
		r = open_one(output, &output->streams[1], specs[1], &second, ret_error);
	}
	if (r < 0)
		return r;
	*ret_stdout = TAKE_FD(first);
	*ret_stderr = second;
	return 0;
}

int output_open(struct engine *engine, struct proc *proc, const struct pool_spec *spec,
		int *ret_stdout, int *ret_stderr, char **ret_error)
{
	struct output *output = calloc(1, sizeof(*output));
	int r;

	if (output != NULL)
		output->pool = strdup(spec->name);
	if (output == NULL || output->pool == NULL) {
		free(output);
		return output_complain(ret_error, -ENOMEM, "keep output");
	}
	output->outputs = engine->outputs;
	output->proc = proc;
	output->slot = proc->slot;
	output->generation = proc->generation;
	output->tail.max = OUTPUT_TAIL_MAX;
	output->streams[0].output = output->streams[1].output = output;
	TAILQ_INSERT_TAIL(&engine->outputs->living, output, place);
	proc->output = output;
	r = output_open_streams(output, spec, ret_stdout, ret_stderr, ret_error);
	if (r < 0)
		output_free(proc);
	return r;
}

/* ---- the end ---- */

static void output_destroy(struct output *output)
{
	struct outputs *outputs = output->outputs;

	for (size_t i = 0; i < ARRAY_LEN(output->streams); i++)
		stream_close(&output->streams[i]);
	tail_forget(output);
	TAILQ_REMOVE(output->gone ? &outputs->ended : &outputs->living, output, place);
	if (output->proc != NULL)
		output->proc->output = NULL;
	free(output->pool);
	free(output);
}

void output_close(struct proc *proc)
{
	struct output *output = proc->output;
	struct outputs *outputs;

	if (output == NULL || output->gone)
		return;
	outputs = output->outputs;
	if (proc->pid > 0)
		output->pid = proc->pid;
	for (size_t i = 0; i < ARRAY_LEN(output->streams); i++) {
		if (output->streams[i].readable != NULL)
			stream_read(&output->streams[i], OUTPUT_LAST_MAX);
		stream_close(&output->streams[i]);
	}
	output_tell_drops(output);
	TAILQ_REMOVE(&outputs->living, output, place);
	output->gone = true;
	TAILQ_INSERT_TAIL(&outputs->ended, output, place);
}

void output_free(struct proc *proc)
{
	struct output *output = proc->output, *oldest;
	struct outputs *outputs;

	if (output == NULL)
		return;
	outputs = output->outputs;
	output_close(proc);
	output->proc = NULL;
	proc->output = NULL;
	if (output->tail.size == 0) {
		output_destroy(output);
		return;
	}
	if (++outputs->n_ended <= OUTPUT_GONE_MAX)
		return;
	oldest = TAILQ_FIRST(&outputs->ended);
	while (oldest->proc != NULL)
		oldest = TAILQ_NEXT(oldest, place);
	outputs->n_ended--;
	output_destroy(oldest);
}

void output_catch_up(struct proc *proc)
{
	for (size_t i = 0; proc->output != NULL && i < ARRAY_LEN(proc->output->streams); i++)
		stream_catch_up(&proc->output->streams[i]);
}

void output_capture(struct proc *proc, struct buf *into)
{
	if (proc->output != NULL)
		proc->output->capture = into;
}

void outputs_reopen(struct engine *engine)
{
	struct output_file *file;

	for (file = LIST_FIRST(&engine->outputs->files); file != NULL;
	     file = LIST_NEXT(file, place))
		output_file_reopen(file);
}

int outputs_new(struct engine *engine)
{
	struct outputs *outputs = calloc(1, sizeof(*outputs));

	if (outputs == NULL)
		return -ENOMEM;
	outputs->engine = engine;
	outputs->batch.max = OUTPUT_BATCH;
	outputs->quota = OUTPUT_READ_MAX;
	TAILQ_INIT(&outputs->living);
	TAILQ_INIT(&outputs->ended);
	TAILQ_INIT(&outputs->ages);
	LIST_INIT(&outputs->files);
	LIST_INIT(&outputs->followers);
	engine->outputs = outputs;
	outputs->drops_timer = evtimer_new(engine->base, outputs_tell_drops, outputs);
	if (outputs->drops_timer == NULL || sink_open(&outputs->sink, engine->base) < 0 ||
	    journal_new(&outputs->journal, engine) < 0) {
		outputs_free(engine);
		return -ENOMEM;
	}
	log_set_writer(sink_log, &outputs->sink);
	return 0;
}

void outputs_free(struct engine *engine)
{
	struct outputs *outputs = engine->outputs;
	struct follower *follower;

	if (outputs == NULL)
		return;
	while (!TAILQ_EMPTY(&outputs->living))
		output_destroy(TAILQ_FIRST(&outputs->living));
	while (!TAILQ_EMPTY(&outputs->ended))
		output_destroy(TAILQ_FIRST(&outputs->ended));
	while ((follower = LIST_FIRST(&outputs->followers)) != NULL) {
		LIST_REMOVE(follower, place);
		free(follower);
	}
	journal_free(&outputs->journal);
	log_set_writer(NULL, NULL);
	sink_close(&outputs->sink);
	buf_free(&outputs->batch);
	if (outputs->drops_timer != NULL)
		event_free(outputs->drops_timer);
	free(outputs);
	engine->outputs = NULL;
}
