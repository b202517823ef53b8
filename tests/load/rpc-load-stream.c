/* One stream of load: requests at fixed times, whatever the service does. */
#include "rpc-load-stream.h"

#include <errno.h>
#include <event2/event.h>

#include "rpc-load-options.h"
#include "rpc-load-request.h"
#include "rpc-load-run.h"
#include "rpc-load-util.h"

/* After a pause of our own there is much to catch up with; answers must be read in between. */
#define BATCH_MAX 64

static uint64_t stream_due(const struct stream *stream)
{
	return stream->epoch +
	       (uint64_t)((double)stream->count * USEC_PER_SEC / stream->opts->rate);
}

/* Evenly spread, and the same in every run. */
static uint64_t stream_pick_ms(const struct stream *stream)
{
	uint64_t span = stream->opts->max_ms - stream->opts->min_ms + 1;
	uint64_t hash = (stream->count + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return stream->opts->min_ms + (hash >> 32) % span;
}

static void stream_send(struct stream *stream, uint64_t due)
{
	struct request_plan plan = {
	    .question = {.kind = QUESTION_ADD},
	    .stream = stream->index,
	    .intended = due,
	};

	if (stream->opts->kind == STREAM_KEEPALIVE)
		plan.pool = &stream->pool;
	if (stream->opts->kind == STREAM_SLOW) {
		plan.question.kind = QUESTION_WORK;
		plan.question.ms = stream_pick_ms(stream);
	}
	request_start(stream->run, &plan);
}

static void stream_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;
	uint64_t now = now_usec();
	struct timeval wait;
	uint64_t due;

	(void)fd;
	(void)what;
	for (int i = 0; i < BATCH_MAX && (due = stream_due(stream)) <= now; i++) {
		stream_send(stream, due);
		stream->count++;
	}
	if (stream->run->stopping)
		return;
	due = stream_due(stream);
	now = now_usec();
	wait = usec_timeval(due > now ? due - now : 0);
	event_add(stream->timer, &wait);
}

int stream_start(struct stream *stream, struct run *run, unsigned index)
{
	stream->run = run;
	stream->opts = &run->opts->streams[index];
	stream->index = index;
	pool_init(&stream->pool, run->base, &run->target, (unsigned)stream->opts->connections);
	stream->timer = evtimer_new(run->base, stream_on_timer, stream);
	if (stream->timer == NULL)
		return -ENOMEM;
	/* Streams of the same rate are not to fire at the same moments. */
	stream->epoch = now_usec() + index * USEC_PER_MSEC;
	event_active(stream->timer, EV_TIMEOUT, 0);
	return 0;
}

void stream_done(struct stream *stream)
{
	if (stream->timer == NULL)
		return;
	event_free(stream->timer);
	pool_done(&stream->pool);
}
