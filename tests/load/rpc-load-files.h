/* The end of a run, for programs. */
#pragma once

#include <jansson.h>

struct run;

/* The totals up to now, without latencies: cheap enough to be asked for while the load runs. */
json_t *stats_json(const struct run *run);

/* The summary as JSON. Says on stderr what is wrong and returns -errno. */
int summary_write(const struct run *run, const char *path);

/* Every request as a line of CSV; the first line names the columns. Errors as above. */
int records_write(const struct run *run, const char *path);
