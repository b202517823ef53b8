/* sockets.h - the instance's listening sockets: opened all or nothing, kept by identity, mended,
 * and closed at last. */
#ifndef ENGINE_SOCKETS_H
#define ENGINE_SOCKETS_H

#include "engine/engine.h"

/* The watch for sockets that a worker shut down. 0 or -errno. */
int sockets_new(struct engine *engine);
void sockets_free(struct engine *engine);

/*
 * Opens what config names and is not open yet (only: the socket's pool-independent name, or NULL
 * for all). What is opened is fresh until sockets_commit() or sockets_undo(). 0, or -errno with a
 * sentence in why; then none was opened.
 */
int sockets_open(struct engine *engine, const struct config *config, const struct pool_spec *only,
		 struct buf *why);
/* The open socket of that identity, or those of its slots, with a reference; false: there is none.
 */
bool sockets_get(struct engine *engine, const struct socket_spec *spec,
		 struct version_socket *ret_socket);
void sockets_put(struct version_socket *socket);
/* The nth socket of the version for a worker of that slot; NULL: there is none. */
struct engine_socket *sockets_of(const struct version *version, size_t n, uint32_t slot);
/* Opens what a pool of that version needs to have size slots, as sockets_open() does. */
int sockets_open_slots(struct engine *engine, const struct version *version, uint32_t size,
		       struct buf *why);
/* Is it there already, or kept for us across a restart? */
bool sockets_is_open(struct engine *engine, const struct socket_spec *spec);
/* Does the pool (NULL: any) use the socket of that name? */
bool sockets_is_wanted(const struct pool_spec *only, const char *name);
/* The section of config that means this socket; NULL: none does. */
const struct socket_spec *sockets_spec_of(const struct config *config,
					  const struct engine_socket *socket);
/* The transaction is good: names and options as config says (NULL: nothing was read, and only slots
 * came or went); what nobody uses any more is closed, soon. */
void sockets_commit(struct engine *engine, const struct config *config);
/* It is not: what it opened is closed. */
void sockets_undo(struct engine *engine);

/* ---- sockets_identity.c, for sockets*.c ---- */

/* What makes two sockets the same; caller frees. NULL: no memory. */
char *sockets_identity(const struct socket_spec *spec);
bool sockets_has_identity(const struct engine_socket *socket, const struct socket_spec *spec);
/* The same, or one that was taken over and is now named by its own address. */
bool sockets_is_meant(const struct engine_socket *socket, const struct socket_spec *spec);
/* The open one that is meant; NULL: there is none. */
struct engine_socket *sockets_find(struct engine *engine, const struct socket_spec *spec);
/* How the section wants it opened; strings stay the section's. */
struct listener_spec sockets_listener_spec(const struct socket_spec *spec);

/* ---- sockets_close.c ---- */

/* What is being closed waits until workers have let go of it, for a limited time. */
void sockets_wait_for_workers(struct engine *engine);
/* One of them has: perhaps the last. */
void sockets_look_at_workers(struct engine *engine);

/* A stop: new clients are kept out; EVENT_QUEUES_EMPTY is posted when no queue holds anybody. */
void sockets_refuse(struct engine *engine);
/* A stop, last: shut down and closed, so that also a hung worker leaves no client waiting. */
void sockets_shutdown(struct engine *engine);

/*
 * For sockets.c. The service manager keeps copies of our own sockets: the one with the address of
 * spec comes back. 0; -ENOENT: there is none; -errno with a sentence.
 */
int sockets_take_back(struct engine *engine, const struct listener_spec *spec,
		      struct engine_socket *socket, char **ret_error);
/* A passed or stored one is not needed after all: as if it had not been taken. */
void sockets_give_back(struct engine *engine, struct engine_socket *socket);
/* After a start: says what was passed to us and is not used, and ends what was stored for nothing.
 */
void sockets_forget_passed(struct engine *engine);
/* Stores each of ours that is not yet. True: the manager is busy, call again soon. */
bool sockets_store(struct engine *engine);
void sockets_unstore(struct engine_socket *socket);
bool sockets_any_stored(const struct engine *engine);
/* Was the socket of that section taken over, became ours, and was kept for us across a restart? */
bool sockets_is_stored(const struct engine *engine, const struct socket_spec *spec);
/* Such a one. 0; -ENOENT: there is none; -errno with a sentence. */
int sockets_take_stored(struct engine *engine, const struct socket_spec *spec,
			struct engine_socket *socket, char **ret_error);
