/* fuzz_probe.c - what a server answers to a probe: the first byte chooses the protocol and the size
 * of the pieces. A verdict comes at the latest with the end, and its words can be shown. */
#include "fuzz.h"

#include "system/health.h"
#include "system/probe.h"

static void check_health(const uint8_t *data, size_t len)
{
	uint64_t status = 99;
	int r = health_read_answer(data, len, &status);

	FUZZ_RULE(r == 0 || status == 99);
}

static void send_all(struct probe_talk *talk)
{
	const uint8_t *bytes;
	size_t n;

	while ((n = probe_talk_output(talk, &bytes)) > 0)
		probe_talk_sent(talk, n > 50 ? 50 : n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct probe_talk *talk = NULL;
	enum probe_verdict verdict = PROBE_GOES_ON;
	size_t step;

	check_health(data, len);
	if (len == 0)
		return 0;
	step = 1 + (data[0] >> 1) % 64;
	FUZZ_RULE(probe_talk_new((data[0] & 1) != 0 ? PROBE_GRPC : PROBE_HTTP, "/x", "localhost",
				 &talk) == 0);
	for (size_t i = 1; i < len && verdict == PROBE_GOES_ON; i += step) {
		send_all(talk);
		verdict = probe_talk_feed(talk, data + i, len - i < step ? len - i : step);
	}
	if (verdict == PROBE_GOES_ON)
		verdict = probe_talk_feed(talk, NULL, 0);
	FUZZ_RULE(verdict != PROBE_GOES_ON);
	FUZZ_RULE(strlen(probe_talk_text(talk)) > 0 &&
		  strlen(probe_talk_text(talk)) < PROBE_TEXT_MAX);
	FUZZ_RULE(fuzz_is_printable(probe_talk_text(talk), strlen(probe_talk_text(talk))));
	probe_talk_free(talk);
	return 0;
}
