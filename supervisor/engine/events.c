/* events.c - tells what happens: one sentence to the log, one line of JSON to everybody who
 * listens. */
#include "engine/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "engine/api_json.h"

enum { EVENTS_SENTENCE_MAX = 4096 };

struct subscriber {
	LIST_ENTRY(subscriber) place;
	void (*each)(void *arg, const char *name, const char *json, size_t len); /* NULL: left */
	void *arg;
};

struct events {
	LIST_HEAD(, subscriber) subscribers;
	unsigned n;
	unsigned telling; /* depth: to tell may make something else happen */
};

const char *events_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "error";
}

/* The sentence names its worker itself; members of JSON and fields of the journal are for machines.
 */
static void events_log(const struct happening *happening, const char *sentence)
{
	struct log_about about = {.event = happening->event,
				  .pool = happening->pool,
				  .slot = happening->slot,
				  .generation = happening->generation,
				  .pid = happening->pid,
				  .fields = happening->fields,
				  .n_fields = happening->n_fields};

	log_line(happening->level, &about, "%s", sentence);
}

/* Those that left while they were being told. */
static void events_sweep(struct events *events)
{
	struct subscriber *subscriber = LIST_FIRST(&events->subscribers), *next;

	for (; subscriber != NULL; subscriber = next) {
		next = LIST_NEXT(subscriber, place);
		if (subscriber->each != NULL)
			continue;
		LIST_REMOVE(subscriber, place);
		free(subscriber);
	}
}

static void events_spread(struct events *events, const char *name, const struct buf *json)
{
	struct subscriber *subscriber;

	events->telling++;
	for (subscriber = LIST_FIRST(&events->subscribers); subscriber != NULL;
	     subscriber = LIST_NEXT(subscriber, place))
		if (subscriber->each != NULL)
			subscriber->each(subscriber->arg, name, json->data, json->len);
	if (--events->telling == 0)
		events_sweep(events);
}

void events_tell(struct engine *engine, const struct happening *happening, const char *format, ...)
{
	char sentence[EVENTS_SENTENCE_MAX];
	cleanup_buf struct buf json = {0};
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	events_log(happening, sentence);
	if (engine->events == NULL || LIST_EMPTY(&engine->events->subscribers))
		return;
	api_json_event(happening, clock_wall(), sentence, &json);
	if (!json.cut && json.len > 0)
		events_spread(engine->events, happening->event, &json);
}

struct subscriber *
events_subscribe(struct engine *engine,
		 void (*each)(void *arg, const char *name, const char *json, size_t len), void *arg)
{
	struct events *events = engine->events;
	struct subscriber *subscriber;

	if (events->n >= EVENTS_SUBSCRIBERS_MAX)
		return NULL;
	subscriber = calloc(1, sizeof(*subscriber));
	if (subscriber == NULL)
		return NULL;
	subscriber->each = each;
	subscriber->arg = arg;
	LIST_INSERT_HEAD(&events->subscribers, subscriber, place);
	events->n++;
	return subscriber;
}

void events_unsubscribe(struct engine *engine, struct subscriber *subscriber)
{
	struct events *events = engine->events;

	if (subscriber == NULL || events == NULL)
		return;
	subscriber->each = NULL;
	events->n--;
	if (events->telling == 0)
		events_sweep(events);
}

int events_new(struct engine *engine)
{
	engine->events = calloc(1, sizeof(*engine->events));
	if (engine->events == NULL)
		return -ENOMEM;
	LIST_INIT(&engine->events->subscribers);
	return 0;
}

void events_free(struct engine *engine)
{
	struct subscriber *subscriber;

	if (engine->events == NULL)
		return;
	while ((subscriber = LIST_FIRST(&engine->events->subscribers)) != NULL) {
		LIST_REMOVE(subscriber, place);
		free(subscriber);
	}
	free(engine->events);
	engine->events = NULL;
}
