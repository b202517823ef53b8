/* term.c - where text goes: what the stream can show, and remote text made safe to show there. */
#include "cli/term.h"

#include <errno.h>
#include <langinfo.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/parse.h"

void term_setup(struct term *term, FILE *file)
{
	const char *name = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");
	bool able = name != NULL && name[0] != '\0' && strcmp(name, "dumb") != 0;

	*term = (struct term){.file = file, .journal = -1};
	term->tty = isatty(fileno(file)) == 1;
	term->live = term->tty && able;
	term->colour = term->live && (no_color == NULL || no_color[0] == '\0');
	term->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void term_size(const struct term *term, unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize size = {0};

	if (ioctl(fileno(term->file), TIOCGWINSZ, &size) == -1)
		size.ws_col = size.ws_row = 0;
	*ret_columns = size.ws_col > 0 ? size.ws_col : 80;
	*ret_rows = size.ws_row > 0 ? size.ws_row : 24;
}

const char *term_colour(const struct term *term, enum colour colour)
{
	static const char *const sequences[] = {
	    [COLOUR_NONE] = "\033[0m",	[COLOUR_BOLD] = "\033[1m",   [COLOUR_DIM] = "\033[2m",
	    [COLOUR_RED] = "\033[31m",	[COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m",
	    [COLOUR_CYAN] = "\033[36m",
	};

	return term->colour ? sequences[colour] : "";
}

void term_write(struct term *term, const char *data, size_t len)
{
	size_t taken = term_write_journal(term, data, len);

	data += taken;
	len -= taken;
	if (term->error != 0 || len == 0)
		return;
	errno = 0;
	if (fwrite(data, 1, len, term->file) != len || fflush(term->file) != 0)
		term->error = errno != 0 ? errno : EIO;
}

void term_write_buf(struct term *term, const struct buf *buf)
{
	if (buf->data != NULL)
		term_write(term, buf->data, buf->len);
}

/* The code point of a valid UTF-8 character of n bytes. */
static uint32_t code_point(const unsigned char *p, size_t n)
{
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/* Characters that nobody sees but that change what is seen: C1 controls, line and direction
 * controls. */
static bool is_treacherous(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

void term_clean(const struct term *term, struct buf *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		uint32_t c;

		n = parse_utf8(text + i, len - i);
		c = code_point(p + i, n);
		if (n == 0) {
			buf_printf(out, "<%02x>", p[i]);
			n = 1;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			buf_printf(out, "^%c", (char)(c ^ 0x40));
		} else if (is_treacherous(c)) {
			buf_printf(out, "<U+%04X>", (unsigned)c);
		} else if (n > 1 && term->tty && !term->utf8) {
			buf_add(out, "?", 1);
		} else {
			buf_add(out, text + i, n);
		}
	}
}

void term_clean_tail(const struct term *term, struct buf *buf, size_t from)
{
	struct buf clean = {.max = buf->max};

	if (buf->data == NULL || buf->len <= from)
		return;
	buf_add(&clean, buf->data, from);
	term_clean(term, &clean, buf->data + from, buf->len - from);
	clean.cut |= buf->cut;
	buf_free(buf);
	*buf = clean;
}

/* The next character: its bytes, and the columns it takes. */
static size_t next_char(const char *text, unsigned *ret_columns)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	int columns;

	if (n == 0 || n >= (size_t)-2) {
		*ret_columns = 1;
		return 1;
	}
	columns = wcwidth(wide);
	*ret_columns = columns > 0 ? (unsigned)columns : 0;
	return n;
}

size_t term_text_cut(const char *text, unsigned columns)
{
	size_t bytes = 0;

	while (text[bytes] != '\0') {
		unsigned width;
		size_t n = next_char(text + bytes, &width);

		if (width > columns)
			break;
		columns -= width;
		bytes += n;
	}
	return bytes;
}

unsigned term_text_columns(const char *text)
{
	unsigned sum = 0;

	for (size_t bytes = 0; text[bytes] != '\0';) {
		unsigned width;

		bytes += next_char(text + bytes, &width);
		sum += width;
	}
	return sum;
}
