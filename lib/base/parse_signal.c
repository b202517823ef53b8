/* parse_signal.c - signals' names and numbers, as kill(1) and systemd write them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static int realtime_signal(const char *name)
{
	uint64_t offset;

	if (strcmp(name, "RTMIN") == 0)
		return SIGRTMIN;
	if (strcmp(name, "RTMAX") == 0)
		return SIGRTMAX;
	if (strncmp(name, "RTMIN+", 6) == 0 &&
	    parse_uint(name + 6, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &offset) == 0)
		return SIGRTMIN + (int)offset;
	if (strncmp(name, "RTMAX-", 6) == 0 &&
	    parse_uint(name + 6, 0, (uint64_t)(SIGRTMAX - SIGRTMIN), &offset) == 0)
		return SIGRTMAX - (int)offset;
	return 0;
}

int parse_signal(const char *text, int *ret_signal)
{
	const char *abbreviation;
	uint64_t number;
	int sig, r;

	r = parse_uint(text, 1, (uint64_t)SIGRTMAX, &number);
	if (r == 0) {
		*ret_signal = (int)number;
		return 0;
	}
	if (r == -ERANGE)
		return r;
	if (strncmp(text, "SIG", 3) == 0)
		text += 3;
	sig = realtime_signal(text);
	for (int i = 1; sig == 0 && i < __SIGRTMIN; i++) {
		abbreviation = sigabbrev_np(i);
		if (abbreviation != NULL && strcmp(abbreviation, text) == 0)
			sig = i;
	}
	if (sig == 0)
		return -EINVAL;
	*ret_signal = sig;
	return 0;
}

const char *parse_signal_name(int sig)
{
	static _Thread_local char name[24];
	const char *abbreviation;

	abbreviation = sig > 0 && sig < SIGRTMIN ? sigabbrev_np(sig) : NULL;
	if (abbreviation != NULL)
		snprintf(name, sizeof(name), "SIG%s", abbreviation);
	else if (sig == SIGRTMIN)
		snprintf(name, sizeof(name), "SIGRTMIN");
	else if (sig > SIGRTMIN && sig <= SIGRTMAX)
		snprintf(name, sizeof(name), "SIGRTMIN+%d", sig - SIGRTMIN);
	else
		snprintf(name, sizeof(name), "signal %d", sig);
	return name;
}
