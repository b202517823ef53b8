/* output_stream.c - a worker's pipe: from bytes to lines, and from lines to where they go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/output_internal.h"

#define STREAM_DROPS_INTERVAL (10 * USEC_PER_SEC)

enum {
	STREAM_FILE_LINE_MAX = 64 * 1024, /* a line of a log file is not cut before that */
	STREAM_TURN_MAX = 256 * 1024,	  /* read from all workers in one turn of the loop, about */
	STREAM_SHARE_MIN = 4096,	  /* and from each of them at least */
	STREAM_LINE_COST = 64,		  /* a line takes as long as so many bytes */
};

/* ---- from bytes to lines ---- */

static void output_drop(struct output *output)
{
	struct outputs *outputs = output->outputs;

	output->dropped++;
	outputs->dropped++;
	if (!evtimer_pending(outputs->drops_timer, NULL))
		engine_arm(outputs->drops_timer, STREAM_DROPS_INTERVAL);
}

static void output_forward(struct output *output, const char *text, size_t len)
{
	const struct engine *engine = output->outputs->engine;
	struct sink *sink = &output->outputs->sink;
	char line[OUTPUT_TEXT_MAX];
	int r = journal_output(&output->outputs->journal, output, text, len);

	if (r == 0)
		return;
	if (r == -ENOBUFS || !sink_has_room(sink, len)) {
		output_drop(output);
		return;
	}
	len = output_line_format(output,
				 engine->config != NULL
				     ? engine->config->config->supervisor.log_format
				     : LOG_FORMAT_TEXT,
				 text, len, line, sizeof(line));
	sink_add(sink, line, len);
}

static void output_take_line(struct output *output, const char *text, size_t len, bool forward)
{
	struct outputs *outputs = output->outputs;
	struct output_line line;

	tail_add(output, text, len);
	if (output->capture != NULL) {
		buf_add(output->capture, text, len);
		buf_add_str(output->capture, "\n");
	}
	if (!LIST_EMPTY(&outputs->followers)) {
		line = output_describe(output, clock_wall(), text, len);
		outputs_tell_line(outputs, &line);
	}
	if (forward)
		output_forward(output, text, len);
}

/* The lines of one turn are written to a file in one go. */
static void stream_write_batch(struct output_stream *stream)
{
	struct buf *batch = &stream->output->outputs->batch;

	if (stream->file != NULL && batch->len > 0)
		stream->output->outputs->dropped +=
		    output_file_write(stream->file, batch->data, batch->len);
	buf_free(batch);
}

static void stream_add_batch(struct output_stream *stream, const char *text, size_t len)
{
	struct buf *batch = &stream->output->outputs->batch;

	if (batch->len + len + 1 > batch->max)
		stream_write_batch(stream);
	buf_add(batch, text, len);
	buf_add_str(batch, "\n");
}

/* One line, or as much of an endless one as is kept together. */
static void stream_take_line(struct output_stream *stream, const char *text, size_t len)
{
	struct output *output = stream->output;
	size_t piece;

	if (stream->file != NULL)
		stream_add_batch(stream, text, len);
	if (len > 0 && text[len - 1] == '\r')
		len--;
	do {
		piece = len > OUTPUT_LINE_MAX ? output_line_whole(text, OUTPUT_LINE_MAX) : len;
		output_take_line(output, text, piece, stream->file == NULL);
		text += piece;
		len -= piece;
	} while (len > 0);
}

/* A line without end is told in pieces. */
static void stream_take_partial(struct output_stream *stream, bool complete)
{
	struct buf rest = {.max = stream->partial.max};
	struct buf full = stream->partial;
	size_t len = complete ? full.len : output_line_whole(full.data, full.len);

	stream->partial = rest;
	stream_take_line(stream, buf_text(&full), len);
	if (len < full.len)
		buf_add(&stream->partial, full.data + len, full.len - len);
	buf_free(&full);
}

/* Returns how many lines there were. */
static size_t stream_take(struct output_stream *stream, const char *data, size_t len)
{
	size_t max = stream->partial.max, lines = 0;

	while (len > 0) {
		const char *newline = memchr(data, '\n', len);
		size_t n = newline != NULL ? (size_t)(newline - data) : len;

		if (stream->partial.len == 0 && newline != NULL && n <= max) {
			stream_take_line(stream, data, n);
		} else {
			bool fits = n <= max - stream->partial.len;

			if (!fits) {
				n = max - stream->partial.len;
				newline = NULL;
			}
			buf_add(&stream->partial, data, n);
			if (stream->partial.cut) /* no memory: the piece is lost */
				buf_free(&stream->partial);
			else if (newline != NULL || !fits)
				stream_take_partial(stream, newline != NULL);
		}
		data += n + (newline != NULL);
		len -= n + (newline != NULL);
		lines++;
	}
	return lines;
}

