/* progress.c - what a change is doing, while it does it: in place on a terminal, or a line per
 * event in a pipe. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"

struct progress_pool {
	char name[64];
	char state[32];
	long generation, done, total, starting, draining;
};

enum { BAR_MIN = 8, BAR_MAX = 32 };

void progress_begin(struct progress *progress, struct term *term, enum progress_mode mode,
		    const char *what)
{
	*progress = (struct progress){.term = term, .mode = mode, .id = -1, .started = clock_now()};
	snprintf(progress->what, sizeof(progress->what), "%s", what);
}

void progress_end(struct progress *progress)
{
	progress_clear(progress);
	buf_free(&progress->frame);
	free(progress->pools);
	progress->pools = NULL;
	progress->n_pools = 0;
}

/* ---- events ---- */

static bool is_in(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

static bool is_serious(const struct api_event *event)
{
	return strcmp(event->level, "warning") == 0 || strcmp(event->level, "error") == 0;
}

/* The ends of a reload are told by its result. */
static bool is_worth_telling(const struct progress *progress, const struct api_event *event)
{
	static const char *const ends[] = {"reload-committed", "reload-failed", "reload-held"};
	static const char *const milestones[] = {
	    "reload-queued",  "reload-started",	   "rollout-batch",    "worker-ready",
	    "instance-ready", "instance-stopping", "instance-stopped", "socket-opened",
	    "socket-closed",  "canary-serving",	   "canary-good",      "scaled"};
	static const char *const leaving[] = {"worker-exited", "reload-drained"};

	if (is_in(event->event, ends, ARRAY_LEN(ends)))
		return false;
	if (progress->verbose || is_serious(event))
		return true;
	if (progress->mode == PROGRESS_LIVE)
		return false;
	if (is_in(event->event, leaving, ARRAY_LEN(leaving)))
		return progress->drains;
	return is_in(event->event, milestones, ARRAY_LEN(milestones));
}

void progress_event(struct progress *progress, const struct api_event *event)
{
	cleanup_buf struct buf line = {0};
	const char *text = event->message[0] != '\0' ? event->message : event->event;
	enum colour colour = COLOUR_NONE;

	if (progress->id < 0 && strcmp(event->event, "reload-started") == 0)
		progress->id = event->id;
	if (progress->mode == PROGRESS_NONE || !is_worth_telling(progress, event))
		return;
	if (is_serious(event))
		colour = strcmp(event->level, "error") == 0 ? COLOUR_RED : COLOUR_YELLOW;
	buf_add_str(&line, term_colour(progress->term, colour));
	term_clean(progress->term, &line, text, strlen(text));
	buf_printf(&line, "%s\n",
		   colour != COLOUR_NONE ? term_colour(progress->term, COLOUR_NONE) : "");
	progress_clear(progress);
	term_write_buf(progress->term, &line);
}

/* ---- statuses ---- */

static struct progress_pool *pool_of(struct progress *progress, const char *name)
{
	struct progress_pool *pools;

	for (size_t i = 0; i < progress->n_pools; i++)
		if (strcmp(progress->pools[i].name, name) == 0)
			return &progress->pools[i];
	if (progress->n_pools >= 1024)
		return NULL;
	pools = reallocarray(progress->pools, progress->n_pools + 1, sizeof(*pools));
	if (pools == NULL)
		return NULL;
	progress->pools = pools;
	pools += progress->n_pools++;
	*pools = (struct progress_pool){.generation = -1};
	snprintf(pools->name, sizeof(pools->name), "%s", name);
	return pools;
}

static void take_reload(struct progress *progress, const struct api_status *status)
{
	for (size_t i = 0; i < status->n_reload_pools; i++) {
		const struct api_reload_pool *from = &status->reload_pools[i];
		struct progress_pool *pool = pool_of(progress, from->name);

		if (pool == NULL)
			return;
		pool->generation = from->generation;
		pool->done = from->ready;
		pool->total = from->total;
		snprintf(pool->state, sizeof(pool->state), "%s", from->state);
	}
	progress->id = status->reload_id;
	snprintf(progress->state, sizeof(progress->state), "%s", status->reload_state);
}

/* The reload that we saw is not in progress any more: what is waited for are the old workers. */
static void take_committed(struct progress *progress)
{
	if (!progress->drains || progress->n_pools == 0)
		return;
	for (size_t i = 0; i < progress->n_pools; i++)
		progress->pools[i].done = progress->pools[i].total;
	snprintf(progress->state, sizeof(progress->state), "draining");
}

/* A stop has as many workers to go as there were when it began. */
static void take_ending(struct progress *progress, const struct api_status *status)
{
	for (size_t i = 0; i < status->n_pools; i++) {
		const struct api_pool *from = &status->pools[i];
		struct progress_pool *pool = pool_of(progress, from->name);
		long left = from->serving + from->starting + from->draining;

		if (pool == NULL)
			return;
		if (left > pool->total)
			pool->total = left;
		pool->done = pool->total - left;
		pool->generation = from->generation;
	}
	snprintf(progress->state, sizeof(progress->state), "%s", status->state);
}

void progress_status(struct progress *progress, const struct api_status *status)
{
	if (progress->ending)
		take_ending(progress, status);
	else if (status->reloading)
		take_reload(progress, status);
	else
		take_committed(progress);
	for (size_t i = 0; i < status->n_pools; i++)
		for (size_t j = 0; j < progress->n_pools; j++)
			if (strcmp(progress->pools[j].name, status->pools[i].name) == 0) {
				progress->pools[j].starting = status->pools[i].starting;
				progress->pools[j].draining = status->pools[i].draining;
			}
}

/* ---- the view ---- */

/* One line of the view: pieces of text until the terminal's width is used up. */
struct line {
	const struct term *term;
	struct buf *out;
	unsigned left; /* columns */
};

static void line_add(struct line *line, enum colour colour, const char *text)
{
	cleanup_buf struct buf clean = {0};
	size_t bytes;

	term_clean(line->term, &clean, text, strlen(text));
	if (clean.data == NULL)
		return;
	bytes = term_text_cut(clean.data, line->left);
	if (bytes == 0)
		return;
	if (colour != COLOUR_NONE)
		buf_add_str(line->out, term_colour(line->term, colour));
	buf_add(line->out, clean.data, bytes);
	if (colour != COLOUR_NONE)
		buf_add_str(line->out, term_colour(line->term, COLOUR_NONE));
	clean.data[bytes] = '\0';
	line->left -= term_text_columns(clean.data);
}

/* Clears what an older, longer line has left behind. */
static void line_end(struct line *line)
{
	buf_add_str(line->out, "\033[K\n");
}

static void line_bar(struct line *line, const struct progress_pool *pool, unsigned width)
{
	const char *full = line->term->utf8 ? "█" : "#";
	const char *empty = line->term->utf8 ? "░" : ".";
	cleanup_buf struct buf bar = {0};
	unsigned filled = 0;

	if (pool->total > 0 && pool->done > 0)
		filled = pool->done >= pool->total ? width
						   : (unsigned)(pool->done * width / pool->total);
	for (unsigned i = 0; i < filled; i++)
		buf_add_str(&bar, full);
	if (bar.data != NULL)
		line_add(line, filled == width ? COLOUR_GREEN : COLOUR_YELLOW, bar.data);
	buf_reset(&bar);
	for (unsigned i = filled; i < width; i++)
		buf_add_str(&bar, empty);
	if (filled < width && bar.data != NULL)
		line_add(line, COLOUR_DIM, bar.data);
	line_add(line, COLOUR_NONE, " ");
}

/* What there is room for, whole. */
static void add_counts(const struct progress *progress, const struct progress_pool *pool,
		       unsigned room, struct buf *out)
{
	size_t len;

	buf_printf(out, "%ld/%ld %s", pool->done, pool->total, progress->ending ? "gone" : "ready");
	len = out->len;
	if (strcmp(pool->state, "restoring") == 0)
		buf_add_str(out, ", going back");
	if (pool->starting > 0 && !progress->ending)
		buf_printf(out, ", %ld starting", pool->starting);
	if (pool->draining > 0)
		buf_printf(out, ", %ld draining", pool->draining);
	if (out->len > room && out->data != NULL) {
		out->data[len] = '\0';
		out->len = len;
	}
}

static unsigned widest_name(const struct progress *progress, size_t n)
{
	unsigned widest = 0;

	for (size_t i = 0; i < n; i++)
		if (strlen(progress->pools[i].name) > widest)
			widest = (unsigned)strlen(progress->pools[i].name);
	return widest;
}

/* As wide for all pools, whatever their numbers are: room is kept for long ones, or at least for
 * short ones. */
static unsigned bar_width(unsigned columns, size_t name_len)
{
	static const unsigned rooms[] = {38, 14};

	for (size_t i = 0; i < ARRAY_LEN(rooms); i++)
		if (columns >= name_len + rooms[i] + BAR_MIN) {
			unsigned width = columns - (unsigned)name_len - rooms[i];

			return width < BAR_MAX ? width : BAR_MAX;
		}
	return 0;
}

static void add_pool(const struct progress *progress, const struct progress_pool *pool,
		     unsigned name_width, unsigned columns, struct buf *out)
{
	struct line line = {.term = progress->term, .out = out, .left = columns};
	cleanup_buf struct buf name = {0};
	cleanup_buf struct buf counts = {0};
	unsigned bar;

	buf_printf(&name, "  %-*s ", (int)name_width, pool->name);
	if (pool->generation >= 0 && columns >= 60)
		buf_printf(&name, " gen %-3ld ", pool->generation);
	line_add(&line, COLOUR_NONE, name.data);
	bar = bar_width(columns, name.len);
	if (bar > 0)
		line_bar(&line, pool, bar);
	add_counts(progress, pool, line.left, &counts);
	line_add(&line, COLOUR_NONE, counts.data);
	line_end(&line);
}

/* What does not fit onto the screen could not be redrawn: it is summed up. */
static void add_rest(const struct progress *progress, size_t from, unsigned columns,
		     struct buf *out)
{
	struct line line = {.term = progress->term, .out = out, .left = columns};
	cleanup_buf struct buf text = {0};
	long done = 0, total = 0;

	for (size_t i = from; i < progress->n_pools; i++) {
		done += progress->pools[i].done;
		total += progress->pools[i].total;
	}
	buf_printf(&text, "  and %zu more pools: %ld/%ld %s", progress->n_pools - from, done, total,
		   progress->ending ? "gone" : "ready");
	line_add(&line, COLOUR_DIM, text.data);
	line_end(&line);
}

static void add_title(const struct progress *progress, usec_t now, unsigned columns,
		      struct buf *out)
{
	struct line line = {.term = progress->term, .out = out, .left = columns};
	unsigned halves = (unsigned)(usec_sub(now, progress->started) / (USEC_PER_SEC / 2));
	cleanup_buf struct buf text = {0};

	line_add(&line, COLOUR_BOLD, progress->what);
	if (progress->id >= 0)
		buf_printf(&text, " (%ld)", progress->id);
	buf_printf(&text, ": %s, ", progress->state[0] != '\0' ? progress->state : "asked for");
	if (halves < 120)
		buf_printf(&text, "%u.%u s", halves / 2, halves % 2 * 5);
	else
		buf_add_str(&text, DURATION_TEXT(halves / 2 * USEC_PER_SEC));
	line_add(&line, COLOUR_NONE, text.data);
	line_end(&line);
}

/* Returns the number of lines. */
static unsigned render(const struct progress *progress, usec_t now, unsigned columns, unsigned rows,
		       struct buf *out)
{
	unsigned name_width;
	size_t n = progress->n_pools;

	/* the last column stays free: some terminals wrap when it is written */
	columns = columns > 1 ? columns - 1 : 1;
	if (n + 2 > rows)
		n = rows > 4 ? rows - 4 : 0;
	name_width = widest_name(progress, n);
	add_title(progress, now, columns, out);
	for (size_t i = 0; i < n; i++)
		add_pool(progress, &progress->pools[i], name_width, columns, out);
	if (n < progress->n_pools)
		add_rest(progress, n, columns, out);
	return 1 + (unsigned)n + (n < progress->n_pools ? 1 : 0);
}

/* The cursor stands below the view; each frame is one write, so that nobody sees half of it. */
void progress_draw(struct progress *progress, usec_t now)
{
	cleanup_buf struct buf out = {0};
	struct buf frame = {0};
	unsigned columns, rows, lines;

	if (progress->mode != PROGRESS_LIVE)
		return;
	term_size(progress->term, &columns, &rows);
	/* a narrower terminal has wrapped our lines: nobody knows where the view begins now */
	if (columns < progress->columns)
		progress_forget(progress);
	progress->columns = columns;
	lines = render(progress, now, columns, rows, &frame);
	if (frame.data == NULL)
		return;
	if (progress->drawn > 0 && frame.len == progress->frame.len &&
	    memcmp(frame.data, progress->frame.data, frame.len) == 0) {
		buf_free(&frame);
		return;
	}
	if (progress->drawn > 0)
		buf_printf(&out, "\033[%uA\r", progress->drawn);
	buf_add(&out, frame.data, frame.len);
	buf_add_str(&out, "\033[J");
	term_write_buf(progress->term, &out);
	buf_free(&progress->frame);
	progress->frame = frame;
	progress->drawn = lines;
}

void progress_clear(struct progress *progress)
{
	cleanup_buf struct buf out = {0};

	if (progress->drawn == 0)
		return;
	buf_printf(&out, "\033[%uA\r\033[J", progress->drawn);
	term_write_buf(progress->term, &out);
	progress_forget(progress);
}

void progress_forget(struct progress *progress)
{
	progress->drawn = 0;
	buf_reset(&progress->frame);
}
