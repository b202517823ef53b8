/* fuzz_words.c - command lines: what was split and quoted again is split into the same words. */
#include "fuzz.h"

/* Every word in single quotes, which a shell and we read alike. */
static char *quote_all(char *const *words, size_t len)
{
	char *text = malloc(4 * len + 3 * (len + 1) + 1), *out = text;

	FUZZ_RULE(text != NULL);
	for (; *words != NULL; words++) {
		*out++ = '\'';
		for (const char *p = *words; *p != '\0'; p++) {
			if (*p == '\'')
				out = stpcpy(out, "'\\''");
			else
				*out++ = *p;
		}
		out = stpcpy(out, "' ");
	}
	*out = '\0';
	return text;
}

static void check_again(char *const *words, size_t n, size_t len)
{
	cleanup_free char *text = quote_all(words, len);
	cleanup_free char **again = NULL;
	size_t n_again = 0;

	FUZZ_RULE(parse_words(text, &again, &n_again, NULL) == 0);
	FUZZ_RULE(n_again == n);
	for (size_t i = 0; i < n; i++)
		FUZZ_RULE(strcmp(words[i], again[i]) == 0);
	FUZZ_RULE(again[n] == NULL);
}

/* Is a quote open, or a backslash without anything behind it, at the end? */
static bool is_open(const char *text)
{
	struct parse_quotes quotes = {.open = '\0'};

	for (; *text != '\0'; text++)
		parse_quotes_step(&quotes, *text);
	return quotes.open != '\0' || quotes.escaped;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup_free char *text = fuzz_string(data, len), *plain = NULL;
	cleanup_free char **words = NULL;
	const char *error = NULL, *plain_error = NULL;
	size_t n = 0;
	int r = parse_words(text, &words, &n, &error);
	int r_plain = parse_unquote(text, &plain, &plain_error);

	FUZZ_RULE(r == 0 || r == -EINVAL);
	FUZZ_RULE(r == r_plain);
	FUZZ_RULE((r < 0) == is_open(text));
	FUZZ_RULE((r < 0) == (error != NULL) && (r < 0) == (plain_error != NULL));
	if (r == 0) {
		FUZZ_RULE(strlen(plain) <= strlen(text));
		check_again(words, n, strlen(text));
	} else {
		FUZZ_RULE(words == NULL && plain == NULL);
	}
	return 0;
}
