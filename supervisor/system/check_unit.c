/* check_unit.c - whether what systemd allows our unit is enough for what is configured. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "system/check_internal.h"

#define UNIT_ASK_MAX (500 * USEC_PER_MSEC)
/* For what comes after the last SIGKILL, and for a busy machine. */
#define UNIT_MARGIN (2 * USEC_PER_SEC)

static const char *unit_time(usec_t time, char *text, size_t size)
{
	if (time == USEC_INFINITY)
		return "infinity";
	snprintf(text, size, "%s", DURATION_TEXT(time));
	return text;
}

static unsigned long long seconds_up(usec_t time)
{
	return (unsigned long long)((time + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

static const struct pool_spec *longest_pool(const struct config *config,
					    usec_t (*takes)(const struct pool_spec *))
{
	const struct pool_spec *longest = NULL;

	for (size_t n = 0; n < config->n_pools; n++)
		if (longest == NULL || takes(&config->pools[n]) > takes(longest))
			longest = &config->pools[n];
	return longest;
}

static usec_t start_of(const struct pool_spec *pool)
{
	return usec_add(pool->start_timeout, pool->min_ready);
}

/* One of the unit's two time-outs against the pool that takes longest. */
static void judge_time(struct check *check, const struct pool_spec *pool, const char *key,
		       const char *what, usec_t takes, const struct systemd_unit *unit,
		       const char *timeout, usec_t allowed)
{
	char text[64];

	if (allowed == USEC_INFINITY || usec_add(takes, UNIT_MARGIN) <= allowed)
		return;
	snprintf(check->title, sizeof(check->title), "pool:%s", pool->name);
	check_warn(
	    check, key,
	    "%s may take %s, but systemd gives %s %s=%s, and NotifyAccess=none keeps us from "
	    "asking for more: set NotifyAccess=main or %s=%llus there",
	    what, DURATION_TEXT(takes), unit->name, timeout, unit_time(allowed, text, sizeof(text)),
	    timeout, seconds_up(usec_add(takes, UNIT_MARGIN)));
}

static void judge_times(struct check *check, const struct systemd_unit *unit)
{
	const struct config *config = check->config;
	const struct pool_spec *stop = longest_pool(config, check_stop_of);
	const struct pool_spec *start = longest_pool(config, start_of);

	if (stop == NULL)
		return;
	judge_time(check, stop, "stop_timeout", "a stop",
		   usec_add(config->supervisor.lame_duck, check_stop_of(stop)), unit,
		   "TimeoutStopSec", unit->timeout_stop);
	judge_time(check, start, "start_timeout", "a start", start_of(start), unit,
		   "TimeoutStartSec", unit->timeout_start);
}

static void judge_store(struct check *check, const struct systemd_unit *unit)
{
	const struct config *config = check->config;
	uint32_t own = 0;

	for (size_t n = 0; n < config->n_sockets; n++) {
		uint32_t before = own;

		if (config->sockets[n].kind == SOCKET_SYSTEMD)
			continue;
		own += config_socket_count(config, &config->sockets[n]);
		if (before <= unit->store_max && own > unit->store_max)
			snprintf(check->title, sizeof(check->title), "socket:%s",
				 config->sockets[n].name);
	}
	if (own > unit->store_max)
		check_warn(check, "listen",
			   "there are %u sockets of our own, and %s has FileDescriptorStoreMax=%u: "
			   "clients are refused while the master is restarted; set "
			   "FileDescriptorStoreMax=%u or more there",
			   own, unit->name, unit->store_max, own);
}

void check_unit_judge(const struct config *config, const struct systemd_unit *unit,
		      struct config_problems *problems, struct buf *summary)
{
	struct check check = {.config = config, .problems = problems};
	bool deaf = strcmp(unit->notify_access, "none") == 0;
	char start[64], stop[64];

	if (strcmp(unit->load, "loaded") != 0) {
		if (summary != NULL)
			buf_printf(summary, "%s: time-outs not checked: the unit is %s\n",
				   unit->name, unit->load);
		return;
	}
	if (deaf)
		judge_times(&check, unit);
	else
		judge_store(&check, unit);
	if (summary != NULL)
		buf_printf(summary, "%s: TimeoutStartSec=%s, TimeoutStopSec=%s%s\n", unit->name,
			   unit_time(unit->timeout_start, start, sizeof(start)),
			   unit_time(unit->timeout_stop, stop, sizeof(stop)),
			   deaf ? ""
				: "; more is asked for while a start, a reload or a stop goes on");
}

void check_unit(const struct config *config, const char *name, struct config_problems *problems,
		struct buf *summary)
{
	struct systemd_unit unit = {.load = ""};
	int r = systemd_bus_wait(name, UNIT_ASK_MAX, &unit);

	if (r == 0)
		check_unit_judge(config, &unit, problems, summary);
	else if (summary != NULL)
		buf_printf(summary, "%s: time-outs not checked: %s\n",
			   name != NULL ? name : "our unit",
			   r == -ENOENT || r == -ECONNREFUSED ? "there is no systemd to ask here"
			   : r == -EOPNOTSUPP		      ? "built without systemd"
							      : strerror(-r));
}
