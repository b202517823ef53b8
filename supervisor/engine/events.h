/* events.h - what happens is told once, here: to the log, and to everybody who listens
 * (docs/api.md, "An event"). */
#ifndef ENGINE_EVENTS_H
#define ENGINE_EVENTS_H

#include "engine/engine.h"

/* What members an event has beside its sentence. Zeros and NULLs are left out; slot, generation,
 * pid: -1 = left out. */
struct happening {
	const char *event; /* "worker-ready" */
	enum log_level level;
	const char *pool;
	long slot, generation;
	long pid;
	const char *reason;
	const char *exit;		 /* how a process ended, in words */
	long long deadline_ms, after_ms; /* -1: left out */
	uint64_t id;			 /* of a transaction */
	const char *kind;		 /* "reload", "restart", "scale", "start" */
	const char *by;
	const struct log_field *fields; /* for the journal alone */
	size_t n_fields;
};

/* The macro's defaults are meant to be overridden by what follows them. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
#define HAPPENING(name, severity, ...)            \
	(&(struct happening){.event = (name),     \
			     .level = (severity), \
			     .slot = -1,          \
			     .generation = -1,    \
			     .pid = -1,           \
			     .deadline_ms = -1,   \
			     .after_ms = -1,      \
			     __VA_ARGS__})

/* Logs the sentence and hands the event to all subscribers. */
void events_tell(struct engine *engine, const struct happening *happening, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The log severities' names for the member "level": "error", "warning", "notice", "info", "debug".
 */
const char *events_level_name(enum log_level level);

/*
 * Calls each for every event from now on, with the event as one line of JSON (without newline) and
 * its name. Returns a handle for events_unsubscribe(), or NULL (no memory, or
 * EVENTS_SUBSCRIBERS_MAX listen already).
 */
enum { EVENTS_SUBSCRIBERS_MAX = 64 };
struct subscriber;
struct subscriber *events_subscribe(struct engine *engine,
				    void (*each)(void *arg, const char *name, const char *json,
						 size_t len),
				    void *arg);
/* Accepts NULL; may be called from within each(). */
void events_unsubscribe(struct engine *engine, struct subscriber *subscriber);

int events_new(struct engine *engine);
void events_free(struct engine *engine);

#endif
