/*
 * systemd_bus.h - what systemd knows of our own unit and says only over D-Bus
 * (org.freedesktop.systemd1(5)). One question, asked without waiting: the caller watches the
 * descriptor, and gives up when it likes.
 */
#ifndef SYSTEM_SYSTEMD_BUS_H
#define SYSTEM_SYSTEMD_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "system/systemd.h"

struct systemd_unit {
	char name[SYSTEMD_UNIT_NAME_MAX]; /* "handover@payments.service" */
	char load[16];			  /* LoadState: "loaded", "not-found", ... */
	char job[16];	    /* what is being done to it now: "stop", "restart", ...; "": nothing */
	char restart[16];   /* Restart=: "no", "always", "on-failure", ... */
	uint32_t store_max; /* FileDescriptorStoreMax= */
	char notify_access[8];		    /* NotifyAccess=: "none", "main", "exec", "all" */
	usec_t timeout_start, timeout_stop; /* USEC_INFINITY: none */
};

struct systemd_bus;

/*
 * Begins to ask about the unit that this process belongs to (name NULL), or about that one. 0;
 * -ENODATA: we belong to no unit; -ENOENT, -ECONNREFUSED: there is no bus here; -EOPNOTSUPP: built
 * without systemd; -errno. Root asks systemd itself, others over the system bus.
 */
int systemd_bus_ask(const char *name, struct systemd_bus **ret_bus);
/* Descriptor to watch, and what for (POLLIN, POLLOUT). */
int systemd_bus_fd(const struct systemd_bus *bus);
short systemd_bus_events(const struct systemd_bus *bus);
/* Call when it is ready for that. 1: answered, *ret_unit is filled; 0: not yet; -errno: it never
 * will be. */
int systemd_bus_process(struct systemd_bus *bus, struct systemd_unit *ret_unit);
/* The same for who can wait: at most so long. 0, -ETIMEDOUT, -errno as all of the above. */
int systemd_bus_wait(const char *name, usec_t limit, struct systemd_unit *ret_unit);
/* Accepts NULL. */
void systemd_bus_free(struct systemd_bus *bus);

#endif
