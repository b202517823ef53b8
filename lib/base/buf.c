/* buf.c - text that grows up to a limit, and the ring that keeps somebody's last bytes. */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

enum {
	BUF_MAX_DEFAULT = 64 * 1024,
	BUF_FIRST = 256,
	RING_FIRST = 512,
};

static size_t limit_of(const struct buf *buf)
{
	return buf->max != 0 ? buf->max : BUF_MAX_DEFAULT;
}

/* Takes memory for `more` bytes and the NUL; returns how many of them there is room for. */
static size_t reserve(struct buf *buf, size_t more)
{
	size_t limit = limit_of(buf), room, size;
	char *data;

	room = limit > buf->len ? limit - buf->len : 0;
	if (more > room) {
		more = room;
		buf->cut = 1;
	}
	if (buf->data != NULL && buf->len + more < buf->size)
		return more;
	size = buf->size != 0 ? buf->size : BUF_FIRST;
	while (size < buf->len + more + 1)
		size *= 2;
	if (size > limit + 1)
		size = limit + 1;
	data = realloc(buf->data, size);
	if (data == NULL) {
		buf->cut = 1;
		return 0;
	}
	buf->data = data;
	buf->size = size;
	return more;
}

void buf_free(struct buf *buf)
{
	size_t max = buf->max;

	free(buf->data);
	*buf = (struct buf){.max = max};
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->cut = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
	len = reserve(buf, len);
	if (buf->data == NULL)
		return;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_add_visible(struct buf *buf, const char *text, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = text[i] == '\t' ? 1 : parse_printable(text + i, len - i);
		if (n > 0) {
			buf_add(buf, text + i, n);
		} else {
			buf_printf(buf, "\\x%02x", (unsigned char)text[i]);
			n = 1;
		}
	}
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	size_t room;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0) {
		buf->cut = 1;
		return;
	}
	room = reserve(buf, (size_t)n);
	if (buf->data == NULL)
		return;
	vsnprintf(buf->data + buf->len, room + 1, format, args);
	buf->len += room;
}

void ring_free(struct ring *ring)
{
	size_t max = ring->max;

	free(ring->data);
	*ring = (struct ring){.max = max};
}

/* Doubles the memory until len bytes fit or max is reached, and puts the oldest byte to the front.
 */
static void ring_grow(struct ring *ring, size_t len)
{
	size_t size = ring->size != 0 ? ring->size : RING_FIRST, tail;
	char *data;

	while (size < len && size < ring->max)
		size *= 2;
	if (size > ring->max)
		size = ring->max;
	if (size <= ring->size)
		return;
	data = malloc(size);
	if (data == NULL)
		return;
	tail = ring->size - ring->start;
	if (tail > ring->len)
		tail = ring->len;
	if (ring->len > 0) {
		memcpy(data, ring->data + ring->start, tail);
		memcpy(data + tail, ring->data, ring->len - tail);
	}
	free(ring->data);
	ring->data = data;
	ring->size = size;
	ring->start = 0;
}

void ring_add(struct ring *ring, const void *data, size_t len)
{
	const char *from = data;
	size_t at, part;

	if (len == 0)
		return;
	if (ring->len + len > ring->size)
		ring_grow(ring, len > SIZE_MAX - ring->len ? SIZE_MAX : ring->len + len);
	if (ring->size == 0)
		return;
	if (len > ring->size) {
		from += len - ring->size;
		len = ring->size;
	}
	at = (ring->start + ring->len) % ring->size;
	part = ring->size - at < len ? ring->size - at : len;
	memcpy(ring->data + at, from, part);
	memcpy(ring->data, from + part, len - part);
	ring->len += len;
	if (ring->len > ring->size) {
		ring->start = (ring->start + ring->len - ring->size) % ring->size;
		ring->len = ring->size;
	}
}

/* Appends what is left after the first `skip` bytes. */
static void copy_from(const struct ring *ring, size_t skip, struct buf *out)
{
	size_t at, part, len = ring->len - skip;

	if (len == 0)
		return;
	at = (ring->start + skip) % ring->size;
	part = ring->size - at < len ? ring->size - at : len;
	buf_add(out, ring->data + at, part);
	buf_add(out, ring->data, len - part);
}

void ring_copy(const struct ring *ring, struct buf *out)
{
	copy_from(ring, 0, out);
}

static char byte_at(const struct ring *ring, size_t i)
{
	return ring->data[(ring->start + i) % ring->size];
}

/* A full ring begins in the middle of a line, most likely: where its second one begins (0: there is
 * no other). */
static size_t skip_torn_line(const struct ring *ring)
{
	size_t i;

	for (i = 0; i + 1 < ring->len; i++)
		if (byte_at(ring, i) == '\n')
			return i + 1;
	return 0;
}

void ring_copy_lines(const struct ring *ring, unsigned lines, struct buf *out)
{
	size_t skip = ring->len, first = ring->len == ring->max ? skip_torn_line(ring) : 0;

	/* A newline that ends the last line begins none; what has no newline yet is a line too. */
	while (skip > first && lines > 0) {
		if (skip < ring->len && byte_at(ring, skip - 1) == '\n' && --lines == 0)
			break;
		skip--;
	}
	copy_from(ring, skip, out);
}
