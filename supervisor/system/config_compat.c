/* config_compat.c - `compat`: which other supervisors a pool's workers were written for, and what
 * follows from it for keys that are not written. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

static const struct {
	const char *name;
	enum compat bit;
	int drain_signal;
} compats[] = {
    {"server-starter", COMPAT_SERVER_STARTER, SIGTERM},
    {"einhorn", COMPAT_EINHORN, SIGUSR2},
    {"nginx", COMPAT_NGINX, SIGQUIT},
    {"unicorn", COMPAT_UNICORN, SIGQUIT},
};

static int read_s6(const char *number, struct pool_spec *pool, struct buf *why)
{
	uint64_t fd;

	if (parse_uint(number, 3, CONFIG_READY_FD_MAX, &fd) < 0) {
		buf_printf(why, "s6: %s is not a descriptor's number between 3 and %d",
			   QUOTE(number), CONFIG_READY_FD_MAX);
		return -EINVAL;
	}
	pool->compat |= COMPAT_S6;
	pool->compat_s6_fd = (int)fd;
	return 0;
}

static int read_one(const char *word, struct pool_spec *pool, struct buf *why)
{
	const char *names[ARRAY_LEN(compats)], *near;

	if (strncmp(word, "s6:", 3) == 0)
		return read_s6(word + 3, pool, why);
	for (size_t i = 0; i < ARRAY_LEN(compats); i++) {
		names[i] = compats[i].name;
		if (strcmp(word, compats[i].name) != 0)
			continue;
		pool->compat |= compats[i].bit;
		return 0;
	}
	near = parse_suggest(word, names, ARRAY_LEN(names));
	buf_printf(why, "%s is not one of server-starter, einhorn, nginx, unicorn, s6:NUMBER",
		   QUOTE(word));
	if (near != NULL)
		buf_printf(why, "; did you mean '%s'?", near);
	return -EINVAL;
}

static int read_compat(const struct key *key, const char *text, void *object, struct buf *why)
{
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n;
	int r;

	(void)key;
	r = config_split_list(text, &words, &n, &error);
	if (r < 0)
		buf_add_str(why, error);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_one(words[i], object, why);
	return r;
}

static void show_compat(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;
	const char *blank = "";

	(void)key;
	for (size_t i = 0; i < ARRAY_LEN(compats); i++) {
		if ((pool->compat & compats[i].bit) == 0)
			continue;
		buf_printf(out, "%s%s", blank, compats[i].name);
		blank = " ";
	}
	if ((pool->compat & COMPAT_S6) != 0)
		buf_printf(out, "%ss6:%d", blank, pool->compat_s6_fd);
}

const struct key_type type_compat = {
    .read = read_compat, .show = show_compat, .list = true, .words = true};

/* ---- what follows from it ---- */

bool config_compat_says_ready(const void *object)
{
	const struct pool_spec *pool = object;

	return (pool->compat & (COMPAT_EINHORN | COMPAT_S6)) != 0;
}

void config_compat_derive(struct pool_spec *pool, bool ready, bool drain_signal)
{
	if (ready && (pool->compat & COMPAT_S6) != 0) {
		pool->ready = READY_FD;
		pool->ready_fd = pool->compat_s6_fd;
	} else if (ready && (pool->compat & COMPAT_EINHORN) != 0) {
		pool->ready = READY_EINHORN;
	}
	if (!drain_signal)
		return;
	pool->drain_signal = SIGTERM;
	for (size_t i = 0; i < ARRAY_LEN(compats); i++)
		if ((pool->compat & compats[i].bit) != 0)
			pool->drain_signal = compats[i].drain_signal;
}

/* Two that do not agree on the drain signal; "" else. */
const char *config_compat_disagree(const struct pool_spec *pool, struct buf *out)
{
	size_t first = ARRAY_LEN(compats);

	for (size_t i = 0; i < ARRAY_LEN(compats); i++) {
		if ((pool->compat & compats[i].bit) == 0)
			continue;
		if (first == ARRAY_LEN(compats))
			first = i;
		if (compats[i].drain_signal == compats[first].drain_signal)
			continue;
		buf_printf(out, "workers drain at %s with %s, ",
			   parse_signal_name(compats[first].drain_signal), compats[first].name);
		buf_printf(out, "and at %s with %s", parse_signal_name(compats[i].drain_signal),
			   compats[i].name);
		break;
	}
	return buf_text(out);
}
