/*
 * term_journal.c - standard error of a command that systemd runs (ExecReload=). The instance's log
 * goes to journald by its socket for entries, which keeps their order; by the same way our lines
 * stand behind what the instance said before, also when journald is late. So the reason of a failed
 * reload is what stands last.
 *
 * journald may read an entry when we are gone, and then cannot tell which unit we belonged to; so
 * each entry says it (OBJECT_SYSTEMD_UNIT=), which `systemctl status` and `journalctl -u` believe
 * of root. For others there is the stream, where journald knows.
 */
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cli/term.h"
#include "system/journal.h"
#include "system/systemd.h"

void term_open_journal(struct term *term)
{
	char unit[SYSTEMD_UNIT_NAME_MAX];
	int fd = -1;

	if (log_stderr_is_journal() && geteuid() == 0 && systemd_own_unit(unit) == 0)
		fd = journal_open(JOURNAL_SOCKET);
	term->journal = fd >= 0 ? fd : -1;
}

static int send_line(int fd, const char *text, size_t len)
{
	struct journal_entry entry = {.len = 0};
	char unit[SYSTEMD_UNIT_NAME_MAX];

	if (systemd_own_unit(unit) < 0)
		return -1;
	journal_entry_add_number(&entry, "PRIORITY", LOG_NOTICE);
	journal_entry_add_text(&entry, "SYSLOG_IDENTIFIER", "handover");
	journal_entry_add_text(&entry, "OBJECT_SYSTEMD_UNIT", unit);
	journal_entry_add(&entry, "MESSAGE", text, len);
	return journal_send(fd, entry.data, entry.len);
}

size_t term_write_journal(struct term *term, const char *data, size_t len)
{
	const char *at = data, *newline;

	if (term->journal < 0)
		return 0;
	while ((newline = memchr(at, '\n', (size_t)(data + len - at))) != NULL &&
	       send_line(term->journal, at, (size_t)(newline - at)) == 0)
		at = newline + 1;
	/* from here on by the stream: a line must not overtake another */
	if (at < data + len)
		term->journal = fd_close(term->journal);
	return (size_t)(at - data);
}
