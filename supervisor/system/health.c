/* health.c - the messages of the gRPC health protocol. */
#include "system/health.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

enum { PREFIX = 5 };

/* Wire types: protobuf.dev/programming-guides/encoding. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

size_t health_write_request(const char *service, uint8_t out[static HEALTH_REQUEST_MAX])
{
	size_t len = strnlen(service, HEALTH_SERVICE_MAX), n = PREFIX;

	if (len > 0) {
		out[n++] = 1 << 3 | WIRE_BYTES;
		if (len >= 0x80)
			out[n++] = (uint8_t)(len | 0x80);
		out[n++] = (uint8_t)(len >= 0x80 ? len >> 7 : len);
		memcpy(out + n, service, len);
		n += len;
	}
	memset(out, 0, PREFIX);
	out[3] = (uint8_t)((n - PREFIX) >> 8);
	out[4] = (uint8_t)(n - PREFIX);
	return n;
}

struct reader {
	const uint8_t *at, *end;
};

static int read_varint(struct reader *reader, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (reader->at == reader->end)
			return -EBADMSG;
		value |= (uint64_t)(*reader->at & 0x7f) << shift;
		if ((*reader->at++ & 0x80) == 0) {
			*ret_value = value;
			return 0;
		}
	}
	return -EBADMSG;
}

static int skip(struct reader *reader, uint64_t len)
{
	if (len > (uint64_t)(reader->end - reader->at))
		return -EBADMSG;
	reader->at += len;
	return 0;
}

static int skip_field(struct reader *reader, unsigned wire)
{
	uint64_t value;
	int r;

	switch (wire) {
	case WIRE_VARINT:
		return read_varint(reader, &value);
	case WIRE_FIXED64:
		return skip(reader, 8);
	case WIRE_FIXED32:
		return skip(reader, 4);
	case WIRE_BYTES:
		r = read_varint(reader, &value);
		return r == 0 ? skip(reader, value) : r;
	default: /* not of our enum: what the wire says */
		return -EBADMSG;
	}
}

static int read_message(struct reader *reader, uint64_t *ret_status)
{
	uint64_t status = HEALTH_UNKNOWN, key;
	int r = 0;

	while (r == 0 && reader->at < reader->end) {
		r = read_varint(reader, &key);
		if (r == 0 && key >> 3 == 0)
			r = -EBADMSG;
		else if (r == 0 && key >> 3 == 1 && (key & 7) == WIRE_VARINT)
			r = read_varint(reader, &status);
		else if (r == 0)
			r = skip_field(reader, key & 7);
	}
	if (r == 0)
		*ret_status = status;
	return r;
}

int health_read_answer(const uint8_t *bytes, size_t len, uint64_t *ret_status)
{
	struct reader reader;
	uint32_t size;

	/* we have not offered any compression */
	if (len < PREFIX || bytes[0] != 0)
		return -EBADMSG;
	size = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 |
	       bytes[4];
	if (size != len - PREFIX)
		return -EBADMSG;
	reader = (struct reader){bytes + PREFIX, bytes + len};
	return read_message(&reader, ret_status);
}

const char *health_status_name(uint64_t status)
{
	static const char *const names[] = {
	    [HEALTH_UNKNOWN] = "UNKNOWN",
	    [HEALTH_SERVING] = "SERVING",
	    [HEALTH_NOT_SERVING] = "NOT_SERVING",
	    [HEALTH_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
	};

	return status < ARRAY_LEN(names) ? names[status] : NULL;
}
