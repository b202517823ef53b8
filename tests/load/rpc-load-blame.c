/* Which failures belong to a worker that was killed on purpose. */
#include "rpc-load-blame.h"

#include <errno.h>

#include "rpc-load-records.h"
#include "rpc-load-util.h"

#define SLACK_USEC	   USEC_PER_SEC
#define SLACK_UNTIMED_USEC (5 * USEC_PER_SEC)

int marks_add(struct marks *marks, pid_t pid, uint64_t time)
{
	if (marks->count == MARKS_MAX)
		return -ENOSPC;
	marks->list[marks->count++] = (struct mark){
	    .pid = pid,
	    .time = time != 0 ? time : now_usec(),
	    .slack = time != 0 ? SLACK_USEC : SLACK_UNTIMED_USEC,
	};
	return 0;
}

/*
 * There is no upper limit on `end` where the worker is known: a descendant that it left behind can
 * hold the connection open for a while.
 */
static bool mark_explains(const struct mark *mark, const struct record *record)
{
	uint64_t begin = record->intended + record->late;
	uint64_t end = record->intended + record->latency;

	if (record->pid == mark->pid && record->hang)
		return true;
	if (!record->broken)
		return false;
	if (record->pid == mark->pid)
		return begin <= mark->time + SLACK_USEC && end + mark->slack >= mark->time;
	return record->pid == 0 && begin <= mark->time && end + SLACK_USEC >= mark->time &&
	       end <= mark->time + SLACK_USEC;
}

bool blame_is_killed(const struct marks *marks, const struct record *record)
{
	for (unsigned i = 0; i < marks->count; i++)
		if (mark_explains(&marks->list[i], record))
			return true;
	return false;
}
