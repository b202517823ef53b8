/* config_pool.c - types of keys that only pools have: command, workers, ready, success_codes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

int config_read_words(const char *text, char ***ret_argv, size_t *ret_argc, struct buf *why)
{
	cleanup_free char **argv = NULL;
	const char *error = "";
	size_t argc, i;
	int r;

	r = parse_words(text, &argv, &argc, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	if (argc == 0 || *argv[0] == '\0') {
		buf_add_str(why, "there is no command");
		return -EINVAL;
	}
	if (strchr(argv[0], '%') != NULL) {
		buf_printf(why,
			   "%s: '%%' is not supported in a command's first word by this version",
			   QUOTE(argv[0]));
		return -EINVAL;
	}
	for (i = 0; i < argc; i++) {
		r = config_check_specifiers(argv[i], why);
		if (r < 0)
			return r;
	}
	*ret_argv = TAKE_PTR(argv);
	*ret_argc = argc;
	return 0;
}

static int read_command(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;

	(void)key;
	pool->command = strdup(text);
	if (pool->command == NULL)
		return -ENOMEM;
	return config_read_words(text, &pool->argv, &pool->argc, why);
}

static void show_command(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	config_show_words(pool->argv, pool->argc, out);
}

const struct key_type type_command = {.read = read_command, .show = show_command, .words = true};

static int read_workers(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	uint64_t value = 0;
	int r;

	if (strcmp(text, "auto") == 0) {
		pool->workers = config_count_cpus("");
		pool->workers_auto = true;
		return 0;
	}
	r = parse_uint(text, 1, CONFIG_WORKERS_MAX, &value);
	if (r == -EINVAL)
		buf_printf(why, "%s is neither a number nor 'auto'", QUOTE(text));
	else if (r < 0)
		buf_printf(why, "must be between %s and %s, but is %.60s", key->least, key->most,
			   text);
	else
		pool->workers = (unsigned)value;
	return r < 0 ? -EINVAL : 0;
}

static void show_workers(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	buf_printf(out, "%u", pool->workers);
}

const struct key_type type_workers = {.read = read_workers, .show = show_workers};

static int read_ready_delay(const char *text, struct pool_spec *pool, struct buf *why)
{
	usec_t delay = 0;

	pool->ready = READY_DELAY;
	if (parse_duration(text, &delay) == 0 && delay <= 86400 * USEC_PER_SEC) {
		pool->ready_delay = delay;
		return 0;
	}
	buf_printf(why, "delay: %s is not a duration up to 1d, such as 500ms or 2s", QUOTE(text));
	return -EINVAL;
}

static int read_ready_fd(const char *text, struct pool_spec *pool, struct buf *why)
{
	uint64_t fd;

	pool->ready = READY_FD;
	if (parse_uint(text, 0, CONFIG_READY_FD_MAX, &fd) < 0) {
		buf_printf(why, "fd: %s is not a descriptor's number between 3 and %d", QUOTE(text),
			   CONFIG_READY_FD_MAX);
		return -EINVAL;
	}
	if (fd < 3) {
		buf_printf(why, "fd:%u is standard %s", (unsigned)fd,
			   fd == 0 ? "input" : (fd == 1 ? "output" : "error"));
		return -EINVAL;
	}
	pool->ready_fd = (int)fd;
	return 0;
}

static int explain_ready(const char *text, struct buf *why)
{
	static const char *const conditions[] = {"notify", "delay", "fd",  "exec",
						 "tcp",	   "http",  "grpc"};
	cleanup_free char *word = strndup(text, strcspn(text, ":"));
	const char *near;

	if (word == NULL)
		return -ENOMEM;
	near = parse_suggest(word, conditions, ARRAY_LEN(conditions));
	buf_printf(
	    why,
	    "%s is not one of notify, http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, fd:NUMBER, "
	    "delay:DURATION",
	    QUOTE(text));
	if (near != NULL)
		buf_printf(why, "; did you mean '%s%s'?", near,
			   strchr("dfeh", near[0]) == NULL ? "" : ":...");
	return -EINVAL;
}

static int read_ready(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	cleanup_free char *plain = NULL;
	const char *error = "";
	size_t argc;
	int r;

	(void)key;
	if (strncmp(text, "exec:", 5) == 0) {
		pool->ready = READY_PROBE;
		pool->ready_probe.kind = PROBE_KIND_EXEC;
		return config_read_words(text + 5, &pool->ready_probe.argv, &argc, why);
	}
	r = parse_unquote(text, &plain, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	if (strcmp(plain, "notify") == 0) {
		pool->ready = READY_NOTIFY;
		return 0;
	}
	if (strcmp(plain, "einhorn") == 0) {
		pool->ready = READY_EINHORN;
		return 0;
	}
	r = config_probe_read(plain, &pool->ready_probe, why);
	if (r != -ENOENT) {
		pool->ready = READY_PROBE;
		return r;
	}
	if (strncmp(plain, "delay:", 6) == 0)
		return read_ready_delay(plain + 6, pool, why);
	if (strncmp(plain, "fd:", 3) == 0)
		return read_ready_fd(plain + 3, pool, why);
	if (strncmp(plain, "exec:", 5) == 0) {
		buf_add_str(why,
			    "quotes belong around words behind exec:, not around exec: itself");
		return -EINVAL;
	}
	return explain_ready(plain, why);
}

static void show_ready(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	switch (pool->ready) {
	case READY_NOTIFY:
		buf_add_str(out, "notify");
		break;
	case READY_EINHORN:
		buf_add_str(out, "einhorn");
		break;
	case READY_DELAY:
		buf_add_str(out, "delay:");
		config_show_duration(pool->ready_delay, out);
		break;
	case READY_FD:
		buf_printf(out, "fd:%d", pool->ready_fd);
		break;
	case READY_PROBE:
		config_probe_show(&pool->ready_probe, out);
		break;
	}
}

const struct key_type type_ready = {.read = read_ready, .show = show_ready, .words = true};

static int add_success(const char *word, struct success_codes *success, struct buf *why)
{
	uint64_t code;
	int sig, r;

	r = parse_uint(word, 0, 255, &code);
	if (r == 0) {
		success->codes[code / 64] |= UINT64_C(1) << (code % 64);
		return 0;
	}
	if (r == -EINVAL && parse_signal(word, &sig) == 0) {
		success->signals |= UINT64_C(1) << (sig - 1);
		return 0;
	}
	buf_printf(why, "%s is neither an exit code between 0 and 255 nor a signal", QUOTE(word));
	return -EINVAL;
}

static int read_success(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct success_codes *success = FIELD(struct success_codes, key, object);
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n, i;
	int r;

	r = config_split_list(text, &words, &n, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	for (i = 0; i < n && r == 0; i++)
		r = add_success(words[i], success, why);
	return r;
}

static void show_success(const struct key *key, const void *object, struct buf *out)
{
	const struct success_codes *success = FIELD_CONST(struct success_codes, key, object);
	const char *blank = "";
	int i;

	for (i = 0; i < 256; i++) {
		if (success->codes[i / 64] >> (i % 64) & 1) {
			buf_printf(out, "%s%d", blank, i);
			blank = " ";
		}
	}
	for (i = 1; i <= 64; i++) {
		if (success->signals >> (i - 1) & 1) {
			buf_printf(out, "%s%s", blank, parse_signal_name(i));
			blank = " ";
		}
	}
}

const struct key_type type_success = {
    .read = read_success, .show = show_success, .list = true, .words = true};
