/*
 * probe.h - one question to a server, whether it is well: HTTP/1.1 (RFC 9112), or the standard gRPC
 * health protocol (grpc.health.v1.Health/Check, over HTTP/2, RFC 9113). A pure state machine: bytes
 * go in and out, and whoever has the connection carries them. What a server may make it keep is
 * bounded.
 */
#ifndef SYSTEM_PROBE_H
#define SYSTEM_PROBE_H

#include <stddef.h>
#include <stdint.h>

enum {
	PROBE_TEXT_MAX = 160,
	PROBE_ANSWER_MAX = 16 * 1024, /* bytes of an answer, up to the end of its headers (HTTP) or
					 of all (gRPC) */
};

enum probe_protocol { PROBE_HTTP, PROBE_GRPC };

enum probe_verdict {
	PROBE_GOES_ON, /* the answer is not complete */
	PROBE_PASSED,
	PROBE_FAILED,
};

struct probe_talk;

/*
 * A question that nothing was sent of yet. what: the path of a GET (HTTP), the service's name or ""
 * for the server as a whole (gRPC); authority: the server's name, as in a URL. 0, or -ENOMEM. Freed
 * by probe_talk_free().
 */
int probe_talk_new(enum probe_protocol protocol, const char *what, const char *authority,
		   struct probe_talk **ret_talk);
/* Accepts NULL; returns NULL. */
struct probe_talk *probe_talk_free(struct probe_talk *talk);

/* What is to be sent now: returns how many bytes (0: nothing for now), which stay where they are
 * until they were sent. */
size_t probe_talk_output(struct probe_talk *talk, const uint8_t **ret_bytes);
/* n bytes of that were sent. */
void probe_talk_sent(struct probe_talk *talk, size_t n);
/* What came. len 0: the server has closed the connection. The first verdict stands. */
enum probe_verdict probe_talk_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len);
/* What the server did, to follow its name: "answered 503 Service Unavailable", "closed the
 * connection without an answer". Printable, shorter than PROBE_TEXT_MAX. */
const char *probe_talk_text(const struct probe_talk *talk);

#endif
