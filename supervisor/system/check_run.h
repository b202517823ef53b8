/* check_run.h - `handoverd --check` and `handover check`: one implementation, from the file to the
 * exit status. */
#ifndef SYSTEM_CHECK_RUN_H
#define SYSTEM_CHECK_RUN_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Reads the configuration at path with its drop-ins and, unless syntax is set, holds it against the
 * world. Writes every mistake and warning to err as `file:line: text`, and a summary to out where
 * there is no mistake. Changes nothing. An instance of that name that runs in the usual runtime
 * directory keeps its addresses: they are no conflict. Returns the exit status: 0, or 78 where
 * there are mistakes.
 */
int check_run(const char *path, bool syntax, FILE *out, FILE *err);
/* The same beside the instance that listens on this control socket, wherever it is. NULL: look for
 * it as above. */
int check_run_beside(const char *path, bool syntax, const char *control_socket, FILE *out,
		     FILE *err);

#endif
