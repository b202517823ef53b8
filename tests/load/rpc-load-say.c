/* What is said on standard output while the load runs. */
#include "rpc-load-say.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc-load-answer.h"
#include "rpc-load-records.h"

void say_json(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text != NULL)
		puts(text);
	fflush(stdout); /* whoever reads this waits for it */
	free(text);
	json_decref(json);
}

void say_accepted(const struct question *question, pid_t pid)
{
	say_json(json_pack("{s:s, s:s, s:I, s:I}", "event", "accepted", "method",
			   question_method(question), "id", (json_int_t)question->id, "pid",
			   (json_int_t)pid));
}

void say_ended(const struct question *question, const struct record *record, const char *cause,
	       json_t *result)
{
	say_json(json_pack("{s:s, s:s, s:I, s:s, s:I, s:f, s:s*, s:O*}", "event", "ended", "method",
			   question_method(question), "id", (json_int_t)question->id, "outcome",
			   cause == NULL ? "answered" : "failed", "pid", (json_int_t)record->pid,
			   "latency_ms", record->latency / 1e3, "cause", cause, "result", result));
}
