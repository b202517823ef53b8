/*
 * output_journal.c - the journal, natively: our own log and the lines of workers as entries with
 * fields, and streams for workers that write into it themselves. While journald does not read,
 * entries wait here up to a bound; what is beyond it is counted and told later. Where there is no
 * journal any more, lines go to standard error.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "engine/output_internal.h"
#include "system/journal.h"
#include "system/systemd.h"

enum {
	JOURNAL_RESERVE = 64 * 1024, /* of the queue, for our own log */
	JOURNAL_TURN = 512 * 1024,   /* sent in one turn of the loop */
	JOURNAL_LAST_MSEC = 200,     /* what the end waits for journald */
};

#define JOURNAL_COMPLAINT_INTERVAL (60 * USEC_PER_SEC)

/* ---- the socket ---- */

static void journal_writable(evutil_socket_t fd, short what, void *arg);

static void journal_disconnect(struct journal_sink *journal)
{
	if (journal->writable != NULL)
		event_free(journal->writable);
	journal->writable = NULL;
	journal->fd = fd_close(journal->fd);
}

static int journal_connect(struct journal_sink *journal)
{
	int fd;

	journal_disconnect(journal);
	fd = journal_open(JOURNAL_SOCKET);
	if (fd < 0)
		return fd;
	journal->writable =
	    event_new(journal->engine->base, fd, EV_WRITE | EV_PERSIST, journal_writable, journal);
	if (journal->writable == NULL) {
		fd_close(fd);
		return -ENOMEM;
	}
	journal->fd = fd;
	return 0;
}

/* journald's socket may have been made anew. */
static int journal_send_now(struct journal_sink *journal, const void *data, size_t len)
{
	int r = journal->fd >= 0 ? journal_send(journal->fd, data, len) : -ENOTCONN;

	if (r == 0 || r == -EAGAIN)
		return r;
	r = journal_connect(journal);
	return r < 0 ? r : journal_send(journal->fd, data, len);
}

/* ---- entries that wait, each behind its length ---- */

static size_t journal_waits(const struct journal_sink *journal)
{
	return evbuffer_get_length(journal->queue);
}

/* They are lost: nobody is there to take them. */
static void journal_forget(struct journal_sink *journal)
{
	uint32_t len;

	while (evbuffer_remove(journal->queue, &len, sizeof(len)) == (int)sizeof(len)) {
		evbuffer_drain(journal->queue, len);
		journal->dropped++;
	}
	evbuffer_drain(journal->queue, journal_waits(journal));
}

/* Sends up to max bytes. 0: all is sent, or lost; -EAGAIN: not now; 1: there is more. */
static int journal_send_queue(struct journal_sink *journal, size_t max)
{
	unsigned char *data;
	uint32_t len;
	int r;

	while (journal_waits(journal) > 0) {
		if (max == 0)
			return 1;
		evbuffer_copyout(journal->queue, &len, sizeof(len));
		data = evbuffer_pullup(journal->queue, (ssize_t)(sizeof(len) + len));
		r = data != NULL ? journal_send_now(journal, data + sizeof(len), len) : -ENOMEM;
		if (r == -EAGAIN)
			return -EAGAIN;
		if (r < 0) {
			journal_forget(journal);
			return 0;
		}
		evbuffer_drain(journal->queue, sizeof(len) + len);
		max -= len < max ? len : max;
	}
	return 0;
}

/* What we lost is told as soon as somebody reads again. */
static void journal_tell_drops(struct journal_sink *journal)
{
	uint64_t dropped = journal->dropped;

	journal->dropped = 0;
	if (dropped > 0)
		log_warning("%llu entries of the log were dropped: the journal did not take them",
			    (unsigned long long)dropped);
}

static void journal_writable(evutil_socket_t fd, short what, void *arg)
{
	struct journal_sink *journal = arg;
	int r = journal_send_queue(journal, JOURNAL_TURN);

	(void)fd;
	(void)what;
	if (r == 0) {
		if (journal->writable != NULL)
			event_del(journal->writable);
		journal_tell_drops(journal);
	} else if (journal->writable != NULL && !event_pending(journal->writable, EV_WRITE, NULL)) {
		event_add(journal->writable, NULL); /* another socket than before */
	}
}

