/* table.h - the tables of `status`, `list`, `why` and `history`, by libsmartcols: as wide as the
 * terminal, whole in a pipe. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli/api.h"
#include "cli/api_past.h"
#include "cli/term.h"

/* All append to out; what does not fit into a terminal's width is cut in the last column. 0 or
 * -ENOMEM. */
int table_workers(const struct term *term, const struct api_status *status, struct buf *out);
int table_pools(const struct term *term, const struct api_status *status, struct buf *out);
int table_sockets(const struct term *term, const struct api_status *status, struct buf *out);
/* The same with who holds them. */
int table_holders(const struct term *term, const struct api_status *status, struct buf *out);
int table_stored(const struct term *term, const struct api_status *status, struct buf *out);
int table_found(const struct term *term, const struct api_found *list, size_t n, struct buf *out);
int table_incidents(const struct term *term, const struct api_incident *list, size_t n,
		    struct buf *out);
int table_history(const struct term *term, const struct api_record *list, size_t n,
		  struct buf *out);

#endif
