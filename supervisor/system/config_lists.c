/* config_lists.c - lists of words: split, kept, shown so that they can be read back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

int config_split_list(const char *text, char ***ret_words, size_t *ret_n, const char **ret_error)
{
	cleanup_free char *blanks = strdup(text);
	struct parse_quotes quotes = {.open = '\0'};
	size_t i;

	if (blanks == NULL)
		return -ENOMEM;
	for (i = 0; blanks[i] != '\0'; i++)
		if (parse_quotes_step(&quotes, blanks[i]) && blanks[i] == ',')
			blanks[i] = ' ';
	return parse_words(blanks, ret_words, ret_n, ret_error);
}

int config_list_append(char ***list, size_t *n_list, char *const *words, size_t n)
{
	char **longer;
	size_t i;

	longer = reallocarray(*list, *n_list + n + 1, sizeof(*longer));
	if (longer == NULL)
		return -ENOMEM;
	*list = longer;
	for (i = 0; i < n; i++) {
		longer[*n_list] = strdup(words[i]);
		if (longer[*n_list] == NULL)
			return -ENOMEM;
		(*n_list)++;
		longer[*n_list] = NULL;
	}
	longer[*n_list] = NULL;
	return 0;
}

void config_list_free(char **list)
{
	char **word;

	if (list == NULL)
		return;
	for (word = list; *word != NULL; word++)
		free(*word);
	free(list);
}

void config_show_word(const char *word, struct buf *out)
{
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+/:=@%^~*?!";

	if (*word != '\0' && word[strspn(word, plain)] == '\0') {
		buf_add_str(out, word);
		return;
	}
	buf_add(out, "'", 1);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add(out, word, 1);
	}
	buf_add(out, "'", 1);
}

void config_show_text(const char *text, struct buf *out)
{
	size_t len = strlen(text);

	if (len > 0 && strpbrk(text, "\"'\\;#") == NULL && strchr(" \t", text[0]) == NULL &&
	    strchr(" \t", text[len - 1]) == NULL)
		buf_add(out, text, len);
	else
		config_show_word(text, out);
}

void config_show_words(char *const *words, size_t n, struct buf *out)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_add(out, " ", 1);
		config_show_word(words[i], out);
	}
}

static int read_names(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct pool_spec *pool = object;
	cleanup_free char **words = NULL;
	const char *error = "";
	size_t n;
	int r;

	(void)key;
	r = config_split_list(text, &words, &n, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	return config_list_append(&pool->sockets, &pool->n_sockets, words, n);
}

static void show_names(const struct key *key, const void *object, struct buf *out)
{
	const struct pool_spec *pool = object;

	(void)key;
	config_show_words(pool->sockets, pool->n_sockets, out);
}

const struct key_type type_names = {
    .read = read_names, .show = show_names, .list = true, .words = true};