static int journal_queue(struct journal_sink *journal, const struct journal_entry *entry,
			 size_t max)
{
	uint32_t len = (uint32_t)entry->len;

	if (journal_waits(journal) + sizeof(len) + len > max ||
	    evbuffer_expand(journal->queue, sizeof(len) + len) == -1)
		return -ENOBUFS;
	evbuffer_add(journal->queue, &len, sizeof(len));
	evbuffer_add(journal->queue, entry->data, len);
	if (!event_pending(journal->writable, EV_WRITE, NULL) &&
	    event_add(journal->writable, NULL) == -1)
		journal_forget(journal);
	return 0;
}

/* 0; -ENOBUFS: no room, it is for the caller to count; -errno: there is no journal. */
static int journal_put(struct journal_sink *journal, const struct journal_entry *entry, size_t max)
{
	int r = -EAGAIN;

	if (journal_waits(journal) == 0)
		r = journal_send_now(journal, entry->data, entry->len);
	return r == -EAGAIN ? journal_queue(journal, entry, max) : r;
}

/* ---- what an entry says ---- */

static void entry_begin(struct journal_entry *entry, const struct journal_sink *journal, int level,
			const char *identifier, const struct log_about *about)
{
	entry->len = 0;
	journal_entry_add_number(entry, "PRIORITY", level);
	journal_entry_add_text(entry, "SYSLOG_IDENTIFIER", identifier);
	journal_entry_add_text(entry, "HANDOVER_INSTANCE", journal->engine->name);
	journal_entry_add_text(entry, "HANDOVER_EVENT", about->event);
	journal_entry_add_text(entry, "MESSAGE_ID", journal_message_id(about->event));
	journal_entry_add_text(entry, "HANDOVER_POOL", about->pool);
	journal_entry_add_number(entry, "HANDOVER_SLOT", about->slot);
	journal_entry_add_number(entry, "HANDOVER_GENERATION", about->generation);
	journal_entry_add_number(entry, "HANDOVER_WORKER_PID", about->pid);
}

/* The taker of the log. */
static bool journal_log(enum log_level level, const struct log_about *about, const char *message,
			size_t len, void *arg)
{
	struct journal_sink *journal = arg;
	struct journal_entry entry;
	int r;

	entry_begin(&entry, journal, (int)level, "handoverd", about);
	journal_entry_add(&entry, "MESSAGE", message, len);
	for (size_t i = 0; i < about->n_fields; i++)
		journal_entry_add_text(&entry, about->fields[i].name, about->fields[i].value);
	r = journal_put(journal, &entry, OUTPUT_QUEUE_MAX);
	if (r == -ENOBUFS)
		journal->dropped++;
	return r == 0 || r == -ENOBUFS;
}

int journal_output(struct journal_sink *journal, const struct output *output, const char *text,
		   size_t len)
{
	struct log_about about = {.event = "worker-output",
				  .pool = output->pool,
				  .slot = output->slot,
				  .generation = output->generation,
				  .pid = output->pid > 0 ? output->pid : -1};
	struct journal_entry entry;
	int level;

	if (!journal->on)
		return -ENOTCONN;
	level = journal_take_priority(&text, &len, LOG_LEVEL_INFO);
	entry_begin(&entry, journal, level, output->pool, &about);
	journal_entry_add(&entry, "MESSAGE", text, len);
	return journal_put(journal, &entry, OUTPUT_QUEUE_MAX - JOURNAL_RESERVE);
}

/* ---- life ---- */

static bool is_wanted(enum log_format format)
{
	switch (format) {
	case LOG_FORMAT_AUTO:
		return log_stderr_is_journal();
	case LOG_FORMAT_JOURNAL:
		return true;
	case LOG_FORMAT_TEXT:
	case LOG_FORMAT_JSON:
		return false;
	}
	return false;
}

