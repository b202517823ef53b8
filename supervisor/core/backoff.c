/* backoff.c - how long to wait before the next start after a crash. */
#include "core/backoff.h"

static uint64_t backoff_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

usec_t backoff_delay(const struct pool_params *params, uint32_t crashes, uint64_t *seed)
{
	usec_t delay = params->restart_delay;

	if (crashes <= 1)
		return 0;
	for (uint32_t n = 2; n < crashes && delay < params->restart_delay_max; n++)
		delay = usec_add(delay, delay);
	if (delay > params->restart_delay_max)
		delay = params->restart_delay_max;
	if (delay < 4 || delay == USEC_INFINITY)
		return delay;
	return usec_add(delay - delay / 4, backoff_random(seed) % (delay / 2 + 1));
}
