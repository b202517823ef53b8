/* run.c - from the command line to the loop, and from its end to the exit code. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/cgroups.h"
#include "engine/channel.h"
#include "engine/control.h"
#include "engine/events.h"
#include "engine/failures.h"
#include "engine/giving.h"
#include "engine/launch.h"
#include "engine/manager.h"
#include "engine/memory.h"
#include "engine/output.h"
#include "engine/prepare_internal.h"
#include "engine/proc.h"
#include "engine/rundir.h"
#include "engine/signals.h"
#include "engine/sockets.h"
#include "engine/steering.h"
#include "engine/stores.h"
#include "engine/taking.h"
#include "engine/versions.h"
#include "engine/wishes.h"
#include "system/check.h"

/* ---- building the world ---- */

/*
 * We did not run for a while (SIGSTOP, a machine that was suspended): what workers said and did
 * meanwhile is read before anybody's time is up. A turn of the loop brings 32 events at first, and
 * twice as many each time that there are more.
 */
#define RUN_LATE (20 * USEC_PER_MSEC)
enum { RUN_LATE_TURNS = 8 };

static void run_time(evutil_socket_t fd, short what, void *arg)
{
	struct engine *engine = arg;
	usec_t late = usec_sub(clock_now(), instance_deadline(engine->model));

	(void)fd;
	(void)what;
	if (late > RUN_LATE && engine->late_turns++ < RUN_LATE_TURNS) {
		engine_arm(engine->timer, 0);
		return;
	}
	engine->late_turns = 0;
	engine_post(engine, &(struct core_event){.kind = EVENT_TIME});
}

static void run_raise_limit(struct engine *engine)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &engine->nofile) == -1)
		return;
	limit = engine->nofile;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_warning("cannot raise the limit of descriptors to %llu: %s, going on with %llu",
			    (unsigned long long)limit.rlim_max, strerror(errno),
			    (unsigned long long)engine->nofile.rlim_cur);
}

