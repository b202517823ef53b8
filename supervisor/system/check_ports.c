/* check_ports.c - ports that the kernel gives to outgoing connections: while nobody listens there,
 * one of those may have it. ip(7), ip_local_port_range. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "system/check_internal.h"

#define PORTS_FILES "/proc/sys/net/ipv4/"
enum { PORTS_FILE_MAX = 64 * 1024 };

/* "32768	60999" */
static bool read_range(unsigned long *ret_first, unsigned long *ret_last)
{
	cleanup_free char *text = NULL;
	char *end;

	if (fd_read_file(PORTS_FILES "ip_local_port_range", PORTS_FILE_MAX, &text, NULL) < 0)
		return false;
	*ret_first = strtoul(text, &end, 10);
	*ret_last = strtoul(end, NULL, 10);
	return *ret_first > 0 && *ret_last >= *ret_first;
}

bool check_ports_reserved(const char *list, unsigned port)
{
	while (*list != '\0' && *list != '\n') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return false;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (port >= first && port <= last)
			return true;
		list = end + (*end == ',');
	}
	return false;
}

static bool is_reserved(unsigned port)
{
	cleanup_free char *text = NULL;

	return fd_read_file(PORTS_FILES "ip_local_reserved_ports", PORTS_FILE_MAX, &text, NULL) ==
		   0 &&
	       check_ports_reserved(text, port);
}

bool check_ports(const struct check *check, const struct socket_spec *spec)
{
	unsigned long first, last;

	if ((spec->kind != SOCKET_TCP && spec->kind != SOCKET_UDP) || !read_range(&first, &last) ||
	    spec->port < first || spec->port > last || is_reserved(spec->port))
		return false;
	check_warn(
	    check, "listen",
	    "port %u is one of those that the kernel gives to outgoing connections (%lu to "
	    "%lu): while nothing listens there one of these may have it, and a start fails; "
	    "take another port, or reserve this one (sysctl net.ipv4.ip_local_reserved_ports)",
	    spec->port, first, last);
	return true;
}
