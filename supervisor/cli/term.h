/* term.h - where text goes: what the stream can show, and remote text made safe to show there. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

struct term {
	FILE *file;
	bool tty;    /* a terminal */
	bool live;   /* a terminal that understands cursor movement */
	bool colour; /* wanted here: a terminal, and NO_COLOR is not set */
	bool utf8;   /* the locale's characters are UTF-8 */
	int journal; /* socket into the journal that lines go to in the file's place; -1: none */
	int error;   /* errno of the first failed write; EPIPE: the reader went away */
};

enum colour {
	COLOUR_NONE,
	COLOUR_BOLD,
	COLOUR_DIM,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_YELLOW,
	COLOUR_CYAN
};

/* Finds out what file can show. setlocale() was called before. */
void term_setup(struct term *term, FILE *file);
/* Where standard error is the journal's: lines go there as entries. */
void term_open_journal(struct term *term);
/* Writes whole lines into the journal; returns how many bytes it took. The rest is for the file,
 * and so is all that comes later. */
size_t term_write_journal(struct term *term, const char *data, size_t len);

/* Columns and rows as they are now; 80 x 24 where nobody knows. $COLUMNS does not count: it is not
 * exported. */
void term_size(const struct term *term, unsigned *ret_columns, unsigned *ret_rows);
/* The sequence that switches to a colour (COLOUR_NONE: back to normal), or "" where colours are not
 * wanted. */
const char *term_colour(const struct term *term, enum colour colour);
/* Writes and flushes at once. After the first failure nothing more is written; see term->error. */
void term_write(struct term *term, const char *data, size_t len);
void term_write_buf(struct term *term, const struct buf *buf);

/*
 * Appends text of others so that it cannot steer a terminal: control characters as ^X, invalid
 * bytes as <9b>, invisible and direction-changing characters as <U+202E> (the notation of less(1)).
 * Tabs stay.
 */
void term_clean(const struct term *term, struct buf *out, const char *text, size_t len);
/* The same in place of a buffer's content from `from` on. */
void term_clean_tail(const struct term *term, struct buf *buf, size_t from);

/* Columns that text takes on a terminal (it was cleaned before). */
unsigned term_text_columns(const char *text);
/* Bytes of text that fit into columns. */
size_t term_text_cut(const char *text, unsigned columns);

#endif
