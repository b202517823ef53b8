/* fuzz_channel.c - what a worker says over its channel: taken, or refused with a reason. */
#include "fuzz.h"

#include "engine/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct channel_message message;
	const char *why = NULL;
	bool good;

	memset(&message, 0xaa, sizeof(message));
	good = channel_parse((const char *)data, len, &message, &why);
	FUZZ_RULE(good == (why == NULL));
	if (!good)
		return 0;
	FUZZ_RULE(message.kind <= CHANNEL_AGAIN);
	FUZZ_RULE(memchr(message.status, '\0', sizeof(message.status)) != NULL);
	FUZZ_RULE(fuzz_is_printable(message.status, strlen(message.status)));
	FUZZ_RULE(message.kind == CHANNEL_STATUS || message.status[0] == '\0');
	return 0;
}
