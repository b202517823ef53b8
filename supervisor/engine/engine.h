/*
 * engine.h - the running instance: the model, and everything that carries out its plans. One
 * thread, one event loop (libevent lives in this folder only). This header is the engine's own;
 * programs need engine_run() alone.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/diff.h"
#include "core/instance.h"
#include "engine/flood.h"
#include "engine/history.h"
#include "engine/incidents.h"
#include "system/config.h"
#include "system/listener.h"
#include "system/notify.h"
#include "system/pin.h"
#include "system/reap.h"
#include "system/systemd.h"

struct ask;	 /* ask.c: a question to a worker */
struct manager;	 /* manager.c: what we tell our service manager */
struct cgroups;	 /* cgroups.c: the cgroup that was delegated to us */
struct channel;	 /* channel.c: one worker's connection */
struct canary;	 /* canary.c: the command that is asked about a pool's canaries */
struct channels; /* channel.c: channel.sock */
struct failures; /* failures.c: versions that failed */
struct control;	 /* control.c: the API's listeners */
struct givings;	 /* giving.c: sockets.sock, and who was given what */
struct taking;	 /* taking.c: a socket from another instance */
struct fd_store; /* stores.c: what workers gave us to keep */
struct events;	 /* events.c: who listens to what happens */
struct evidence; /* evidence.c: what is gathered of a worker that goes */
struct files;	 /* sockets_files.c: those of Unix sockets */
struct output;	 /* output.c: what one worker writes */
struct outputs;	 /* output.c: all of it, and our own log's way out */

/* What engine_run() is told by the command line. */
struct engine_options {
	const char *config_path;
	const char *runtime_dir; /* NULL: as DESIGN 3 says */
};

/* Runs the instance until it has stopped. Returns the program's exit code: 0, 1, or 78 (EX_CONFIG).
 */
int engine_run(const struct engine_options *options);

/* A configuration that versions share. */
struct config_ref {
	unsigned refs;
	struct config *config;
};

/* One listening socket. It lives as long as a version refers to it or the configuration names it.
 */
struct engine_socket {
	struct engine_socket *next;
	unsigned refs; /* versions, and 1 while it is in the list */
	uint32_t id;   /* for the watch */
	char *name;
	char *identity; /* address in canonical form: what makes two sockets the same */
	struct listener listener;
	struct slot_sockets *slots; /* with `%n` in listen: those that it belongs to; NULL: shared
				       by all slots */
	uint32_t slot;		    /* ... and whose it is there */
	bool fresh;		    /* opened by the transaction that runs: closed if that fails */
	bool revived;		    /* was being closed when the transaction that runs wanted it */
	bool told;		    /* fresh, and workers that run have been given it already */
	bool closing;		    /* no longer configured: shut down soon */
	usec_t closing_since;
	bool passed;  /* from the service manager: never shut down, only let go */
	char *stored; /* one of ours: the name of the manager's copy; NULL: there is none */
	bool taken;   /* another instance's, and not our own yet: the same */
	struct taking *taking; /* from whom; NULL: from nobody, or he is gone for good */
	bool moved;	       /* given to somebody who goes on without us: the same */
	uint64_t given;	       /* how often, over sockets.sock */
	char *given_to;	       /* last, in words; NULL: to nobody */
	bool reuseport;	       /* one of several at its address: see steering.h */
	bool grouped;	       /* listens, and is one of those that the kernel chooses from */
	uint32_t group_index;  /* ... its place among them */
	bool served;	       /* ... by a worker that serves */
	bool steered_to;       /* ... and gets new connections */
	bool steering_due;     /* its place has changed */
	bool order_lost;       /* the places are not known any more */
	int ipv6_only;	       /* what cannot be changed on an open socket */
	bool freebind;
	unsigned mended; /* how often a worker had shut it down */
	usec_t mended_at;
	usec_t dead_since; /* whom it was taken from is to mend it; 0: it is not dead */
	int file_watch;	   /* of a Unix socket's file; 0: none */
	bool file_told;	   /* that it is lost */
	usec_t file_restored_at;
};

