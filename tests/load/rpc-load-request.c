/* One request: from the moment it is due to its record. */
#include "rpc-load-request.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc-load-conn.h"
#include "rpc-load-pool.h"
#include "rpc-load-run.h"
#include "rpc-load-say.h"
#include "rpc-load-util.h"

struct request {
	TAILQ_ENTRY(request) link; /* in run->requests */
	TAILQ_ENTRY(request) wait; /* in pool->waiting, if `waiting` */
	struct run *run;
	struct question question;
	struct pool *pool;
	struct conn *conn;
	struct event timeout;
	struct record record;
	bool waiting; /* for a connection of the pool */
};

static void request_begin(struct request *req);

/* Hands free connections to requests that wait; one that fails at that does not start it again. */
static void pool_serve(struct pool *pool)
{
	struct request *req;

	if (pool->serving)
		return;
	pool->serving = true;
	while ((req = TAILQ_FIRST(&pool->waiting)) != NULL && pool_has_free(pool)) {
		TAILQ_REMOVE(&pool->waiting, req, wait);
		req->waiting = false;
		request_begin(req);
	}
	pool->serving = false;
}

/* A hang or a call was sent by hand, and is reported at once. */
static bool request_is_by_hand(const struct request *req)
{
	return req->question.kind == QUESTION_HANG || req->question.kind == QUESTION_CALL;
}

static void request_release_conn(struct request *req, bool reusable)
{
	struct conn *conn = req->conn;

	req->conn = NULL;
	if (conn == NULL)
		return;
	if (req->pool == NULL)
		conn_free(conn);
	else if (reusable)
		pool_give(req->pool, conn);
	else
		pool_drop(req->pool, conn);
}

static void request_free(struct request *req)
{
	struct run *run = req->run;

	event_del(&req->timeout);
	TAILQ_REMOVE(&run->requests, req, link);
	json_decref(req->question.params);
	free(req);
	run->inflight--;
	if (run->stopping && run->inflight == 0)
		event_base_loopbreak(run->base);
}

/* `cause` is NULL or why it failed, `result` NULL or of the answer. Frees the request. */
static void request_end(struct request *req, const char *cause, json_t *result)
{
	struct record *record = &req->record;
	struct pool *pool = req->pool;
	bool reusable = cause == NULL && conn_is_reusable(req->conn);

	record->latency = (uint32_t)(now_usec() - record->intended);
	if (req->conn == NULL)
		record->late = record->latency;
	else if (record->pid == 0)
		record->pid = req->conn->pid;
	cause = records_add(&req->run->records, record, cause);
	if (request_is_by_hand(req))
		say_ended(&req->question, record, cause, result);
	if (req->waiting)
		TAILQ_REMOVE(&pool->waiting, req, wait);
	request_release_conn(req, reusable);
	request_free(req);
	if (pool != NULL)
		pool_serve(pool);
}

static void request_on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct request *req = arg;
	const char *cause = "timed out without an answer";

	(void)fd;
	(void)what;
	/* Most of its time may have gone before it had a connection at all. */
	if (req->waiting || req->record.late > req->run->opts->timeout / 2)
		cause = "timed out waiting for a free connection";
	else if (req->conn->state != CONN_OPEN)
		cause = "timed out connecting";
	request_end(req, cause, NULL);
}

static void request_on_answer(struct request *req)
{
	struct answer answer;
	char why[96];
	const char *wrong = answer_check(&req->question, req->conn, &answer, why, sizeof(why));

	req->record.pid = answer.pid;
	req->record.generation = answer.generation;
	req->conn->pid = answer.pid;
	request_end(req, wrong, answer.result);
	json_decref(answer.result);
}

static void request_on_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct request *req = arg;

	switch (event) {
	case CONN_PID:
		if (request_is_by_hand(req))
			say_accepted(&req->question, conn->pid);
		break;
	case CONN_ANSWER:
		request_on_answer(req);
		break;
	case CONN_LOST:
		req->record.broken = conn->broken;
		request_end(req, conn->why, NULL);
		break;
	}
}