/* Does the service manager keep it open for whoever comes after us? */
bool sockets_is_kept(const struct engine *engine, const struct engine_socket *socket);
/* Will it still be there when we are gone? Then it is only let go. */
bool sockets_outlives_us(const struct engine *engine, const struct engine_socket *socket);

/* For sockets_mend.c: a socket is not watched any more. Harmless where it was not. */
void sockets_unwatch(struct engine *engine, struct engine_socket *socket);

/* For sockets_files.c and taking.c: after a Unix socket was bound anew; the pools that use it are
 * restarted. by: what for, for the log. */
void sockets_replaced(struct engine *engine, struct engine_socket *socket, const char *by);

/* The files of Unix sockets: put back when somebody deletes them. */
void sockets_files_new(struct engine *engine);
void sockets_files_free(struct engine *engine);
/* All of these are harmless for other sockets. */
void sockets_file_watch(struct engine *engine, struct engine_socket *socket);
void sockets_file_look(struct engine *engine, struct engine_socket *socket);
void sockets_file_unwatch(struct engine *engine, struct engine_socket *socket);

/* ---- sockets_close.c, for sockets.c ---- */

/* First step of closing one that was used; the rest follows by itself. */
void sockets_refuse_one(struct engine *engine, struct engine_socket *socket);
/* Out of the list; closed before. Versions that refer to it keep an empty shell. */
void sockets_drop(struct engine *engine, struct engine_socket *socket);

/* For sockets_slots.c. Opens it, into the list. 0, or -errno with a sentence. */
int sockets_open_one(struct engine *engine, const struct socket_spec *spec, struct buf *why,
		     struct engine_socket **ret_socket);
/* It is open already; but what was decided when it was bound cannot be changed: -EBUSY. */
int sockets_check_kept(const struct engine_socket *socket, const struct socket_spec *spec,
		       struct buf *why);
void sockets_unref(struct engine_socket *socket);

/* For steering.c: does a pool that stays have it? */
bool sockets_is_used(const struct engine *engine, const struct engine_socket *socket);

/* ---- sockets_slots.c, for sockets.c ---- */

/* Those of the first n slots are open, or opened now (strict: none may be another section's). */
int slots_open(struct engine *engine, const struct socket_spec *spec, uint32_t n, bool strict,
	       struct buf *why);
struct slot_sockets *slots_find(struct engine *engine, const struct socket_spec *spec);
/* Is it that of a slot that the pool of this version has? */
bool slots_are_using(const struct slot_sockets *slots, const struct engine_socket *socket,
		     uint32_t size);
/* Does a worker still have it that was given it before it began to be closed? */
bool slots_is_held(const struct engine *engine, const struct engine_socket *socket);
/* The committed configuration's: whose are they now? */
void slots_assign(struct engine *engine, const struct config *config);
/* The socket goes; and lists that no version refers to. */
void slots_forget(struct engine *engine, const struct engine_socket *socket);
void slots_sweep(struct engine *engine);
void slots_free(struct engine *engine);

/* Callbacks of the engine's events. */
void sockets_watched(evutil_socket_t fd, short what, void *arg);
void sockets_quiesce_look(evutil_socket_t fd, short what, void *arg);
void sockets_close_removed(evutil_socket_t fd, short what, void *arg);
void sockets_mend_again(evutil_socket_t fd, short what, void *arg);

/* Was it one of ours, from the manager's store? Else a .socket unit opened it. */
bool sockets_is_own(const struct systemd_fd *passed);
/*
 * The one socket of the name in spec that the service manager passed to us and that is not in use.
 * 0; or -ENOENT, -ENOTUNIQ (the name was given twice), or -errno (it is of no use), with a
 * sentence.
 */
int sockets_adopt(struct engine *engine, const struct socket_spec *spec,
		  struct engine_socket *socket, char **ret_error);

#endif
