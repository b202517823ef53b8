/* output_tail.c - the last lines of each worker, and who listens to those that come. */
#include <stdlib.h>
#include <string.h>

#include "engine/output_internal.h"

/* ---- tails ---- */

void tail_forget(struct output *output)
{
	struct outputs *outputs = output->outputs;

	if (output->tail.size == 0)
		return;
	TAILQ_REMOVE(&outputs->ages, output, age);
	outputs->tails -= output->tail.size;
	ring_free(&output->tail);
}

void tail_add(struct output *output, const char *text, size_t len)
{
	struct outputs *outputs = output->outputs;
	size_t before = output->tail.size;
	char stamp[OUTPUT_STAMP];

	output_stamp_write(clock_wall(), stamp);
	ring_add(&output->tail, stamp, sizeof(stamp));
	ring_add(&output->tail, text, len);
	ring_add(&output->tail, "\n", 1);
	if (output->tail.size == 0) /* no memory */
		return;
	if (before > 0)
		TAILQ_REMOVE(&outputs->ages, output, age);
	TAILQ_INSERT_TAIL(&outputs->ages, output, age);
	outputs->tails += output->tail.size - before;
	while (outputs->tails > OUTPUT_TAILS_MAX && TAILQ_FIRST(&outputs->ages) != output)
		tail_forget(TAILQ_FIRST(&outputs->ages));
}

/* Calls each for the last `lines` lines of a tail, without their newlines. */
static void tail_each(const struct output *output, unsigned lines,
		      void (*each)(void *arg, usec_t wall, const char *text, size_t len), void *arg)
{
	cleanup_buf struct buf copy = {.max = 2 * OUTPUT_TAIL_MAX};
	const char *at, *end, *newline;

	ring_copy_lines(&output->tail, lines, &copy);
	at = buf_text(&copy);
	for (end = at + copy.len; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (newline == NULL)
			return;
		if (newline - at >= OUTPUT_STAMP)
			each(arg, output_stamp_read(at), at + OUTPUT_STAMP,
			     (size_t)(newline - at) - OUTPUT_STAMP);
	}
}

static void tail_copy_line(void *arg, usec_t wall, const char *text, size_t len)
{
	struct buf *out = arg;

	(void)wall;
	buf_add(out, text, len);
	buf_add_str(out, "\n");
}

void output_tail(const struct proc *proc, unsigned lines, struct buf *out)
{
	if (proc->output != NULL && lines > 0)
		tail_each(proc->output, lines, tail_copy_line, out);
}

/* ---- who listens ---- */

void outputs_tell_line(struct outputs *outputs, const struct output_line *line)
{
	struct follower *follower, *next;

	outputs->telling = true;
	for (follower = LIST_FIRST(&outputs->followers); follower != NULL;
	     follower = LIST_NEXT(follower, place))
		if (follower->each != NULL)
			follower->each(follower->arg, line);
	outputs->telling = false;
	for (follower = LIST_FIRST(&outputs->followers); follower != NULL; follower = next) {
		next = LIST_NEXT(follower, place);
		if (follower->each == NULL) {
			LIST_REMOVE(follower, place);
			free(follower);
		}
	}
}

struct follower *outputs_follow(struct engine *engine,
				void (*each)(void *arg, const struct output_line *line), void *arg)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (follower == NULL)
		return NULL;
	follower->each = each;
	follower->arg = arg;
	LIST_INSERT_HEAD(&engine->outputs->followers, follower, place);
	return follower;
}

void outputs_unfollow(struct engine *engine, struct follower *follower)
{
	if (follower == NULL)
		return;
	follower->each = NULL;
	if (engine->outputs->telling) /* freed behind it */
		return;
	LIST_REMOVE(follower, place);
	free(follower);
}

struct output_line output_describe(const struct output *output, usec_t wall, const char *text,
				   size_t len)
{
	return (struct output_line){.wall = wall,
				    .pool = output->pool,
				    .slot = output->slot,
				    .generation = output->generation,
				    .pid = output->pid,
				    .text = text,
				    .len = len,
				    .gone = output->gone};
}

struct kept {
	const struct output *output;
	void (*each)(void *arg, const struct output_line *line);
	void *arg;
};

static void kept_line(void *arg, usec_t wall, const char *text, size_t len)
{
	const struct kept *kept = arg;
	struct output_line line = output_describe(kept->output, wall, text, len);

	kept->each(kept->arg, &line);
}

static void list_each(const struct output_list *list, const char *pool, uint32_t slot,
		      struct kept *kept)
{
	const struct output *output;

	for (output = TAILQ_FIRST(list); output != NULL; output = TAILQ_NEXT(output, place)) {
		if ((pool != NULL && strcmp(pool, output->pool) != 0) ||
		    (slot != CORE_NONE && slot != output->slot))
			continue;
		kept->output = output;
		tail_each(output, UINT32_MAX, kept_line, kept);
	}
}

void outputs_each(struct engine *engine, const char *pool, uint32_t slot,
		  void (*each)(void *arg, const struct output_line *line), void *arg)
{
	struct kept kept = {.each = each, .arg = arg};

	list_each(&engine->outputs->ended, pool, slot, &kept);
	list_each(&engine->outputs->living, pool, slot, &kept);
}