/* The sockets of one section with `%n` or reuseport, by slot. */
struct slot_sockets {
	struct slot_sockets *next;
	unsigned refs;	/* versions, and 1 while it is in the list */
	char *identity; /* the address with its `%n` */
	struct engine_socket **list;
	uint32_t n; /* entries may be NULL */
};

/* What a version has for a name in its `sockets`: one of the two. */
struct version_socket {
	struct engine_socket *shared;
	struct slot_sockets *slots;
};

/* What a generation of a pool runs. */
struct version {
	unsigned refs;
	uint32_t generation;
	struct config_ref *config;
	const struct pool_spec *spec;
	struct pin *pin;		/* the executable and the working directory, held open */
	struct version *origin;		/* of which it is another generation: its memory is used */
	struct version_socket *sockets; /* spec->n_sockets of them */
	bool change_user;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	char *user_name, *user_home, *user_shell; /* NULL without `user` */
	char *
	    *file_env; /* what environment_file said when this version was made; NULL-terminated */
	size_t n_file_env;
};

/* What a worker is asked for. */
enum probe_of { PROBE_OF_READY, PROBE_OF_LIVE };

/* Whose memory was short when the kernel ended a worker. */
enum proc_oom { PROC_OOM_NONE, PROC_OOM_OWN, PROC_OOM_ABOVE };

/* Why a worker was started. */
enum start {
	START_OTHER, /* its predecessor went, as it should */
	START_INSTANCE,
	START_RELOAD, /* and the next two: number of the transaction */
	START_RESTART,
	START_SCALE,
	START_ROLLBACK,
	START_RESTORED,	      /* the transaction of that number failed: the old version again */
	START_AFTER_INCIDENT, /* number of the incident */
};

/* One process of ours: a worker. */
struct proc {
	struct engine *engine;
	struct worker_ref ref;
	uint32_t slot;
	uint32_t generation;
	struct version *version;
	pid_t pid; /* 0: there is none (it could not be started) */
	int pidfd;
	usec_t spawned_at, ready_at, leaving_at; /* 0: not yet */
	struct event *exit_event, *notify_event, *ready_event;
	int notify_fd;
	char notify_address[NOTIFY_ADDRESS_MAX];
	struct flood notify_flood;
	struct complaint strangers; /* who sent to its notify socket */
	struct complaint malformed; /* messages to it */
	struct complaint missed;    /* it had no descriptors left for its sockets */
	struct channel *channel;    /* NULL: it has not connected */
	bool ready_waits;	    /* it is ready, but for its channel */
	bool answers;		    /* it says when it has taken sockets that it was sent */
	bool waits_to_drain;	    /* it is told later, when nobody waits in its slot's queue */
	int waiting_signal, waiting_value; /* ... with this */
	enum end_reason waiting_reason;
	usec_t waiting_since;
	unsigned waiting_empty; /* ... looks in a row that found nobody */
	bool asked;		/* has not said so of the last ones */
	bool both;		/* they are those of its version and of the transaction's */
	uint64_t set;		/* their number; 0: it was sent none */
	struct launch *launch;	/* its start is on its way: see launch.h */
	int probe_fd;		/* the file of its probe socket; -1: it has none */
	struct probe *probe;	/* it starts, and is asked whether it is ready */
	struct live *live;	/* it serves, and is asked whether it is well */
	unsigned live_failures; /* that ended it */
	char *probe_failure;	/* how it failed the last probe; NULL: it did not */
	struct ack *ack;	/* compat = einhorn: its socket for that */
	struct output *output;
	struct worker_cgroup *cgroup; /* NULL: none of its own */
	char *status;		      /* STATUS=, NULL: never said */
	bool has_inflight;
	unsigned long inflight;
	bool ended;
	bool told;   /* it had been told to go when it ended */
	bool killed; /* by us */
	enum proc_oom oom;
	bool oom_known; /* its cgroup could tell */
	enum start start;
	uint64_t start_number;
	struct evidence *evidence; /* NULL: nothing has happened */
	struct reap_status exit;
	char *failure; /* why it could not be started, in words */
	bool unlucky;  /* and that is no fault of its version */
	struct proc *next_buried;
};

enum { REASONS_RESTART = 6 };