/* ---- reading ---- */

void stream_close(struct output_stream *stream)
{
	int fd = stream->readable != NULL ? event_get_fd(stream->readable) : -1;

	if (stream->readable == NULL)
		return;
	if (stream->partial.len > 0)
		stream_take_partial(stream, true);
	stream_write_batch(stream);
	sink_flush(&stream->output->outputs->sink);
	event_free(stream->readable);
	stream->readable = NULL;
	fd_close(fd);
	buf_free(&stream->partial);
	output_file_put(stream->file);
	stream->file = NULL;
}

/* Returns false when nobody can write any more. */
bool stream_read(struct output_stream *stream, size_t quota)
{
	int fd = event_get_fd(stream->readable);
	char data[16 * 1024];
	size_t want, cost;
	ssize_t n;

	while (quota > 0) {
		want = quota < sizeof(data) ? quota : sizeof(data);
		n = read(fd, data, want);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		if (n <= 0)
			return false;
		cost = (size_t)n + STREAM_LINE_COST * stream_take(stream, data, (size_t)n);
		if ((size_t)n < want)
			break;
		quota -= cost < quota ? cost : quota;
	}
	return true;
}

/* A few that flood get much in a turn, a thousand little each: a turn must stay short. */
static size_t outputs_quota(struct outputs *outputs)
{
	struct timeval now;
	size_t share;

	event_base_gettimeofday_cached(outputs->engine->base, &now);
	if (timercmp(&now, &outputs->turn, !=)) {
		share = outputs->readers > 0 ? STREAM_TURN_MAX / outputs->readers : OUTPUT_READ_MAX;
		outputs->quota = share > OUTPUT_READ_MAX    ? OUTPUT_READ_MAX
				 : share < STREAM_SHARE_MIN ? STREAM_SHARE_MIN
							    : share;
		outputs->turn = now;
		outputs->readers = 0;
	}
	outputs->readers++;
	return outputs->quota;
}

static void stream_readable(evutil_socket_t fd, short what, void *arg)
{
	struct output_stream *stream = arg;
	struct output *output = stream->output;
	struct outputs *outputs = output->outputs;

	(void)fd;
	(void)what;
	if (output->proc != NULL && output->proc->pid > 0)
		output->pid = output->proc->pid;
	if (!stream_read(stream, outputs_quota(outputs))) {
		stream_close(stream);
		return;
	}
	stream_write_batch(stream);
	sink_flush(&outputs->sink);
}

void stream_catch_up(struct output_stream *stream)
{
	if (stream->readable == NULL)
		return;
	(void)stream_read(stream, OUTPUT_READ_MAX);
	stream_write_batch(stream);
	sink_flush(&stream->output->outputs->sink);
}

/* ---- opening ---- */

int stream_open(struct outputs *outputs, struct output_stream *stream,
		const struct output_spec *spec, int *ret_fd, char **ret_error)
{
	struct output_file *file = NULL;
	int pipes[2], r;

	if (spec->kind == OUTPUT_FILE) {
		r = output_file_get(&outputs->files, spec->path, &file, ret_error);
		if (r < 0)
			return r;
	}
	if (pipe2(pipes, O_CLOEXEC) == -1) {
		r = -errno;
		output_file_put(file);
		return output_complain(ret_error, r, "make a pipe for output");
	}
	pipes[0] = fd_park(pipes[0]);
	/* our end only: a worker's standard output blocks, as every program expects */
	r = fd_set_nonblock(pipes[0]);
	stream->readable = r == 0 ? event_new(outputs->engine->base, pipes[0], EV_READ | EV_PERSIST,
					      stream_readable, stream)
				  : NULL;
	if (stream->readable == NULL || event_add(stream->readable, NULL) == -1) {
		if (stream->readable != NULL)
			event_free(stream->readable);
		stream->readable = NULL;
		fd_close(pipes[0]);
		fd_close(pipes[1]);
		output_file_put(file);
		return output_complain(ret_error, r < 0 ? r : -ENOMEM, "watch a pipe for output");
	}
	stream->file = file;
	stream->partial.max = file != NULL ? STREAM_FILE_LINE_MAX : OUTPUT_LINE_MAX;
	*ret_fd = pipes[1];
	return 0;
}
