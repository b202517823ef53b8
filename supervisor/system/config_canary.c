/* config_canary.c - the keys of canaries: the command that judges them, and what they need of the
 * others. */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "system/config_internal.h"

static int read_check(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	size_t argc;

	(void)key;
	if (*text == '\0' || strcmp(text, "off") == 0)
		return 0;
	if (strncmp(text, "exec:", 5) == 0)
		return config_read_words(text + 5, &pool->canary_check, &argc, why);
	buf_printf(why, "%s is neither off nor exec:COMMAND", QUOTE(text));
	return -EINVAL;
}

static void show_check(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;
	size_t n = 0;

	(void)key;
	if (pool->canary_check == NULL) {
		buf_add_str(out, "off");
		return;
	}
	while (pool->canary_check[n] != NULL)
		n++;
	buf_add_str(out, "exec:");
	config_show_words(pool->canary_check, n, out);
}

const struct key_type type_canary_check = {.read = read_check, .show = show_check, .words = true};

unsigned config_canary(const struct pool_spec *pool, unsigned workers)
{
	uint64_t value = pool->canary.value;

	if (pool->canary.percent)
		value = (workers * value + 99) / 100;
	return value > workers ? workers : (unsigned)value;
}

bool config_explain_canary(const struct pool_spec *pool, struct buf *why)
{
	unsigned canary = config_canary(pool, pool->workers);
	unsigned surge = config_surge(pool, pool->workers);

	if (canary == 0 || canary <= surge)
		return false;
	if (surge == 0)
		buf_add_str(why,
			    "a canary serves beside the old workers, and max_surge = 0 leaves no "
			    "place for it");
	else
		buf_printf(why,
			   "%u canaries are to serve beside the old workers, but max_surge allows "
			   "only %u more",
			   canary, surge);
	return true;
}
