/*
 * journal.h - systemd's journal: entries with fields (the native protocol, systemd.io
 * JOURNAL_NATIVE_PROTOCOL), and streams that a worker writes its lines into. Nothing here waits:
 * sd_journal_sendv(3) and sd_journal_stream_fd(3) may, while journald does not read.
 */
#ifndef SYSTEM_JOURNAL_H
#define SYSTEM_JOURNAL_H

#include <stddef.h>

/* Where journald listens, for entries and for streams. */
#define JOURNAL_SOCKET	      "/run/systemd/journal/socket"
#define JOURNAL_STREAM_SOCKET "/run/systemd/journal/stdout"

/* An entry that is being made: JOURNAL_ENTRY_MAX bytes hold any message of the log and any piece of
 * a worker's line with all fields, and go through a datagram socket as it is made. */
enum { JOURNAL_ENTRY_MAX = 16 * 1024 };
struct journal_entry {
	size_t len;
	char data[JOURNAL_ENTRY_MAX];
};

/*
 * Adds a field: any bytes, newlines and NULs too. The name is in capitals, digits and underscores,
 * as systemd.journal-fields(7) wants it. What does not fit is cut off; a field of which nothing
 * would fit is left out.
 */
void journal_entry_add(struct journal_entry *entry, const char *name, const void *value,
		       size_t len);
/* Text up to its NUL; NULL adds nothing. */
void journal_entry_add_text(struct journal_entry *entry, const char *name, const char *value);
/* A number; a negative one adds nothing. */
void journal_entry_add_number(struct journal_entry *entry, const char *name, long value);

/* A socket for entries, connected to journald at path. Returns it (non-blocking, close-on-exec), or
 * -errno: -ENOENT, -ECONNREFUSED: there is no journal. */
int journal_open(const char *path);
/* Sends one entry whole. 0; -EAGAIN: not now, the socket is writable when it can be; -errno: the
 * socket is of no use any more, open it anew. */
int journal_send(int fd, const void *data, size_t len);

/*
 * A stream for a process that knows nothing of the journal: each line that it writes becomes an
 * entry with this SYSLOG_IDENTIFIER and priority info, or that of "<3>" before the line. The unit
 * ("": none) is whose lines they are when the process is gone before journald looks for it; only
 * root may say so. The path
 * is journald's. *ret_fd (close-on-exec, blocking as programs expect) is the caller's. 0 or -errno:
 * -ENOENT, -ECONNREFUSED: there is no journal; -EAGAIN: it does not read.
 */
int journal_open_stream(const char *path, const char *identifier, const char *unit, int *ret_fd);

/*
 * The priority that a line asks for by "<0>" to "<7>" at its beginning (sd-daemon(3)), which is
 * skipped in *text and *len; fallback where it asks for none.
 */
int journal_take_priority(const char **text, size_t *len, int fallback);

/* MESSAGE_ID of an event's kind ("worker-ready"): what packaging/systemd/handover.catalog explains.
 * NULL: it has none. */
const char *journal_message_id(const char *event);
/* The i-th of all kinds that have one; NULL: there are no more. For tests. */
const char *journal_event(size_t i);

#endif