enum { PROC_NAME_MAX = 160 };

/* What the engine knows of a pool, beside the model's struct pool in the same place. */
struct pool_runtime {
	char *name;
	struct version *current; /* the committed one */
	struct version *next;	 /* the transaction's, until it is committed or undone */
	struct version *kept[CONFIG_KEEP_MAX]; /* for a rollback: other versions that served, the
						  latest last */
	unsigned n_kept;
	bool rolled_back;    /* since then, no reload has given it what the configuration says */
	struct proc **procs; /* by the worker's index; capacity of the model's pool */
	uint32_t n_procs;
	void *memory;	       /* the model's block */
	struct version *limbo; /* of a pool that is being removed or undone: for late readers */
	uint64_t starts;
	/* restarts by reason */
	uint64_t crashes, start_failures, start_timeouts, hangs, not_live, renewals;
	uint64_t probe_failures[2]; /* by enum probe_of */
	uint64_t dumps, kills;	    /* escalations by stage */
	uint64_t oom_kills;	    /* processes of workers, by the kernel */
	struct fd_store **stores;   /* by slot, NULL: nothing is kept for it */
	uint32_t n_stores;
	uint64_t stores_refused, stores_dead; /* descriptors */
	usec_t stores_refused_logged;
	struct canary *canary; /* NULL: nothing was asked in this transaction */
	uint64_t canaries_good, canaries_bad;
	usec_t cpu_ended;	    /* CPU time of workers that are gone, where that is known */
	uint64_t drain_buckets[12]; /* histogram, see metrics_drains.c: counts by upper bound */
	uint64_t drain_count;
	usec_t drain_sum;
};

/* One wish of an operator: reload, restart, scale, rollback. Lives until its (last) answer. */
enum wish_kind {
	WISH_RELOAD,
	WISH_RESTART,
	WISH_SCALE,
	WISH_ROLLBACK,
	WISH_PROMOTE, /* and the next one: what becomes of a reload that is held */
	WISH_ABORT,
};

/* What became of a wish: for the answer, the log and `last_reload`. All strings belong to it. */
struct outcome {
	unsigned refs;
	uint64_t id; /* number of the transaction */
	enum wish_kind kind;
	enum result result;
	bool configuration; /* failed because of the configuration: problems */
	char *message;	    /* one sentence: what happened and what goes on */
	char *by;
	usec_t duration;
	usec_t finished_wall;
	struct config_problems problems;
	char *blame;	    /* what the new version did, in words; NULL: it is not to blame */
	uint32_t blamed;    /* its pool; CORE_NONE: all that were to get another */
	struct buf lines;   /* last output of the culprit */
	struct buf remarks; /* one a line */
	char *culprit_pool; /* NULL: no worker is to blame */
	uint32_t culprit_slot, culprit_generation;
	pid_t culprit_pid;
};

/* Questions to workers. */
struct asks {
	uint64_t seed; /* of the times of liveness probes */
	unsigned running;
	struct ask *first, *last; /* those that wait for their turn */
};

struct wish {
	struct wish *next;
	uint64_t id;	 /* request id in the model; 0 where nobody waits */
	uint64_t join;	 /* queued wishes for the same have the same */
	bool running;	 /* its transaction has begun */
	uint64_t number; /* that of the transaction, then */
	usec_t asked_at;
	enum wish_kind kind;
	bool changed;	  /* reload --changed */
	char *pool;	  /* NULL: all */
	uint32_t slot;	  /* restart of one; CORE_NONE: all */
	uint32_t workers; /* scale */
	bool wait_drained;
	bool abort_on_disconnect;
	char *by;   /* "uid 1000 pid 4242", "SIGHUP" */
	char *unit; /* systemd's, of the caller; NULL: not known */
	/* Called once with the answer (for wait_drained with that of the drains); NULL: nobody
	 * waits. */
	void (*done)(void *arg, const struct outcome *outcome);
	void *arg;
};

/* Facts that carrying out one step's plan can bring about at once: the answers to PREPARE and
 * REFUSE_NEW. */
enum { ENGINE_QUEUE_MAX = 16 };

