/* Commands on standard input: one a line, see --help. */
#pragma once

struct command_input;
struct run;

/* At the end of input the run stops, unless it has a duration. Returns 0 or -ENOMEM. */
int commands_start(struct run *run, struct command_input **ret);

/* Takes NULL. */
void commands_free(struct command_input *input);