void outputs_set_format(struct engine *engine, enum log_format format)
{
	struct journal_sink *journal = &engine->outputs->journal;
	bool on = is_wanted(format);
	int r;

	if (on == journal->on)
		return;
	r = on && journal->fd < 0 ? journal_connect(journal) : 0;
	journal->on = on; /* also where it is not there yet: each line tries anew */
	log_set_taker(on ? journal_log : NULL, journal);
	if (r < 0)
		log_warning("cannot reach the journal at " JOURNAL_SOCKET
			    ": %s; the log goes to standard error until it is there",
			    strerror(-r));
}

int journal_new(struct journal_sink *journal, struct engine *engine)
{
	journal->engine = engine;
	journal->fd = -1;
	journal->queue = evbuffer_new();
	return journal->queue != NULL ? 0 : -ENOMEM;
}

/* Waits for journald only here, where nothing else is left to be done. */
static void journal_send_last(struct journal_sink *journal)
{
	usec_t until = clock_now() + JOURNAL_LAST_MSEC * USEC_PER_MSEC, now;

	while (journal_send_queue(journal, SIZE_MAX) == -EAGAIN) {
		struct pollfd pollfd = {.fd = journal->fd, .events = POLLOUT};

		now = clock_now();
		if (now >= until)
			return;
		(void)poll(&pollfd, 1, (int)((until - now) / USEC_PER_MSEC) + 1);
	}
}

void journal_free(struct journal_sink *journal)
{
	if (journal->queue == NULL)
		return;
	log_set_taker(NULL, NULL);
	journal->on = false;
	journal_send_last(journal);
	evbuffer_free(journal->queue);
	journal->queue = NULL;
	journal_disconnect(journal);
}

/* ---- stdout = journal ---- */

int output_journal_open(struct output *output, int *ret_fd)
{
	struct outputs *outputs = output->outputs;
	usec_t now = clock_now();
	struct stat st;
	char unit[SYSTEMD_UNIT_NAME_MAX] = "";
	int fd, r;

	/* the last words of a worker are read when it is gone */
	(void)systemd_own_unit(unit);
	r = journal_open_stream(JOURNAL_STREAM_SOCKET, output->pool, unit, &fd);
	if (r == 0) {
		if (fstat(fd, &st) == 0) {
			output->stream_device = st.st_dev;
			output->stream_inode = st.st_ino;
		}
		*ret_fd = fd;
		return 0;
	}
	/* a worker that serves is worth more than where its lines go */
	if (outputs->journal.told_at == 0 ||
	    now - outputs->journal.told_at >= JOURNAL_COMPLAINT_INTERVAL) {
		outputs->journal.told_at = now;
		log_warning("pool %s slot %u: cannot connect its output to the journal "
			    "at " JOURNAL_STREAM_SOCKET
			    ": %s; it passes through the instance instead",
			    output->pool, output->slot, strerror(-r));
	}
	return r;
}

bool output_journal_stream(const struct proc *proc, char text[static OUTPUT_STREAM_TEXT_MAX])
{
	const struct output *output = proc->output;

	if (output == NULL || output->stream_inode == 0)
		return false;
	snprintf(text, OUTPUT_STREAM_TEXT_MAX, "%llu:%llu",
		 (unsigned long long)output->stream_device,
		 (unsigned long long)output->stream_inode);
	return true;
}

bool output_journal_command(const struct pool_spec *spec, char *text, size_t size)
{
	char unit[SYSTEMD_UNIT_NAME_MAX];

	if (spec->stdout_to.kind != OUTPUT_JOURNAL && spec->stderr_to.kind != OUTPUT_JOURNAL)
		return false;
	if (systemd_own_unit(unit) == 0)
		snprintf(text, size, "journalctl -u %s -t %s", unit, spec->name);
	else
		snprintf(text, size, "journalctl -t %s", spec->name);
	return true;
}
