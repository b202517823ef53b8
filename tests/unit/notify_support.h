/* notify_support.h - a socket for notifications, and one that sends to it. */
#ifndef TESTS_UNIT_NOTIFY_SUPPORT_H
#define TESTS_UNIT_NOTIFY_SUPPORT_H

#include "support.h"

#include <sys/un.h>

#include "base/fd.h"
#include "system/notify.h"

struct pair {
	int receiver, sender;
	char address[NOTIFY_ADDRESS_MAX];
	struct sockaddr_un un;
	socklen_t len;
};

static inline struct pair open_pair(void)
{
	struct pair pair = {.un = {.sun_family = AF_UNIX}};

	assert_int_equal(notify_open(&pair.receiver, pair.address), 0);
	memcpy(pair.un.sun_path, pair.address, strlen(pair.address));
	pair.un.sun_path[0] = '\0';
	pair.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(pair.address));
	pair.sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return pair;
}

static inline void close_pair(struct pair *pair)
{
	close(pair->receiver);
	close(pair->sender);
}

#endif
