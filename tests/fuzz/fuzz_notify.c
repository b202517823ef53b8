/* fuzz_notify.c - notify datagrams: garbage is left out, and what is told on stays printable. */
#include "fuzz.h"

#include <limits.h>

#include "system/notify.h"

static void check_message(const struct notify_message *m)
{
	FUZZ_RULE(memchr(m->status, '\0', sizeof(m->status)) != NULL);
	FUZZ_RULE(fuzz_is_printable(m->status, strlen(m->status)));
	FUZZ_RULE(strchr(m->status, '\t') == NULL);
	FUZZ_RULE(m->has_status || m->status[0] == '\0');
	FUZZ_RULE(m->has_mainpid ? m->mainpid > 0 : m->mainpid == 0);
	FUZZ_RULE(m->has_errno ? m->error >= 0 && m->error <= 4095 : m->error == 0);
	FUZZ_RULE(m->has_extend ? m->extend_usec < USEC_INFINITY : m->extend_usec == 0);
	FUZZ_RULE(m->has_watchdog_usec ? m->watchdog_usec < USEC_INFINITY : m->watchdog_usec == 0);
	FUZZ_RULE(m->has_inflight || m->inflight == 0);
	FUZZ_RULE(memchr(m->fdname, '\0', sizeof(m->fdname)) != NULL);
	FUZZ_RULE(fuzz_is_printable(m->fdname, strlen(m->fdname)));
	FUZZ_RULE(strchr(m->fdname, ':') == NULL && strchr(m->fdname, '\t') == NULL);
	FUZZ_RULE(m->has_fdname == (m->fdname[0] != '\0'));
}

/* What stands behind it, or before it in lines of nobody's, changes nothing. */
static void check_neighbours(const uint8_t *data, size_t len, const struct notify_message *m)
{
	static const char before[] = "X_UNKNOWN=1\nnonsense\n", after[] = "\n=\nREADY=2\nSTATUS";
	size_t size = sizeof(before) - 1 + len + sizeof(after) - 1;
	cleanup_free char *text = malloc(size);
	struct notify_message again;

	FUZZ_RULE(text != NULL);
	memcpy(text, before, sizeof(before) - 1);
	if (len > 0)
		memcpy(text + sizeof(before) - 1, data, len);
	memcpy(text + sizeof(before) - 1 + len, after, sizeof(after) - 1);
	memset(&again, 0x55, sizeof(again));
	notify_parse(text, size, &again);
	FUZZ_RULE(memcmp(m->status, again.status, sizeof(again.status)) == 0);
	FUZZ_RULE(m->ready == again.ready && m->stopping == again.stopping &&
		  m->reloading == again.reloading && m->barrier == again.barrier &&
		  m->watchdog == again.watchdog && m->watchdog_trigger == again.watchdog_trigger);
	FUZZ_RULE(m->watchdog_usec == again.watchdog_usec && m->extend_usec == again.extend_usec &&
		  m->mainpid == again.mainpid && m->error == again.error &&
		  m->inflight == again.inflight && m->fd_store == again.fd_store &&
		  m->fd_store_remove == again.fd_store_remove &&
		  m->fd_poll_off == again.fd_poll_off && strcmp(m->fdname, again.fdname) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct notify_message message;

	memset(&message, 0xaa, sizeof(message));
	notify_parse((const char *)data, len, &message);
	check_message(&message);
	check_neighbours(data, len, &message);
	return 0;
}
