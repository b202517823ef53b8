/* fuzz_giving.c - what is said over sockets.sock, in both directions. */
#include <stdlib.h>

#include "fuzz.h"

#include "engine/giving.h"

static void ask(const char *text, size_t len)
{
	struct giving_ask ask;
	const char *why = NULL;
	bool good;

	memset(&ask, 0xaa, sizeof(ask));
	good = giving_parse_ask(text, len, &ask, &why);
	FUZZ_RULE(good == (why == NULL));
	if (!good)
		return;
	FUZZ_RULE(ask.n >= 1 && ask.n <= GIVING_NAMES_MAX);
	FUZZ_RULE(ask.purpose != GIVING_INSTANCE || ask.n == 1);
	for (size_t n = 0; n < ask.n; n++) {
		FUZZ_RULE(memchr(ask.names[n], '\0', sizeof(ask.names[n])) != NULL);
		FUZZ_RULE(ask.names[n][0] != '\0');
		FUZZ_RULE(fuzz_is_printable(ask.names[n], strlen(ask.names[n])));
	}
	FUZZ_RULE(memchr(ask.who, '\0', sizeof(ask.who)) != NULL);
	FUZZ_RULE(fuzz_is_printable(ask.who, strlen(ask.who)));
}

static void answer(const char *text, size_t len)
{
	enum taking_kind kind;
	char *error = NULL;

	taking_parse(text, len, &kind, &error);
	FUZZ_RULE(error == NULL || kind == TAKING_REFUSED);
	FUZZ_RULE(error == NULL || fuzz_is_printable(error, strlen(error)));
	free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ask((const char *)data, len);
	answer((const char *)data, len);
	return 0;
}
