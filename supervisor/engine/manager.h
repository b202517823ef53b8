/*
 * manager.h - our service manager (systemd, or whoever set NOTIFY_SOCKET): told what we are and
 * what we do, asked for time while we do it, given our sockets to keep, and asked what a stop is
 * for. Without one, all of this does nothing.
 */
#ifndef ENGINE_MANAGER_H
#define ENGINE_MANAGER_H

#include "engine/engine.h"

/* Says at once that the start goes on. 0 or -ENOMEM. */
int manager_new(struct engine *engine);
void manager_free(struct engine *engine);

/* Something may have changed: the model, a socket, the last outcome. Cheap: it is looked at later,
 * and only what is new is said. */
void manager_changed(struct engine *engine);
/* A reload (restart, scale) begins: said even where it ends before the loop turns. */
void manager_reloading(struct engine *engine);

/*
 * Before a stop: finds out whether a start follows, so that our sockets are to be kept
 * (engine->keep_sockets). Calls back once, at once where there is nothing to ask, at last after
 * half a second; until then it must not be called again.
 */
void manager_ask_stop(struct engine *engine, void (*done)(struct engine *engine));

/* manager_text.c: what an operator likes to read in `systemctl status`: one line. */
void manager_describe(const struct engine *engine, struct buf *out);

#endif
