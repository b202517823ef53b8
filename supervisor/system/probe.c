/* probe.c - one question to a server, whatever its protocol. */
#include "system/probe_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"

int probe_talk_new(enum probe_protocol protocol, const char *what, const char *authority,
		   struct probe_talk **ret_talk)
{
	struct probe_talk *talk = calloc(1, sizeof(*talk));
	int r = -ENOMEM;

	if (talk == NULL)
		return r;
	talk->protocol = protocol;
	switch (protocol) {
	case PROBE_HTTP:
		r = probe_http_begin(talk, what, authority);
		break;
	case PROBE_GRPC:
		r = probe_grpc_begin(talk, what, authority);
		break;
	}
	if (r == 0)
		*ret_talk = TAKE_PTR(talk);
	probe_talk_free(talk);
	return r;
}

struct probe_talk *probe_talk_free(struct probe_talk *talk)
{
	if (talk == NULL)
		return NULL;
	probe_grpc_end(talk);
	free(talk->request);
	free(talk);
	return NULL;
}

size_t probe_talk_output(struct probe_talk *talk, const uint8_t **ret_bytes)
{
	if (talk->verdict != PROBE_GOES_ON)
		return 0;
	if (talk->n_output == 0 && talk->protocol == PROBE_GRPC)
		probe_grpc_output(talk);
	*ret_bytes = talk->output;
	return talk->n_output;
}

void probe_talk_sent(struct probe_talk *talk, size_t n)
{
	talk->output += n;
	talk->n_output -= n;
}

enum probe_verdict probe_talk_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len)
{
	size_t room = PROBE_ANSWER_MAX - talk->fed;
	bool too_much = len > room;

	if (talk->verdict != PROBE_GOES_ON)
		return talk->verdict;
	if (len == 0)
		return probe_judge(talk, false,
				   talk->fed == 0 ? "closed the connection without an answer"
						  : "closed the connection in mid-answer");
	if (too_much)
		len = room;
	talk->fed += len;
	switch (talk->protocol) {
	case PROBE_HTTP:
		probe_http_feed(talk, bytes, len);
		break;
	case PROBE_GRPC:
		probe_grpc_feed(talk, bytes, len);
		break;
	}
	if (talk->verdict == PROBE_GOES_ON && too_much)
		probe_judge(talk, false, "answered with more than %d KiB and no end",
			    PROBE_ANSWER_MAX / 1024);
	return talk->verdict;
}

const char *probe_talk_text(const struct probe_talk *talk)
{
	return talk->text;
}

enum probe_verdict probe_judge(struct probe_talk *talk, bool passed, const char *format, ...)
{
	va_list args;

	if (talk->verdict != PROBE_GOES_ON)
		return talk->verdict;
	va_start(args, format);
	vsnprintf(talk->text, sizeof(talk->text), format, args);
	va_end(args);
	/* servers' words are in it */
	for (char *c = talk->text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	talk->verdict = passed ? PROBE_PASSED : PROBE_FAILED;
	return talk->verdict;
}
