/* flood.c - pauses in reading, and complaints that come once a minute. */
#include "engine/flood.h"

#include "engine/engine.h"

#define COMPLAINT_AGAIN (60 * USEC_PER_SEC)

static void flood_read_on(evutil_socket_t fd, short what, void *arg)
{
	struct flood *flood = arg;

	(void)fd;
	(void)what;
	event_add(flood->reading, NULL);
}

bool flood_pauses(struct flood *flood, struct event *reading)
{
	usec_t now = clock_now();

	if (now - flood->since >= FLOOD_INTERVAL) {
		flood->since = now;
		flood->count = 0;
	}
	if (flood->count < FLOOD_MESSAGES)
		return false;
	if (flood->pause == NULL)
		flood->pause = evtimer_new(event_get_base(reading), flood_read_on, flood);
	if (flood->pause == NULL)
		return false;
	flood->reading = reading;
	event_del(reading);
	engine_arm(flood->pause, FLOOD_INTERVAL);
	return true;
}

void flood_free(struct flood *flood)
{
	if (flood->pause != NULL)
		event_free(flood->pause);
	flood->pause = NULL;
}

bool complaint_is_due(struct complaint *complaint)
{
	usec_t now = clock_now();

	complaint->count++;
	if (complaint->told_at != 0 && now - complaint->told_at < COMPLAINT_AGAIN)
		return false;
	complaint->told_at = now;
	return true;
}
