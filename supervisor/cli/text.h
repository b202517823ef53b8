/* text.h - times and results in words, as several commands show them. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/parse.h"
#include "cli/api.h"
#include "cli/term.h"

/* Seconds of the API in words, whole ones from 10 s on; "" for -1 (there is none). Returns text or
 * "". */
const char *text_duration(double seconds, char text[DURATION_TEXT_MAX]);

/* The same for what may be short: below 10 s to the millisecond. */
const char *text_exact_duration(double seconds, char text[DURATION_TEXT_MAX]);

/*
 * Appends a time of the API ("2026-11-23T08:00:00.123Z") in local time: "2026-11-23 08:00:00";
 * millis adds ".123"; brief leaves out the date of today. What is no such time is appended as it
 * is.
 */
void text_add_time(struct buf *out, const char *text, bool millis, bool brief);

/*
 * Appends the details of a result that failed, ready to be shown on term: the configuration's
 * mistakes as file:line lines, and the failed worker's last output lines, indented.
 */
void text_add_details(const struct term *term, const struct api_result *result, const char *indent,
		      struct buf *out);

#endif