static int run_make_events(struct engine *engine)
{
	struct event **timers[] = {
	    &engine->timer,	 &engine->slice,	 &engine->patience,
	    &engine->sweep,	 &engine->quiesce_event, &engine->closing_event,
	    &engine->mend_event, &engine->taking_timer,	 &engine->steering_event};
	event_callback_fn const callbacks[] = {
	    run_time,		launch_slice,	      launch_lose_patience,
	    orphans_sweep,	sockets_quiesce_look, sockets_close_removed,
	    sockets_mend_again, takings_done,	      steering_look};

	memory_new();
	engine->base = event_base_new();
	if (engine->base == NULL)
		return -ENOMEM;
	for (size_t n = 0; n < ARRAY_LEN(timers); n++) {
		*timers[n] = evtimer_new(engine->base, callbacks[n], engine);
		if (*timers[n] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int run_make_model(struct engine *engine)
{
	engine->model = malloc(sizeof(*engine->model));
	if (engine->model == NULL)
		return -ENOMEM;
	instance_init(engine->model, clock_wall() ^ ((uint64_t)getpid() << 32));
	engine->asks.seed = (clock_wall() ^ ((uint64_t)getpid() << 32)) | 1;
	engine->plan.size = instance_plan_size(engine->model);
	engine->plan.orders = malloc(engine->plan.size * sizeof(*engine->plan.orders));
	return engine->plan.orders == NULL ? -ENOMEM : 0;
}

static int run_open_control(struct engine *engine, const struct supervisor_spec *spec)
{
	cleanup_free char *error = NULL;
	int r = control_new(engine, &error);

	if (r == 0)
		r = control_set_group(engine, spec, &error);
	if (r == 0)
		r = control_set_status_listen(engine, spec, &error);
	if (r < 0)
		log_error("cannot open the control socket or status_listen: %s",
			  error != NULL ? error : strerror(-r));
	return r;
}

static int run_open_giving(struct engine *engine, const struct supervisor_spec *spec)
{
	cleanup_free char *error = NULL;
	int r = giving_new(engine, spec, &error);

	if (r < 0)
		log_error("cannot open %s/sockets.sock: %s", engine->runtime_dir,
			  error != NULL ? error : strerror(-r));
	return r;
}

/* Everything that can fail before the first worker. 0 or -errno, said in the log. */
static int run_build(struct engine *engine, const struct engine_options *options,
		     struct config_ref *config)
{
	const struct supervisor_spec *spec = &config->config->supervisor;
	int r;

	log_setup(spec->log_level, spec->log_format);
	run_raise_limit(engine);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1)
		log_warning(
		    "cannot become a subreaper: %s; what workers leave behind may outlive them",
		    strerror(errno));
	r = rundir_open(engine, options->runtime_dir);
	if (r == 0)
		r = run_make_events(engine);
	if (r == 0)
		r = run_make_model(engine);
	if (r == 0)
		r = manager_new(engine);
	if (r == 0)
		r = outputs_new(engine);
	if (r == 0) {
		outputs_set_format(engine, spec->log_format);
		r = events_new(engine);
	}
	if (r == 0)
		r = sockets_new(engine);
	if (r == 0)
		r = stores_new(engine);
	if (r == 0)
		r = signals_new(engine);
	if (r == 0)
		r = run_open_control(engine, spec);
	if (r == 0)
		r = run_open_giving(engine, spec);
	if (r == 0)
		r = channels_new(engine);
	if (r == 0)
		r = cgroups_new(engine);
	if (r < 0)
		return r;
	rundir_watch(engine);
	engine->model->lame_duck = spec->lame_duck;
	engine->n_passed = systemd_take_fds(&engine->passed);
	if (engine->n_passed < 0) {
		log_error("cannot use the sockets of the service manager (LISTEN_PID, LISTEN_FDS, "
			  "LISTEN_FDNAMES): %s",
			  strerror(-engine->n_passed));
		return engine->n_passed;
	}
	return wishes_start(engine, config);
}

static void run_free_pools(struct engine *engine)
{
	for (uint32_t p = 0; p < CORE_POOLS_MAX; p++) {
		struct pool_runtime *runtime = &engine->pools[p];

		for (uint32_t n = 0; n < runtime->n_procs; n++)
			proc_free(runtime->procs[n]);
		version_unref(runtime->current);
		version_unref(runtime->next);
		version_unref(runtime->limbo);
		rollback_free(runtime);
		free(runtime->name);
		free(runtime->procs);
		free(runtime->memory);
	}
}

static void run_free_events(struct engine *engine)
{
	struct event *timers[] = {
	    engine->timer,	engine->slice,	       engine->patience,
	    engine->sweep,	engine->quiesce_event, engine->closing_event,
	    engine->mend_event, engine->taking_timer,  engine->steering_event};

	for (size_t n = 0; n < ARRAY_LEN(timers); n++)
		if (timers[n] != NULL)
			event_free(timers[n]);
	if (engine->base != NULL)
		event_base_free(engine->base);
	memory_free();
}

/* Everything that was built, in the reverse order; parts that were not are skipped. */
static void run_free(struct engine *engine)
{
	if (engine->control != NULL)
		control_free(engine);
	if (engine->base != NULL && engine->model != NULL)
		stores_free(engine);
	sockets_free(engine);
	wishes_free(engine);
	proc_bury(engine);
	run_free_pools(engine);
	giving_free(engine);
	failures_free(engine);
	channels_free(engine);
	cgroups_free(engine);
	pids_free(engine);
	signals_free(engine);
	if (engine->events != NULL)
		events_free(engine);
	if (engine->outputs != NULL)
		outputs_free(engine);
	rundir_close(engine);
	manager_free(engine);
	run_free_events(engine);
	for (int n = 0; n < engine->n_passed; n++) {
		fd_close(engine->passed[n].fd);
		free(engine->passed[n].name);
	}
	free(engine->passed);
	outcome_free(engine->last_outcome);
	incidents_free(&engine->incidents);
	history_free(&engine->history);
	config_ref_put(engine->config);
	free(engine->spawns);
	free(engine->plan.orders);
	free(engine->model);
	free(engine->runtime_dir);
	free(engine->name);
	fd_close(engine->null_fd);
	free(engine);
}

/* ---- the configuration at the start ---- */

static int run_read(const char *path, struct config **ret_config)
{
	struct config_problems problems = {0};
	struct check_context context = {.running = NULL};
	struct buf text = {0}, unit = {0};
	int r = config_read(path, ret_config, &problems);

	if (r == 0) {
		r = check_world(*ret_config, &context, &problems, NULL);
		if (r < 0)
			*ret_config = config_free(*ret_config);
		else if (getenv("INVOCATION_ID") != NULL) /* systemd.exec(5): it runs us */
			check_unit(*ret_config, NULL, &problems, &unit);
	}
	config_problems_print(&problems, &text);
	if (text.len > 0)
		fputs(text.data, stderr);
	if (unit.len > 0)
		fprintf(stderr, "%s", unit.data);
	if (r < 0)
		fprintf(stderr, "handoverd: not started: %zu mistake%s in the configuration\n",
			problems.errors, problems.errors == 1 ? "" : "s");
	buf_free(&text);
	buf_free(&unit);
	config_problems_free(&problems);
	return r;
}

int engine_run(const struct engine_options *options)
{
	struct config_ref *ref;
	struct config *config;
	struct engine *engine;
	int code = 1;

	if (run_read(options->config_path, &config) < 0)
		return EX_CONFIG;
	ref = config_ref_new(config);
	engine = calloc(1, sizeof(*engine));
	if (ref == NULL || engine == NULL)
		return 1;
	engine->config_path = options->config_path;
	engine->name = strdup(config->instance);
	engine->lock_fd = engine->watch_fd = engine->stores_fd = engine->child_fd = -1;
	engine->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	engine->started_at = clock_now();
	engine->started_wall = clock_wall();
	if (engine->name != NULL && engine->null_fd >= 0 && run_build(engine, options, ref) == 0) {
		event_base_dispatch(engine->base);
		orphans_end(engine);
		cgroups_end(engine);
		code = engine->exit_code;
	}
	run_free(engine);
	config_ref_put(ref);
	return code;
}
