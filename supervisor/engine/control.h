/* control.h - the API's listeners: control.sock in the runtime directory, and status_listen over
 * TCP. docs/api.md. */
#ifndef ENGINE_CONTROL_H
#define ENGINE_CONTROL_H

#include "engine/engine.h"

/*
 * Opens control.sock with mode 0600 (a stale one is replaced: the instance's lock is held);
 * control_set_group() opens it for others. 0 or -errno with a sentence in ret_error (caller frees).
 */
int control_new(struct engine *engine, char **ret_error);
/* Is control.sock still what its path leads to? */
bool control_is_there(const struct engine *engine);
/* Opens it anew where somebody has deleted it; connections that there are stay. 0 or -errno, then
 * nothing has changed; a sentence, or NULL, in ret_error (caller frees). */
int control_open_again(struct engine *engine, char **ret_error);
/*
 * Sends what can be sent at once, closes everything and unlinks control.sock. Wishes that were not
 * answered must not be answered any more: nobody is there for their done().
 */
void control_free(struct engine *engine);
/* Opens, moves or closes status_listen as the configuration wants it; on failure the former one
 * stays. */
int control_set_status_listen(struct engine *engine, const struct supervisor_spec *spec,
			      char **ret_error);
/* operator_group as the configuration wants it, at the start and after a reload: mode 0660, or 0600
 * without one; on failure the former one stays. */
int control_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error);

#endif
