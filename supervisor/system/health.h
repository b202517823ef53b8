/*
 * health.h - the two messages of grpc.health.v1.Health/Check, as protobuf, each behind gRPC's
 * prefix of five bytes:
 *
 *   message HealthCheckRequest { string service = 1; }
 *   message HealthCheckResponse { ServingStatus status = 1; }
 */
#ifndef SYSTEM_HEALTH_H
#define SYSTEM_HEALTH_H

#include <stddef.h>
#include <stdint.h>

enum {
	HEALTH_SERVICE_MAX = 255,
	HEALTH_REQUEST_MAX = 5 + 1 + 2 + HEALTH_SERVICE_MAX,
	HEALTH_ANSWER_MAX = 1024, /* a real one has 7 bytes */
};

enum health_status {
	HEALTH_UNKNOWN = 0,
	HEALTH_SERVING = 1,
	HEALTH_NOT_SERVING = 2,
	HEALTH_SERVICE_UNKNOWN = 3,
};

/* Writes the request for a service ("": the server as a whole), of at most HEALTH_SERVICE_MAX
 * bytes. Returns its length. */
size_t health_write_request(const char *service, uint8_t out[static HEALTH_REQUEST_MAX]);

/*
 * Reads an answer: one message, not compressed; fields that are not known are skipped, of several
 * of the same the last one counts. 0 with *ret_status (a number that is in no enum is passed on as
 * it is); -EBADMSG.
 */
int health_read_answer(const uint8_t *bytes, size_t len, uint64_t *ret_status);

/* "SERVING", "NOT_SERVING", ... NULL: not known. */
const char *health_status_name(uint64_t status);

#endif
