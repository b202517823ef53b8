/* systemd_bus_none.c - in the place of systemd_bus.c where libsystemd is not to be used (make
 * WITH_SYSTEMD=no): there is nobody to ask. */
#include <errno.h>
#include <stddef.h>

#include "system/systemd.h"
#include "system/systemd_bus.h"

int systemd_bus_ask(const char *name, struct systemd_bus **ret_bus)
{
	(void)name;
	(void)ret_bus;
	return -EOPNOTSUPP;
}

int systemd_bus_fd(const struct systemd_bus *bus)
{
	(void)bus;
	return -EOPNOTSUPP;
}

short systemd_bus_events(const struct systemd_bus *bus)
{
	(void)bus;
	return 0;
}

int systemd_bus_process(struct systemd_bus *bus, struct systemd_unit *ret_unit)
{
	(void)bus;
	(void)ret_unit;
	return -EOPNOTSUPP;
}

int systemd_bus_wait(const char *name, usec_t limit, struct systemd_unit *ret_unit)
{
	(void)name;
	(void)limit;
	(void)ret_unit;
	return -EOPNOTSUPP;
}

void systemd_bus_free(struct systemd_bus *bus)
{
	(void)bus;
}

int systemd_unit_of(pid_t pid, char ret_name[static SYSTEMD_UNIT_NAME_MAX])
{
	(void)pid;
	(void)ret_name;
	return -ENODATA;
}

int systemd_own_unit(char ret_name[static SYSTEMD_UNIT_NAME_MAX])
{
	(void)ret_name;
	return -ENODATA;
}
