/* metrics.c - the instance's figures in Prometheus' text format 0.0.4: each family once, with HELP
 * and TYPE, and every label set once in it. */
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "engine/cgroups.h"
#include "engine/metrics_internal.h"
#include "engine/output.h"
#include "system/proc.h"

/* ---- the format ---- */

void metrics_add_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Backslash, quote and newline are escaped in a label's value. */
void metrics_add_label(struct buf *out, const char *name, const char *value)
{
	char last = out->len > 0 ? out->data[out->len - 1] : '\0';

	buf_printf(out, "%s%s=\"", last == '{' ? "" : ",", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			buf_add_str(out, "\\n");
		else if (*value == '"' || *value == '\\')
			buf_printf(out, "\\%c", *value);
		else
			buf_add(out, value, 1);
	}
	buf_add_str(out, "\"");
}

void metrics_add_seconds(struct buf *out, usec_t usec)
{
	buf_printf(out, "%llu.%06llu", (unsigned long long)(usec / USEC_PER_SEC),
		   (unsigned long long)(usec % USEC_PER_SEC));
}

static void add_plain(struct buf *out, const char *name, const char *type, const char *help,
		      uint64_t value)
{
	metrics_add_family(out, name, type, help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void add_time(struct buf *out, const char *name, const char *help, usec_t usec)
{
	metrics_add_family(out, name, "gauge", help);
	buf_printf(out, "%s ", name);
	metrics_add_seconds(out, usec);
	buf_add_str(out, "\n");
}

/* ---- reloads, sockets, ourselves ---- */

static void add_reloads(struct buf *out, const struct engine *engine)
{
	static const struct {
		enum result result;
		const char *name;
	} results[] = {{RESULT_COMMITTED, "committed"},
		       {RESULT_FAILED, "failed"},
		       {RESULT_ABORTED, "aborted"},
		       {RESULT_STOPPING, "stopping"},
		       {RESULT_BUSY, "busy"}};

	metrics_add_family(out, "handover_reloads_total", "counter", "Reloads by their result.");
	for (size_t i = 0; i < ARRAY_LEN(results); i++)
		buf_printf(out, "handover_reloads_total{result=\"%s\"} %llu\n", results[i].name,
			   (unsigned long long)engine->outcomes[results[i].result]);
	add_plain(out, "handover_reload_running", "gauge",
		  "1 while a reload, restart or scaling runs.",
		  engine->undertaking.running && !engine->undertaking.start);
	add_plain(out, "handover_reload_held", "gauge",
		  "1 while a reload waits for somebody to promote or abort it.",
		  engine->model->transaction.state == TRANSACTION_HELD);
	if (engine->last_reload_wall == 0)
		return;
	add_time(out, "handover_last_reload_timestamp_seconds", "When the last reload ended.",
		 engine->last_reload_wall);
	add_plain(out, "handover_last_reload_success", "gauge",
		  "1 if the last reload was committed.", engine->last_reload_good);
	add_time(out, "handover_last_reload_duration_seconds", "How long the last reload took.",
		 engine->last_reload_duration);
}

enum socket_figure { SOCKET_QUEUE, SOCKET_QUEUE_LIMIT, SOCKET_MENDED, SOCKET_GIVEN };

static void add_socket_series(struct buf *out, const struct engine_socket *socket, const char *name,
			      enum socket_figure figure)
{
	unsigned waiting = 0, limit = 0;
	char address[LISTENER_TEXT_MAX], slot[16];
	uint64_t value = figure == SOCKET_GIVEN ? socket->given : socket->mended;

	if (figure == SOCKET_QUEUE || figure == SOCKET_QUEUE_LIMIT) {
		if (listener_queue(&socket->listener, &waiting, &limit) < 0)
			return;
		value = figure == SOCKET_QUEUE ? waiting : limit;
	}
	buf_printf(out, "%s{", name);
	metrics_add_label(out, "socket", socket->name);
	if (socket->slots != NULL) {
		snprintf(slot, sizeof(slot), "%u", socket->slot);
		metrics_add_label(out, "slot", slot);
	}
	metrics_add_label(out, "address",
			  listener_describe(&socket->listener, address, sizeof(address)));
	buf_printf(out, "} %llu\n", (unsigned long long)value);
}

static void add_sockets(struct buf *out, const struct engine *engine)
{
	static const struct {
		enum socket_figure figure;
		const char *name, *type, *help;
	} families[] = {
	    {SOCKET_QUEUE, "handover_socket_queue", "gauge",
	     "Connections that wait to be accepted, where the kernel tells."},
	    {SOCKET_QUEUE_LIMIT, "handover_socket_queue_limit", "gauge",
	     "How many of them may wait."},
	    {SOCKET_MENDED, "handover_socket_mended_total", "counter",
	     "How often a worker had shut the socket down and it was made to listen again."},
	    {SOCKET_GIVEN, "handover_socket_given_total", "counter",
	     "How often it was given to another program or instance over sockets.sock."},
	};

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct engine_socket *socket = engine->sockets;

		metrics_add_family(out, families[i].name, families[i].type, families[i].help);
		for (; socket != NULL; socket = socket->next)
			if (!socket->closing && socket->listener.fd >= 0)
				add_socket_series(out, socket, families[i].name,
						  families[i].figure);
	}
}

static void add_states(struct buf *out, const struct engine *engine)
{
	static const char *const states[] = {"starting", "running", "lame-duck", "stopping"};
	const char *now = engine_state_name(engine);

	metrics_add_family(out, "handover_state", "gauge",
			   "1 for the state that the instance is in.");
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		buf_printf(out, "handover_state{state=\"%s\"} %d\n", states[i],
			   strcmp(states[i], now) == 0);
}

static void add_ourselves(struct buf *out, const struct engine *engine)
{
	cleanup_buf struct buf reason = {0};
	struct rlimit nofile = {0};
	int fds = proc_count_fds();

	metrics_add_family(out, "handover_info", "gauge", "What runs here.");
	buf_add_str(out, "handover_info{");
	metrics_add_label(out, "instance", engine->name);
	metrics_add_label(out, "version", HANDOVER_VERSION);
	buf_add_str(out, "} 1\n");
	add_states(out, engine);
	add_plain(out, "handover_ready", "gauge", "1 if /readyz says so.",
		  engine_is_ready(engine, &reason));
	add_plain(out, "handover_out_of_service", "gauge",
		  "1 if an operator took the instance out of service.", engine->out_of_service);
	add_time(out, "handover_process_start_time_seconds", "When the instance was started.",
		 engine->started_wall);
	if (fds >= 0)
		add_plain(out, "handover_process_open_fds", "gauge",
			  "Descriptors that the master has open.", (uint64_t)fds);
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0)
		add_plain(out, "handover_process_max_fds", "gauge",
			  "How many descriptors the master may have open.", nofile.rlim_cur);
	add_plain(out, "handover_output_dropped_lines_total", "counter",
		  "Lines of workers that neither standard error nor a file took in time.",
		  outputs_dropped(engine));
}

void metrics_write(struct engine *engine, struct buf *out)
{
	cgroups_refresh(engine);
	add_ourselves(out, engine);
	metrics_add_pools(out, engine);
	add_reloads(out, engine);
	add_sockets(out, engine);
}
