/* The end of a run, for people: a table by phase, latencies inside and outside windows, failures.
 */
#pragma once

#include <stdio.h>

struct run;

/* Returns 0 or -ENOMEM. */
int report_print(const struct run *run, FILE *to);
