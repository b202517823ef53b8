/* What the worker says to its supervisor. */
#include "rpc-worker-notify.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-worker-util.h"
#include "worker/handover.h"

#define STATUS_INTERVAL_USEC (200 * USEC_PER_MSEC)

struct notify {
	struct handover *handover;
	struct event *pace; /* pending: we told our status a moment ago */
	unsigned inflight, inflight_said;
	void (*describe)(char *text, size_t size, void *arg); /* NULL: not stopping */
	void *describe_arg;
};

static void notify_say_status(struct notify *notify)
{
	struct timeval pause = usec_timeval(STATUS_INTERVAL_USEC);
	char text[256];

	notify->describe(text, sizeof(text), notify->describe_arg);
	handover_status(notify->handover, text);
	notify->inflight_said = notify->inflight;
	event_add(notify->pace, &pause);
}

static void notify_on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct notify *notify = arg;

	(void)fd;
	(void)what;
	if (notify->inflight != notify->inflight_said)
		notify_say_status(notify);
}

void notify_inflight(struct notify *notify, unsigned count)
{
	for (; notify->inflight < count; notify->inflight++)
		handover_begin(notify->handover);
	for (; notify->inflight > count; notify->inflight--)
		handover_end(notify->handover);
	if (notify->describe != NULL && count != notify->inflight_said &&
	    !event_pending(notify->pace, EV_TIMEOUT, NULL))
		notify_say_status(notify);
}

void notify_stopping(struct notify *notify, void (*describe)(char *text, size_t size, void *arg),
		     void *arg)
{
	handover_stopping(notify->handover);
	notify->describe = describe;
	notify->describe_arg = arg;
	notify_say_status(notify);
}

int notify_new(struct event_base *base, struct handover *handover, struct notify **ret)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (notify == NULL)
		return -ENOMEM;
	notify->handover = handover;
	notify->pace = evtimer_new(base, notify_on_pace, notify);
	if (notify->pace == NULL) {
		free(notify);
		return -ENOMEM;
	}
	*ret = notify;
	return 0;
}

void notify_free(struct notify *notify)
{
	if (notify == NULL)
		return;
	event_free(notify->pace);
	free(notify);
}
