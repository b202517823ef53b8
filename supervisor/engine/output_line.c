/* output_line.c - a worker's line as it is told, and the time that is kept with it. */
#include <string.h>

#include "base/parse.h"
#include "engine/output_internal.h"

/* ---- what reaches a terminal or a log ---- */

struct line {
	char *data;
	size_t len, size;
};

static bool line_add(struct line *line, const char *data, size_t len)
{
	if (len > line->size - line->len)
		return false;
	memcpy(line->data + line->len, data, len);
	line->len += len;
	return true;
}

static bool is_plain(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* The C1 controls (U+0080 to U+009F) are terminal sequences too, in two bytes of good UTF-8. */
static bool is_c1(const char *text, size_t n)
{
	return n == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}

static void line_add_visible(struct line *line, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)text[i];
		char odd[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
		bool fits;

		n = parse_utf8(text + i, len - i);
		if (n == 0 || is_c1(text + i, n) || (n == 1 && !is_plain(c))) {
			n = 1;
			fits = line_add(line, odd, sizeof(odd));
		} else {
			fits = line_add(line, text + i, n);
		}
		if (!fits)
			return;
	}
}

size_t output_line_format(const struct output *output, enum log_format format, const char *text,
			  size_t len, char *line, size_t size)
{
	struct line out = {.data = line, .size = size - 1};
	struct log_about about = {.event = "worker-output",
				  .pool = output->pool,
				  .slot = output->slot,
				  .generation = output->generation,
				  .pid = output->pid};
	char tag[96];
	int n;

	if (format == LOG_FORMAT_JSON)
		return log_format_line(line, size, LOG_LEVEL_INFO, &about, text, len);
	n = snprintf(tag, sizeof(tag), "%s[%u] g%u pid %d: ", output->pool, output->slot,
		     output->generation, (int)output->pid);
	line_add(&out, tag, n < 0 ? 0 : strlen(tag));
	line_add_visible(&out, text, len);
	out.data[out.len++] = '\n';
	return out.len;
}

size_t output_line_whole(const char *data, size_t len)
{
	size_t back;

	/* a character has at most 4 bytes: one that is cut off began in the last 3 */
	for (back = 1; back <= 3 && back < len; back++) {
		unsigned char c = (unsigned char)data[len - back];
		size_t wants = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (c < 0x80)
			break;
		if (c >= 0xc0)
			return wants > back ? len - back : len;
	}
	return len;
}

/* ---- the time before each line of a tail ---- */

/* Six bits a character, from '0' on: printable, and never a newline. */
void output_stamp_write(usec_t wall, char stamp[static OUTPUT_STAMP])
{
	uint64_t ms = wall / USEC_PER_MSEC;

	for (size_t i = OUTPUT_STAMP; i-- > 0; ms >>= 6)
		stamp[i] = (char)('0' + (ms & 63));
}

usec_t output_stamp_read(const char stamp[static OUTPUT_STAMP])
{
	uint64_t ms = 0;

	for (size_t i = 0; i < OUTPUT_STAMP; i++)
		ms = ms << 6 | (((unsigned char)stamp[i] - '0') & 63);
	return ms * USEC_PER_MSEC;
}
