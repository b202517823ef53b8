/* config_names.c - types of keys whose value names something: signals, amounts, accounts, paths,
 * output, addresses. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* Puts a copy of text in the place of what was there. */
static int replace_text(char **field, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* "sigtrem" -> "SIGTERM" */
static int explain_signal(const char *text, struct buf *why)
{
	char names[NSIG][24], word[32] = "SIG";
	const char *list[NSIG], *near;
	size_t n = 0, at = strncasecmp(text, "SIG", 3) == 0 ? 0 : 3;
	int sig;

	for (sig = 1; sig < SIGRTMIN && sig < NSIG; sig++) {
		snprintf(names[n], sizeof(names[n]), "%s", parse_signal_name(sig));
		list[n] = names[n];
		n++;
	}
	for (; *text != '\0' && at < sizeof(word) - 1; text++)
		word[at++] = (char)toupper((unsigned char)*text);
	word[at] = '\0';
	near = parse_suggest(word, list, n);
	if (near != NULL)
		buf_printf(why, "; did you mean '%s'?", near);
	return -EINVAL;
}

static bool may_be_off(const struct key *key)
{
	return key_choice_find(key->info.type, "off") >= 0;
}

static int read_signal(const struct key *key, const char *text, void *object, struct buf *why)
{
	int sig = 0;

	if (may_be_off(key) && (strcmp(text, "off") == 0 || strcmp(text, "0") == 0)) {
		*FIELD(int, key, object) = 0;
		return 0;
	}
	if (parse_signal(text, &sig) < 0) {
		buf_printf(why, "%s is not a signal", QUOTE(text));
		return explain_signal(text, why);
	}
	if (sig == SIGKILL || sig == SIGSTOP) {
		buf_printf(why, "%s cannot be caught, so that no worker could act on it",
			   parse_signal_name(sig));
		return -EINVAL;
	}
	*FIELD(int, key, object) = sig;
	return 0;
}

static void show_signal(const struct key *key, const void *object, struct buf *out)
{
	int sig = *FIELD_CONST(int, key, object);

	buf_add_str(out, sig == 0 ? "off" : parse_signal_name(sig));
}

const struct key_type type_signal = {.read = read_signal, .show = show_signal};

static int read_amount(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct amount *amount = FIELD(struct amount, key, object);
	uint64_t value = 0, least = 0, most = 0;
	unsigned percent = 0;
	int r = parse_percent(text, &percent);

	parse_uint(key->least, 0, UINT64_MAX, &least);
	parse_uint(key->most, 0, UINT64_MAX, &most);
	if (r != -EINVAL) {
		if (r < 0 || percent < least || percent > 100) {
			buf_printf(why, "must be between %s%% and 100%%, but is %.60s", key->least,
				   text);
			return -EINVAL;
		}
		*amount = (struct amount){.value = percent, .percent = true};
		return 0;
	}
	r = parse_uint(text, least, most, &value);
	if (r == -EINVAL) {
		buf_printf(why, "%s is neither a number nor a percentage such as 25%%",
			   QUOTE(text));
		return r;
	}
	if (r < 0) {
		buf_printf(why, "must be between %s and %s, but is %.60s", key->least, key->most,
			   text);
		return -EINVAL;
	}
	*amount = (struct amount){.value = (unsigned)value, .percent = false};
	return 0;
}

static void show_amount(const struct key *key, const void *object, struct buf *out)
{
	const struct amount *amount = FIELD_CONST(struct amount, key, object);

	buf_printf(out, "%u%s", amount->value, amount->percent ? "%" : "");
}

const struct key_type type_amount = {.read = read_amount, .show = show_amount};

/* A user's or group's name or number, as passwd(5) has them. Whether it exists is a question to the
 * world. */
static int check_account(const char *text, struct buf *why)
{
	size_t i;

	for (i = 0; text[i] != '\0'; i++)
		if (strchr(":/, \t", text[i]) != NULL)
			break;
	if (i > 0 && i < 256 && text[i] == '\0' && *text != '-')
		return 0;
	buf_printf(why, "%s is not a name or number", QUOTE(text));
	return -EINVAL;
}

static int read_account(const struct key *key, const char *text, void *object, struct buf *why)
{
	int r = check_account(text, why);

	return r < 0 ? r : replace_text(FIELD(char *, key, object), text);
}

static void show_text(const struct key *key, const void *object, struct buf *out)
{
	const char *text = *FIELD_CONST(char *, key, object);

	if (text != NULL)
		config_show_text(text, out);
}

const struct key_type type_account = {.read = read_account, .show = show_text};

static int read_accounts(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n, i;
	int r;

	(void)key;
	r = config_split_list(text, &words, &n, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	for (i = 0; i < n; i++) {
		r = check_account(words[i], why);
		if (r < 0)
			return r;
	}
	return config_list_append(&pool->supplementary_groups, &pool->n_supplementary_groups, words,
				  n);
}

static void show_accounts(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	config_show_words(pool->supplementary_groups, pool->n_supplementary_groups, out);
}

const struct key_type type_accounts = {
    .read = read_accounts, .show = show_accounts, .list = true, .words = true};

/* '%' is refused, so that a later version may give it a meaning. */
static int check_path(const char *path, struct buf *why)
{
	if (*path != '/')
		buf_printf(why, "%s is not a path that begins with '/'", QUOTE(path));
	else if (strlen(path) >= PATH_MAX)
		buf_printf(why, "the path is longer than %d bytes", PATH_MAX - 1);
	else if (strchr(path, '%') != NULL)
		buf_printf(why, "%s: '%%' in a path is not supported by this version", QUOTE(path));
	else
		return 0;
	return -EINVAL;
}

static int read_path(const struct key *key, const char *text, void *object, struct buf *why)
{
	int r = check_path(text, why);

	return r < 0 ? r : replace_text(FIELD(char *, key, object), text);
}

const struct key_type type_path = {.read = read_path, .show = show_text};

static int read_paths(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n, i;
	int r;

	(void)key;
	r = config_split_list(text, &words, &n, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	for (i = 0; i < n; i++) {
		/* "-/path": it may be missing. */
		r = check_path(words[i] + (*words[i] == '-'), why);
		if (r < 0)
			return r;
	}
	return config_list_append(&pool->environment_file, &pool->n_environment_file, words, n);
}

static void show_paths(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	config_show_words(pool->environment_file, pool->n_environment_file, out);
}

const struct key_type type_paths = {
    .read = read_paths, .show = show_paths, .list = true, .words = true};

static int read_output(const struct key *key, const char *text, void *object, struct buf *why)
{
	static const char *const kinds[] = {"capture", "inherit", "null", "journal"};
	struct output_spec *output = FIELD(struct output_spec, key, object);
	size_t i;
	int r;

	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(text, kinds[i]) == 0) {
			free(output->path);
			*output = (struct output_spec){.kind = (enum output_kind)i};
			return 0;
		}
	}
	if (strncmp(text, "file:", 5) != 0) {
		buf_printf(why, "%s is not one of capture, inherit, null, journal, file:/PATH",
			   QUOTE(text));
		return -EINVAL;
	}
	r = check_path(text + 5, why);
	if (r < 0)
		return r;
	output->kind = OUTPUT_FILE;
	return replace_text(&output->path, text + 5);
}

static void show_output(const struct key *key, const void *object, struct buf *out)
{
	const struct output_spec *output = FIELD_CONST(struct output_spec, key, object);
	cleanup_buf struct buf text = {.data = NULL};

	switch (output->kind) {
	case OUTPUT_CAPTURE:
		buf_add_str(out, "capture");
		break;
	case OUTPUT_INHERIT:
		buf_add_str(out, "inherit");
		break;
	case OUTPUT_NULL:
		buf_add_str(out, "null");
		break;
	case OUTPUT_JOURNAL:
		buf_add_str(out, "journal");
		break;
	case OUTPUT_FILE:
		buf_printf(&text, "file:%s", output->path);
		config_show_text(buf_text(&text), out);
		break;
	}
}

const struct key_type type_output = {.read = read_output, .show = show_output};
