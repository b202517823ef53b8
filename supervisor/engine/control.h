/* control.h - the API's listeners: control.sock in the runtime directory, and status_listen over
 * TCP. docs/api.md. */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "engine/engine.h"

/*
 * Opens control.sock (mode 0660, group operator_group; a stale one is replaced: the instance's lock
 * is held). 0 or -errno with a sentence in ret_error (caller frees).
 */
int control_new(struct engine *engine, char **ret_error);
void control_free(struct engine *engine);
/* Opens, moves or closes status_listen as the configuration wants it; on failure the former one
 * stays. */
int control_set_status_listen(struct engine *engine, const struct supervisor_spec *spec,
			      char **ret_error);
/* Another operator_group after a reload. */
int control_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error);

#endif
