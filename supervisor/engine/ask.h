/*
 * ask.h - one question to one worker, of any kind: a command (exec), a connection (tcp), HTTP, gRPC
 * health. Each has its time; no more than ASK_RUNNING_MAX are under way at once, further ones wait
 * for their turn.
 */
#ifndef ENGINE_ASK_H
#define ENGINE_ASK_H

#include "engine/engine.h"

enum {
	ASK_RUNNING_MAX = 256,
	ASK_TEXT_MAX = 320,
};

/* passed, or what the worker did instead: "http:/healthz answered 503 Service Unavailable". Called
 * from the loop, once; the question is over then. */
typedef void ask_done(void *arg, bool passed, const char *text);

/* Asks, now or when it is its turn. NULL: no memory. What spec leads to must live as long. */
struct ask *ask_begin(struct proc *proc, const struct probe_spec *spec, usec_t timeout,
		      ask_done *done, void *arg);
/* Ends it without an answer; accepts NULL. Returns NULL. */
struct ask *ask_cancel(struct ask *ask);

/* ---- what the ask*.c files share ---- */

struct ask {
	struct proc *proc;
	const struct probe_spec *spec;
	usec_t timeout;
	ask_done *done;
	void *arg;
	struct ask *previous, *next; /* of those that wait */
	bool running, settled, passed;
	struct event *timer; /* its time is over, or it is settled and to be told */
	char text[ASK_TEXT_MAX];
	/* a command */
	pid_t pid;
	int pidfd;
	struct event *exit_event;
	/* a connection */
	int fd;
	struct event *readable, *writable, *look;
	usec_t look_again; /* who has accepted it? */
	bool owned;
	struct probe_talk *talk;
};

/* The answer: told from the loop, soon. Only the first one counts. text: what the worker did,
 * behind the question's own words. */
void ask_settle(struct ask *ask, bool passed, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Each begins (or settles it at once), hears that the time is over, and lets go of everything. */
void ask_command_begin(struct ask *ask);
void ask_command_late(struct ask *ask);
void ask_command_end(struct ask *ask);
void ask_server_begin(struct ask *ask);
void ask_server_late(struct ask *ask);
void ask_server_end(struct ask *ask);

#endif
