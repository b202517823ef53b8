/* Numbers, names of signals, and the clock: what several files of rpc-worker need. */
#include "rpc-worker-util.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	/* strtoull() takes "-1" and " 7"; a number from outside is digits and nothing else. */
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end != '\0')
		return -EINVAL;
	if (errno == ERANGE || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

uint64_t env_u64(const char *name, uint64_t max, uint64_t fallback)
{
	const char *text = getenv(name);
	uint64_t value;

	if (text == NULL || parse_u64(text, max, &value) < 0)
		return fallback;
	return value;
}

int parse_signal(const char *text)
{
	uint64_t number;

	if (parse_u64(text, 64, &number) == 0)
		return number > 0 ? (int)number : -EINVAL;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int sig = 1; sig < 32; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name != NULL && strcasecmp(text, name) == 0)
			return sig;
	}
	return -EINVAL;
}