/* The transaction that runs, as the engine sees it. */
struct undertaking {
	bool running;
	bool start;
	uint64_t number;
	enum wish_kind kind;
	char *by;
	usec_t since;
	struct config_ref *config; /* what was read for it; NULL: restart, scale */
	bool whole;    /* a full reload: its configuration is the instance's from the commit on */
	bool dry;      /* a plan: no socket is opened */
	bool settings; /* the supervisor's or sockets' own settings change */
	struct buf remarks;
	struct config_problems problems;
	char *refusal;	      /* why it could not be prepared */
	struct outcome *held; /* NULL: it is not held, and was not */
	usec_t held_since;    /* 0: so, too */
	usec_t hold_timeout;
	char *decided_by; /* who has promoted or aborted it */
	struct pool_change changes[CORE_POOLS_MAX];
};

struct engine {
	struct event_base *base;
	struct instance *model;
	struct plan plan;
	usec_t step_at; /* the time that the model was given for it: budgets count from there */
	struct config_ref *config; /* the instance's: of the last full reload */
	const char *config_path;
	char *name; /* of the instance */
	char *runtime_dir;
	bool runtime_dir_made; /* by us: removed at the end */
	int lock_fd;
	int rundir_fd, rundir_watch; /* inotify */
	struct event *rundir_event;
	struct event *rundir_timer; /* makes anew what was deleted */
	bool rundir_failed;	    /* and that has been said */
	struct pool_runtime pools[CORE_POOLS_MAX];
	struct engine_socket *sockets;
	struct slot_sockets *slot_sockets;
	uint32_t socket_ids;
	int watch_fd; /* epoll of listener_watch_*() */
	struct event *watch_event;
	int stores_fd; /* epoll of fd_store_watch_new() */
	struct event *stores_event;
	struct event *quiesce_event;  /* looks at the queues during a stop */
	unsigned quiesce_empty;	      /* looks in a row that found all queues empty */
	struct event *closing_event;  /* sockets that were taken out of the configuration */
	struct event *steering_event; /* workers that wait to drain */
	unsigned grouped;	      /* sockets of reuseport that listen */
	struct event *mend_event;     /* sockets that could not be mended at once */
	struct files *files;	      /* what watches those of Unix sockets */
	struct event *timer;	      /* the model's deadline */
	unsigned late_turns;	      /* that it has waited, see run_time() */
	struct event *signals[8];
	size_t n_signals;
	int child_fd;		   /* tells of SIGCHLD */
	struct event *slice;	   /* goes on with spawns that wait */
	struct worker_ref *spawns; /* a queue: from first to n */
	size_t spawn_first, spawn_n, spawn_size;
	unsigned launches;	/* starts that are on their way, but for those that hang */
	struct event *patience; /* with those */
	struct launch *dropped; /* starts of nobody whose children have not ended */
	struct core_event queue[ENGINE_QUEUE_MAX]; /* facts that wait for the model, a ring */
	size_t queue_first, queue_n;
	struct timeval turn; /* the loop's present one, by its cached time */
	usec_t turn_began;
	bool stepping;
	bool launching;
	struct proc *buried;	       /* gone in this step: freed behind it */
	char last_gone[PROC_NAME_MAX]; /* the worker that ended last, in words: a suspect */
	usec_t last_gone_at;
	struct wish *wishes;
	uint64_t wish_ids;
	struct undertaking undertaking;
	struct failures *failures;
	struct outcome *last_outcome; /* of the last reload, restart or scale */
	struct history history;
	usec_t queues_seen_at; /* reloads.c: accept queues were looked at */
	struct incidents incidents;
	struct timeval look_turn; /* evidence.c: the loop's turn, and what it spent on looking */
	usec_t look_spent;
	uint64_t joins;
	uint64_t outcomes[RESULT_COUNT]; /* reloads only */
	usec_t last_reload_wall;	 /* when the last one ended; 0: none yet */
	bool last_reload_good;
	usec_t last_reload_duration;
	struct manager *manager; /* NULL: nobody manages us */
	struct channels *channels;
	struct givings *givings;
	struct taking *takings; /* that no socket has claimed yet */
	struct event *taking_timer;
	void (*taken)(struct engine *engine); /* who waits for them; NULL: nobody */
	struct control *control;
	struct events *events;
	struct outputs *outputs;
	struct cgroups *cgroups;
	struct asks asks;
	struct pid_table *pids; /* proc by pid */
	struct event *sweep;	/* looks for orphans once the loop is through with the rest */
	usec_t sweep_after;	/* ... and not before */
	unsigned orphans_left;	/* that the last sweep found alive */
	pid_t orphans_told[16]; /* those that were told of last, a ring; 0: reaped since */
	unsigned orphans;	/* told of */
	int null_fd;
	struct rlimit nofile; /* as we were given it: for workers */
	bool out_of_service;
	bool refusing;	   /* a stop: sockets are not mended any more */
	bool stop_asked;   /* for; perhaps the manager is being asked why */
	bool stop_now;	   /* and budgets are taken away */
	bool keep_sockets; /* a stop that a start will follow: what the manager keeps stays open */
	bool exiting;
	int exit_code;
	unsigned interrupts; /* SIGINTs */
	usec_t started_at;
	usec_t started_wall;
	struct systemd_fd *passed;
	int n_passed;
};