/* Returns 0, or what conn_send() and question_write() return. */
static int request_send(struct request *req)
{
	struct evbuffer *text = evbuffer_new();
	bool expect_pid = req->conn->pid == 0; /* else it is known from an earlier answer */
	int r = -ENOMEM;

	if (text == NULL)
		return -ENOMEM;
	if (question_write(&req->question, req->run->target.host, expect_pid, text) == 0)
		r = conn_send(req->conn, text);
	evbuffer_free(text);
	return r;
}

static int request_take_conn(struct request *req)
{
	struct run *run = req->run;
	int r;

	if (req->pool != NULL)
		r = pool_take(req->pool, &req->conn);
	else
		r = conn_open(run->base, &run->target, &req->conn);
	if (r < 0)
		return r;
	conn_own(req->conn, request_on_event, req);
	req->record.late = (uint32_t)(now_usec() - req->record.intended);
	return 0;
}

/* Goes round again only where a kept connection proves to be closed, which uses that one up. */
static void request_begin(struct request *req)
{
	char cause[96];
	int r;

	while ((r = request_take_conn(req)) == 0 && (r = request_send(req)) == -EPIPE) {
		req->record.raced = true;
		request_release_conn(req, false);
	}
	if (r == -EBUSY) {
		req->waiting = true;
		TAILQ_INSERT_TAIL(&req->pool->waiting, req, wait);
	} else if (r < 0) {
		snprintf(cause, sizeof(cause), "connect: %s", strerror(-r));
		request_end(req, cause, NULL);
	}
}

/* What is left of the time that counts from when the request was due. */
static struct timeval request_time_left(const struct request *req)
{
	uint64_t end = req->record.intended + req->run->opts->timeout;
	uint64_t now = now_usec();

	return usec_timeval(end > now ? end - now : 0);
}

static void request_refuse(struct run *run, struct record *record, const char *cause)
{
	record->late = record->latency = (uint32_t)(now_usec() - record->intended);
	records_add(&run->records, record, cause);
}

static struct record record_of_plan(const struct run *run, const struct request_plan *plan)
{
	return (struct record){
	    .intended = plan->intended,
	    .asked = (uint32_t)(plan->question.ms * USEC_PER_MSEC),
	    .stream = (uint8_t)plan->stream,
	    .phase = run->records.phase,
	    .window = run->records.window,
	    .hang = plan->question.kind == QUESTION_HANG,
	};
}

static struct request *request_new(struct run *run, const struct request_plan *plan)
{
	struct request *req = calloc(1, sizeof(*req));
	struct timeval left;

	if (req == NULL)
		return NULL;
	req->run = run;
	req->question = plan->question;
	req->pool = plan->pool;
	req->record = record_of_plan(run, plan);
	TAILQ_INSERT_TAIL(&run->requests, req, link);
	run->inflight++;
	left = request_time_left(req);
	evtimer_assign(&req->timeout, run->base, request_on_timeout, req);
	event_add(&req->timeout, &left);
	return req;
}

/* Returns whether one more may be sent. */
static bool run_admit(struct run *run)
{
	if (run->stopping)
		return false;
	if (run->sent == run->opts->max_requests) {
		fprintf(stderr, "rpc-load: all %" PRIu64 " requests have been sent; stopping\n",
			run->sent);
		run_stop(run);
		return false;
	}
	return true;
}

void request_start(struct run *run, struct request_plan *plan)
{
	struct request *req = NULL;
	struct record record;
	uint64_t lag;

	if (!run_admit(run)) {
		json_decref(plan->question.params);
		return;
	}
	plan->question.id = ++run->sent;
	records_sent(&run->records);
	lag = now_usec() - plan->intended;
	if (lag > run->lag_max)
		run->lag_max = lag;
	if (run->inflight < run->inflight_max)
		req = request_new(run, plan);
	if (req != NULL) {
		request_begin(req);
		return;
	}
	record = record_of_plan(run, plan);
	request_refuse(run, &record, "never sent: this client has too many in flight");
	json_decref(plan->question.params);
}

void requests_abandon(struct run *run)
{
	struct request *req;

	while ((req = TAILQ_FIRST(&run->requests)) != NULL) {
		/* What waits behind it is not to be sent any more. */
		if (req->pool != NULL)
			req->pool->serving = true;
		request_end(req, "still in flight when this client was interrupted", NULL);
	}
}
