/* table_internal.h - how the table*.c files draw: rows of cells, by libsmartcols. */
#ifndef CLI_TABLE_INTERNAL_H
#define CLI_TABLE_INTERNAL_H

#include "cli/table.h"

struct libscols_table;
struct libscols_line;

struct column {
	const char *name;
	bool right;
	bool cut; /* gives way first where the terminal is narrow */
};

/* A table under construction, and whether memory was short somewhere on the way. */
struct table {
	const struct term *term;
	struct libscols_table *table;
	struct libscols_line *line;
	size_t column;
	bool failed;
};

void table_begin(struct table *table, const struct term *term, const struct column *columns,
		 size_t n);
void table_line(struct table *table);
/* The next cell of the line. Nothing is "-", so that columns can be counted in a script. */
void table_cell(struct table *table, enum colour colour, const char *text);
/* A negative number is nothing. */
void table_number(struct table *table, long number);
/* One word, so that columns can be counted: "1h6min". A negative number of seconds is nothing. */
void table_duration(struct table *table, double seconds);
void table_exact_duration(struct table *table, double seconds);
char *table_without_blanks(char *text);
/* Appends it to out. 0; -ENOMEM: memory was short somewhere on the way. */
int table_end(struct table *table, struct buf *out);

#endif
