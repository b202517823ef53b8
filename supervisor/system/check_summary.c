/* check_summary.c - a configuration in a few lines for a person: what would run, and how long a
 * stop may take. */
#include <string.h>

#include "base/parse.h"
#include "system/check_internal.h"
#include "system/config_internal.h"

usec_t check_stop_of(const struct pool_spec *pool)
{
	usec_t sum = usec_add(pool->stop_timeout, pool->drain_extend_max);

	return usec_add(sum, pool->dump_signal != 0 ? pool->dump_timeout : 0);
}

static const char *ready_word(const struct pool_spec *pool)
{
	switch (pool->ready) {
	case READY_NOTIFY:
		return "when it says so";
	case READY_DELAY:
		return "after a delay";
	case READY_FD:
		return "by a line on a descriptor";
	case READY_EINHORN:
		return "when it acknowledges as for einhorn";
	case READY_PROBE:
		return pool->ready_probe.kind == PROBE_KIND_EXEC ? "when a command succeeds"
								 : "when it answers a probe";
	}
	return "";
}

static void summarize_socket(const struct config *config, const struct socket_spec *spec,
			     struct buf *out)
{
	uint32_t n = config_socket_count(config, spec);

	buf_printf(out, "socket %s: %s", spec->name, spec->listen);
	if (spec->reuseport)
		buf_printf(out, ", a socket there for each of %u slots (reuseport)", n);
	else if (spec->per_slot && n > 1)
		buf_printf(out, ", for slots 0 to %u", n - 1);
	else if (spec->per_slot)
		buf_add_str(out, n == 1 ? ", for slot 0" : ", for no slot");
	buf_add_str(out, "\n");
}

/* Who has to agree before the first old worker goes. */
static void summarize_canary(const struct pool_spec *pool, struct buf *out)
{
	unsigned canary = config_canary(pool, pool->workers);

	if (canary == 0)
		return;
	buf_printf(out, "; a reload watches %u canar%s for %s", canary, canary == 1 ? "y" : "ies",
		   DURATION_TEXT(pool->canary_time));
	if (pool->canary_check != NULL)
		buf_printf(out, ", asks %s", pool->canary_check[0]);
	if (pool->canary_hold)
		buf_printf(out, ", waits for a person, %s at most",
			   DURATION_TEXT(pool->canary_hold_timeout));
}

static void summarize_pool(const struct pool_spec *pool, struct buf *out)
{
	size_t i;

	buf_printf(out, "pool %s: %u %s of ", pool->name, pool->workers,
		   pool->workers == 1 ? "worker" : "workers");
	config_show_word(pool->argv[0], out);
	for (i = 0; i < pool->n_sockets; i++)
		buf_printf(out, "%s %s", i == 0 ? " on" : ",", pool->sockets[i]);
	buf_printf(out, "; ready %s, within %s", ready_word(pool),
		   DURATION_TEXT(pool->start_timeout));
	summarize_canary(pool, out);
	buf_printf(out, "; drains within %s at a reload, %s at a stop",
		   DURATION_TEXT(pool->drain_timeout), DURATION_TEXT(pool->stop_timeout));
	if (pool->drain_extend_max > 0)
		buf_printf(out, " (and %s more if it asks)", DURATION_TEXT(pool->drain_extend_max));
	if (pool->dump_signal != 0)
		buf_printf(out, ", then %s and %s", parse_signal_name(pool->dump_signal),
			   DURATION_TEXT(pool->dump_timeout));
	buf_add_str(out, ", then SIGKILL\n");
}

/* Who stops us has a limit of its own, and kills without a word when it is over. */
static void summarize_stop(const struct config *config, struct buf *out)
{
	usec_t longest = 0, sum;
	size_t i;

	for (i = 0; i < config->n_pools; i++)
		if (check_stop_of(&config->pools[i]) > longest)
			longest = check_stop_of(&config->pools[i]);
	sum = usec_add(config->supervisor.lame_duck, longest);
	buf_printf(out, "a stop takes at most %s", DURATION_TEXT(sum));
	if (config->supervisor.lame_duck > 0)
		buf_printf(out, " (%s of them lame duck)",
			   DURATION_TEXT(config->supervisor.lame_duck));
	if (sum >= 90 * USEC_PER_SEC)
		buf_add_str(out, ": more than the 90 s of systemd's default (TimeoutStopSec=) and "
				 "the 10 s of `docker stop`");
	else if (sum >= 10 * USEC_PER_SEC)
		buf_add_str(out, ": more than the 10 s that `docker stop` gives");
	buf_add_str(out, "\n");
}

void check_summarize(const struct config *config, struct buf *out)
{
	size_t i;

	buf_printf(out, "instance %s\n", config->instance);
	for (i = 0; i < config->n_sockets; i++)
		summarize_socket(config, &config->sockets[i], out);
	for (i = 0; i < config->n_pools; i++)
		summarize_pool(&config->pools[i], out);
	summarize_stop(config, out);
}
