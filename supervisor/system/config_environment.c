/* config_environment.c - variables of workers: the key `environment`, environment files, and
 * %-specifiers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

enum { ENVIRONMENT_FILE_MAX = 64 * 1024 };

/* Variables by which we tell workers what they are; a configured one could only break that. */
static bool is_our_own(const char *name, size_t len)
{
	static const char *const prefixes[] = {"LISTEN_", "WATCHDOG_", "HANDOVER_"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(prefixes); i++)
		if (len >= strlen(prefixes[i]) &&
		    strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return len == strlen("NOTIFY_SOCKET") && strncmp(name, "NOTIFY_SOCKET", len) == 0;
}

static bool is_variable_name(const char *name, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	size_t i;

	if (len == 0)
		return false;
	for (i = 0; i < len; i++)
		if (strchr(letters, name[i]) == NULL && (i == 0 || name[i] < '0' || name[i] > '9'))
			return false;
	return true;
}

int config_check_variable(const char *text, struct buf *why)
{
	size_t len = strcspn(text, "=");

	if (text[len] == '\0')
		buf_printf(why, "%s is not NAME=value", QUOTE(text));
	else if (!is_variable_name(text, len))
		buf_printf(why, "%s: before the '=' stands no name of letters, digits and '_'",
			   QUOTE(text));
	else if (is_our_own(text, len))
		buf_printf(why, "%.*s is set by handover itself", (int)len, text);
	else
		return 0;
	return -EINVAL;
}

static int read_variables(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n, i;
	int r;

	(void)key;
	r = parse_words(text, &words, &n, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	for (i = 0; i < n; i++) {
		r = config_check_variable(words[i], why);
		if (r == 0)
			r = config_check_specifiers(words[i], why);
		if (r < 0)
			return r;
	}
	return config_list_append(&pool->environment, &pool->n_environment, words, n);
}

static void show_variables(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	config_show_words(pool->environment, pool->n_environment, out);
}

const struct key_type type_variables = {
    .read = read_variables, .show = show_variables, .list = true, .words = true};

int config_check_specifiers(const char *text, struct buf *why)
{
	const char *p;

	for (p = strchr(text, '%'); p != NULL; p = strchr(p + 2, '%')) {
		if (p[1] != '\0' && strchr("ngpi%", p[1]) != NULL)
			continue;
		buf_printf(
		    why,
		    "%s: there are %%n (slot), %%g (generation), %%p (pool), %%i (instance), "
		    "and %%%% for a percent sign",
		    QUOTE(text));
		return -EINVAL;
	}
	return 0;
}

char *config_expand(const char *text, const struct config_who *who)
{
	struct buf out = {.max = CONFIG_VALUE_MAX * 16};
	const char *p;
	size_t len;

	buf_add(&out, "", 0);
	for (p = text; *p != '\0'; p += len) {
		len = strcspn(p, "%");
		if (len > 0) {
			buf_add(&out, p, len);
			continue;
		}
		len = p[1] != '\0' ? 2 : 1;
		if (p[1] == 'n')
			buf_printf(&out, "%u", who->slot);
		else if (p[1] == 'g')
			buf_printf(&out, "%u", who->generation);
		else if (p[1] == 'p')
			buf_add_str(&out, who->pool);
		else if (p[1] == 'i')
			buf_add_str(&out, who->instance);
		else
			buf_add(&out, "%", 1);
	}
	if (out.cut)
		buf_free(&out);
	return out.data;
}

/* One line of an environment file, with its blanks gone; *ret_variable stays NULL for a comment or
 * an empty line. */
static int read_variable(char *line, char **ret_variable, struct buf *why)
{
	cleanup_free char *value = NULL;
	cleanup_buf struct buf variable = {.max = ENVIRONMENT_FILE_MAX + 1};
	struct parse_quotes quotes;
	const char *error = "";
	size_t len = strlen(line);
	int r;

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	line += strspn(line, " \t");
	if (*line == '\0' || *line == '#' || *line == ';')
		return 0;
	r = config_check_variable(line, why);
	if (r < 0)
		return r;
	len = strcspn(line, "=") + 1;
	/* A ` ;` is no comment here: passwords have it. */
	line[len + config_value_length(line + len, false, &quotes)] = '\0';
	r = parse_unquote(line + len, &value, &error);
	if (r < 0) {
		buf_printf(why, "%.*s: %s", (int)len - 1, line, error);
		return r;
	}
	buf_add(&variable, line, len);
	buf_add_str(&variable, value);
	if (variable.cut)
		return -ENOMEM;
	*ret_variable = TAKE_PTR(variable.data);
	return 0;
}

/* Reads a file's lines into a list. *ret_line is where it stopped. */
static int read_variables_text(char *text, char ***list, size_t *n_list, unsigned *ret_line,
			       struct buf *why)
{
	char *line, *next = text;
	int r;

	while ((line = strsep(&next, "\n")) != NULL) {
		cleanup_free char *variable = NULL;

		(*ret_line)++;
		r = read_variable(line, &variable, why);
		if (r == 0 && variable != NULL)
			r = config_list_append(list, n_list, &variable, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int append_all(char ***env, size_t *n_env, char **list, size_t n)
{
	char **longer = reallocarray(*env, *n_env + n + 1, sizeof(*longer));
	size_t i;

	if (longer == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		longer[*n_env + i] = list[i];
	longer[*n_env + n] = NULL;
	*env = longer;
	*n_env += n;
	return 0;
}

static char *environment_sentence(const char *path, unsigned line, const char *why)
{
	struct buf out = {.data = NULL};

	buf_add_str(&out, path);
	if (line > 0)
		buf_printf(&out, ":%u", line);
	buf_printf(&out, ": %s", why);
	return out.data;
}

int config_read_environment_file(const char *path, char ***env, size_t *n_env, char **ret_error)
{
	bool optional = *path == '-';
	cleanup_buf struct buf why = {.data = NULL};
	cleanup_free char *text = NULL;
	char **list = NULL;
	size_t len, n = 0;
	unsigned line = 0;
	int r;

	path += optional;
	r = fd_read_file(path, ENVIRONMENT_FILE_MAX, &text, &len);
	if (r == -ENOENT && optional)
		return 0;
	if (r == -EFBIG)
		buf_printf(&why, "has more than %d bytes", ENVIRONMENT_FILE_MAX);
	else if (r < 0)
		buf_printf(&why, "cannot be read: %s", strerror(-r));
	else if (strlen(text) != len)
		buf_add_str(&why, "contains a NUL byte");
	else
		r = read_variables_text(text, &list, &n, &line, &why);
	if (r == 0 && why.len > 0)
		r = -EINVAL;
	if (r == 0)
		r = append_all(env, n_env, list, n);
	if (r < 0) {
		*ret_error =
		    environment_sentence(path, line, why.len > 0 ? buf_text(&why) : strerror(-r));
		config_list_free(list);
		return r;
	}
	/* The strings are the caller's now. */
	free(list);
	return 0;
}
