/* buf.h - a growing byte buffer with a limit, and a ring that keeps the last bytes. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Text that grows. data is always NUL-terminated once anything was added. max bounds len (0: 64
 * KiB); what does not fit is cut off and `cut` is set, so that a caller checks once at the end. A
 * struct of zeros is an empty buffer.
 */
struct buf {
	char *data;
	size_t len;
	size_t size;
	size_t max;
	int cut; /* something did not fit, or memory was short */
};

/* Frees what the buffer holds and makes it empty. Accepts an empty one. */
void buf_free(struct buf *buf);
/* Forgets the content and keeps the memory. */
void buf_reset(struct buf *buf);
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *text);
/* Adds text as it may be shown to people: what is no printable UTF-8 becomes \xNN, but tabs stay.
 */
void buf_add_visible(struct buf *buf, const char *text, size_t len);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* The text, also of a buffer that nothing was added to, or that got no memory. */
static inline const char *buf_text(const struct buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

#define cleanup_buf __attribute__((cleanup(buf_free)))

/*
 * The last bytes that somebody wrote. Memory is taken at the first write and doubled up to max,
 * so that a worker that never writes costs nothing. A struct of zeros with max set is an empty
 * ring.
 */
struct ring {
	char *data;
	size_t size;  /* bytes of memory taken */
	size_t max;   /* most that it may take */
	size_t start; /* index of the oldest byte */
	size_t len;
};

void ring_free(struct ring *ring);
/* Adds data; the oldest bytes make room. Where memory is short it keeps what it can. Never fails.
 */
void ring_add(struct ring *ring, const void *data, size_t len);
/* Appends the content, oldest byte first, to out. */
void ring_copy(const struct ring *ring, struct buf *out);
/* Appends the last `lines` whole lines (at most) to out. */
void ring_copy_lines(const struct ring *ring, unsigned lines, struct buf *out);

#endif
