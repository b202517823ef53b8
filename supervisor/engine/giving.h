/*
 * giving.h - sockets.sock: the instance's listening sockets for other programs, by SCM_RIGHTS. A
 * program that `handover exec` runs gets them and the connection ends. Another instance (listen =
 * handover:INSTANCE/NAME) keeps its connection for as long as it holds the socket: so we know that
 * a stop must not shut down what others serve. docs/api.md, "sockets.sock".
 */
#ifndef ENGINE_GIVING_H
#define ENGINE_GIVING_H

#include "engine/engine.h"

/* ---- giving_door.c ---- */

/* Opens sockets.sock in the runtime directory. 0 or -errno with a sentence, or NULL, in ret_error
 * (caller frees). */
int giving_new(struct engine *engine, const struct supervisor_spec *spec, char **ret_error);
void giving_free(struct engine *engine);
/* Is sockets.sock still what its path leads to? */
bool giving_is_there(const struct engine *engine);
/* Makes it anew; connections that there are stay. 0 or -errno as giving_new(). */
int giving_open_again(struct engine *engine, char **ret_error);
/* operator_group as the configuration wants it: as control_set_group(). */
int giving_set_group(struct engine *engine, const struct supervisor_spec *spec, char **ret_error);

/* ---- giving.c ---- */

/* Does somebody else hold the socket who goes on when we stop? Then it is never shut down here. */
bool giving_is_shared(const struct engine *engine, const struct engine_socket *socket);
/* We are about to let go of the socket: the instance that took it last is told that it is its own
 * from now on. */
void giving_leave(struct engine *engine, struct engine_socket *socket);
/* Another socket has come into its place: who holds the former one gets it. */
void giving_again(struct engine *engine, struct engine_socket *socket);
/* The n-th instance that holds the socket. False: there are no more. */
bool giving_holder(const struct engine *engine, const struct engine_socket *socket, size_t n,
		   const char **ret_instance, pid_t *ret_pid);

/* ---- giving_json.c: what passes over sockets.sock. Pure but for memory. ---- */

enum {
	GIVING_NAMES_MAX = 64,
	GIVING_NAME_MAX = CONFIG_NAME_MAX + 11, /* "/SLOT" */
	GIVING_WHO_MAX = 160
};

enum giving_purpose {
	GIVING_EXEC, /* a program beside the pools: it ends, or is refused with them, at a stop */
	GIVING_MOVE, /* a program that goes on with the socket when we stop */
	GIVING_INSTANCE /* another instance, which stays connected */
};

/* {"version": 1, "kind": "take", "names": [...], "for": "exec|move|instance", "who": "..."} */
struct giving_ask {
	enum giving_purpose purpose;
	char names[GIVING_NAMES_MAX][GIVING_NAME_MAX + 1]; /* or NAME/SLOT */
	size_t n;
	char who[GIVING_WHO_MAX]; /* a command line, or an instance's name; printable */
};

/* False: it cannot be understood; why says so in a few words. */
bool giving_parse_ask(const char *text, size_t len, struct giving_ask *ret_ask,
		      const char **ret_why);
/* What we say. NULL: no memory; caller frees. */
char *giving_text_sockets(const char *instance, const char *const *names, size_t n);
char *giving_text_refused(const char *sentence);
char *giving_text_yours(const char *name);

/* The other side. */
char *taking_text_ask(const char *name, const char *instance);
enum taking_kind { TAKING_NOTHING, TAKING_SOCKETS, TAKING_REFUSED, TAKING_YOURS };
/* What the other instance says; *ret_error: its sentence when it is TAKING_REFUSED (caller frees).
 * False: it cannot be understood. */
bool taking_parse(const char *text, size_t len, enum taking_kind *ret_kind, char **ret_error);

#endif