/* ---- engine.c ---- */

/* A fact for the model. Orders are carried out before this returns, unless the engine is already at
 * it. */
void engine_post(struct engine *engine, const struct core_event *event);
/* The same for one worker. */
void engine_post_worker(struct engine *engine, const struct worker_ref *ref,
			enum worker_event_kind kind, usec_t usec, bool clean);
struct pool_runtime *engine_find_pool(struct engine *engine, const char *name, uint32_t *ret_index);
/* The process behind a reference; also one that was buried in this step. NULL: unknown. */
struct proc *engine_find_proc(struct engine *engine, const struct worker_ref *ref);
/*
 * Has this turn of the loop taken so long that what is left should wait for the next one? For
 * callbacks of which there may be thousands in a turn; what they leave unread comes again.
 */
bool engine_turn_is_long(struct engine *engine);
/* Arms or disarms a one-shot timer; USEC_INFINITY disarms. */
void engine_arm(struct event *timer, usec_t delay);
/* Sees to it that the model's pool has entries for a rollout to size slots. 0 or -ENOMEM. */
int engine_reserve(struct engine *engine, uint32_t pool, uint32_t size);

/* Is the instance ready to be given traffic, and if not, why (in words, into reason)? As /readyz
 * says. */
bool engine_is_ready(const struct engine *engine, struct buf *reason);
/* The same for one pool. */
bool engine_pool_is_ready(const struct engine *engine, uint32_t pool, struct buf *reason);
/* "starting", "running", "lame-duck", "stopping" */
const char *engine_state_name(const struct engine *engine);
/* "starting", "serving", "rolling", "restoring", "stopped", "retiring" */
const char *engine_pool_state_name(const struct engine *engine, uint32_t pool);

/* ---- what operators can do (called by the API and by signals); by: who, for the log ---- */

/*
 * Takes the wish over (its memory and strings) and puts it to the model. Returns its id for
 * engine_forget(), which is valid until done() was called; done() may be called before this
 * returns.
 */
uint64_t engine_wish(struct engine *engine, struct wish *wish);
/* What becomes of a reload that is held (or, WISH_ABORT, of one that runs): as engine_wish(). */
uint64_t engine_decide(struct engine *engine, struct wish *wish);
/* The caller went away: done() will not be called. */
void engine_forget(struct engine *engine, uint64_t id);
void engine_stop(struct engine *engine, bool now, const char *by);
void engine_set_out_of_service(struct engine *engine, bool on, const char *by);
/*
 * Sends a signal to the workers of a pool (slot CORE_NONE: all), through pidfds. Appends their pids
 * to pids (room for max), returns how many, or -errno: -ENOENT no such pool or slot, -ESRCH no
 * process there.
 */
int engine_signal(struct engine *engine, const char *pool, uint32_t slot, int sig, const char *by,
		  pid_t *pids, size_t max);

/* Drops a reference; accepts NULL. */
void outcome_free(struct outcome *outcome);

#endif
