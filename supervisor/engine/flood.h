/* flood.h - those who say too much: a worker that floods us is read on later, and of the same
 * mistake the log tells once a minute. */
#ifndef ENGINE_FLOOD_H
#define ENGINE_FLOOD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Messages in FLOOD_INTERVAL: then the rest waits for the next one, and its sender with it. */
enum { FLOOD_MESSAGES = 256 };
#define FLOOD_INTERVAL (100 * USEC_PER_MSEC)

/* All zeros to begin with. Counts the messages that one event brings. */
struct flood {
	struct event *reading; /* the event, while it pauses; not ours */
	struct event *pause;
	unsigned count; /* messages in the present interval: counted up by whoever reads them */
	usec_t since;
};

/* Was it too much in this interval? Then reading is taken out of the loop until the next one. */
bool flood_pauses(struct flood *flood, struct event *reading);
void flood_free(struct flood *flood);

/* All zeros to begin with. */
struct complaint {
	uint64_t count;
	usec_t told_at;
};

/* It has happened once more: is it time to tell of it? */
bool complaint_is_due(struct complaint *complaint);

#endif
