/* probe_grpc.c - grpc.health.v1.Health/Check: HTTP/2 is libnghttp2's job, gRPC and its two messages
 * are ours. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/health.h"
#include "system/probe_internal.h"

enum { GRPC_WORD_MAX = 64 };

struct probe_grpc {
	nghttp2_session *session;
	int32_t stream;
	uint8_t request[HEALTH_REQUEST_MAX];
	size_t n_request, sent;
	int status;   /* of HTTP; 0: none yet */
	int64_t code; /* grpc-status; -1: none yet */
	char type[GRPC_WORD_MAX], message[GRPC_WORD_MAX];
	uint8_t answer[HEALTH_ANSWER_MAX];
	size_t n_answer;
	bool too_long, going;
};

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
static const char *code_name(int64_t code)
{
	static const char *const names[] = {
	    "OK",
	    "CANCELLED",
	    "UNKNOWN",
	    "INVALID_ARGUMENT",
	    "DEADLINE_EXCEEDED",
	    "NOT_FOUND",
	    "ALREADY_EXISTS",
	    "PERMISSION_DENIED",
	    "RESOURCE_EXHAUSTED",
	    "FAILED_PRECONDITION",
	    "ABORTED",
	    "OUT_OF_RANGE",
	    "UNIMPLEMENTED",
	    "INTERNAL",
	    "UNAVAILABLE",
	    "DATA_LOSS",
	    "UNAUTHENTICATED",
	};

	return code >= 0 && code < (int64_t)ARRAY_LEN(names) ? names[code] : "an unknown code";
}

static void copy_word(char out[static GRPC_WORD_MAX], const uint8_t *value, size_t len)
{
	snprintf(out, GRPC_WORD_MAX, "%.*s", (int)(len < GRPC_WORD_MAX ? len : GRPC_WORD_MAX - 1),
		 (const char *)value);
}

static int64_t number_of(const uint8_t *value, size_t len)
{
	char text[16];
	uint64_t number;

	if (len >= sizeof(text))
		return INT32_MAX;
	memcpy(text, value, len);
	text[len] = '\0';
	return parse_uint(text, 0, INT32_MAX, &number) == 0 ? (int64_t)number : INT32_MAX;
}

static bool is_name(const uint8_t *name, size_t len, const char *wanted)
{
	return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* ---- what libnghttp2 tells ---- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
	struct probe_talk *talk = arg;
	struct probe_grpc *grpc = talk->grpc;

	(void)session;
	(void)flags;
	if (frame->hd.stream_id != grpc->stream)
		return 0;
	if (is_name(name, n_name, ":status"))
		grpc->status = (int)number_of(value, n_value);
	else if (is_name(name, n_name, "content-type"))
		copy_word(grpc->type, value, n_value);
	else if (is_name(name, n_name, "grpc-status"))
		grpc->code = number_of(value, n_value);
	else if (is_name(name, n_name, "grpc-message"))
		copy_word(grpc->message, value, n_value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		   size_t len, void *arg)
{
	struct probe_grpc *grpc = ((struct probe_talk *)arg)->grpc;

	(void)session;
	(void)flags;
	if (stream != grpc->stream)
		return 0;
	if (len > sizeof(grpc->answer) - grpc->n_answer) {
		grpc->too_long = true;
		return 0;
	}
	memcpy(grpc->answer + grpc->n_answer, data, len);
	grpc->n_answer += len;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct probe_grpc *grpc = ((struct probe_talk *)arg)->grpc;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		grpc->going = true;
	return 0;
}

/* Our own farewell: libnghttp2 gives up on a server that cannot be talked to. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		probe_judge(arg, false, "broke the rules of HTTP/2: %s",
			    nghttp2_http2_strerror(frame->goaway.error_code));
	return 0;
}

static int on_error(nghttp2_session *session, int error, const char *text, size_t len, void *arg)
{
	(void)session;
	(void)text;
	(void)len;
	if (error == NGHTTP2_ERR_SETTINGS_EXPECTED)
		probe_judge(arg, false, "answered something that is no HTTP/2");
	return 0;
}

static void judge_answer(struct probe_talk *talk)
{
	struct probe_grpc *grpc = talk->grpc;
	uint64_t status;
	const char *name;

	if (grpc->too_long || health_read_answer(grpc->answer, grpc->n_answer, &status) < 0) {
		probe_judge(talk, false, "answered with a message that is no HealthCheckResponse");
		return;
	}
	name = health_status_name(status);
	if (name != NULL)
		probe_judge(talk, status == HEALTH_SERVING, "answered %s", name);
	else
		probe_judge(talk, false, "answered with the unknown status %llu",
			    (unsigned long long)status);
}

/* The answer is complete: HTTP first, then gRPC, then health. */
static void judge(struct probe_talk *talk)
{
	const struct probe_grpc *grpc = talk->grpc;

	if (grpc->status != 200)
		probe_judge(talk, false, "answered HTTP status %d, which is no gRPC", grpc->status);
	else if (strncmp(grpc->type, "application/grpc", 16) != 0)
		probe_judge(talk, false, "answered with the content-type '%s', which is no gRPC",
			    grpc->type);
	else if (grpc->code == -1)
		probe_judge(talk, false, "answered without a grpc-status");
	else if (grpc->code == 12)
		probe_judge(talk, false, "answered UNIMPLEMENTED: it has no grpc.health.v1.Health");
	else if (grpc->code != 0)
		probe_judge(talk, false, "answered %s%s%s", code_name(grpc->code),
			    grpc->message[0] != '\0' ? ": " : "", grpc->message);
	else
		judge_answer(talk);
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
	struct probe_talk *talk = arg;

	(void)session;
	if (stream != talk->grpc->stream)
		return 0;
	/* a server may reset a stream behind a complete answer, with NO_ERROR */
	if (error == NGHTTP2_NO_ERROR)
		judge(talk);
	else if (talk->grpc->going)
		probe_judge(talk, false, "sent GOAWAY: it takes no calls");
	else
		probe_judge(talk, false, "refused the call with the HTTP/2 error %s",
			    nghttp2_http2_strerror(error));
	return 0;
}

static ssize_t on_read(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
		       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct probe_grpc *grpc = source->ptr;
	size_t n = grpc->n_request - grpc->sent;

	(void)session;
	(void)stream;
	(void)arg;
	if (n > size)
		n = size;
	memcpy(out, grpc->request + grpc->sent, n);
	grpc->sent += n;
	if (grpc->sent == grpc->n_request)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* ---- the talk ---- */

static int open_session(struct probe_talk *talk)
{
	nghttp2_session_callbacks *callbacks;
	int r;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
	nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	r = nghttp2_session_client_new(&talk->grpc->session, callbacks, talk);
	nghttp2_session_callbacks_del(callbacks);
	return r != 0 ? -ENOMEM : 0;
}

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)name,
			    .value = (uint8_t *)value,
			    .namelen = strlen(name),
			    .valuelen = strlen(value)};
}

static int submit(struct probe_grpc *grpc, const char *authority)
{
	static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	const nghttp2_nv fields[] = {
	    field(":method", "POST"),
	    field(":scheme", "http"),
	    field(":path", "/grpc.health.v1.Health/Check"),
	    field(":authority", authority),
	    field("content-type", "application/grpc"),
	    field("te", "trailers"),
	    field("user-agent", "handoverd/" HANDOVER_VERSION),
	};
	const nghttp2_data_provider body = {.source.ptr = grpc, .read_callback = on_read};

	if (nghttp2_submit_settings(grpc->session, NGHTTP2_FLAG_NONE, settings,
				    ARRAY_LEN(settings)) != 0)
		return -ENOMEM;
	grpc->stream =
	    nghttp2_submit_request(grpc->session, NULL, fields, ARRAY_LEN(fields), &body, NULL);
	return grpc->stream < 0 ? -ENOMEM : 0;
}

int probe_grpc_begin(struct probe_talk *talk, const char *service, const char *authority)
{
	struct probe_grpc *grpc = calloc(1, sizeof(*grpc));
	int r;

	if (grpc == NULL)
		return -ENOMEM;
	talk->grpc = grpc;
	grpc->code = -1;
	grpc->n_request = health_write_request(service, grpc->request);
	r = open_session(talk);
	return r == 0 ? submit(grpc, authority) : r;
}

void probe_grpc_output(struct probe_talk *talk)
{
	ssize_t n = nghttp2_session_mem_send(talk->grpc->session, &talk->output);

	if (n < 0)
		probe_judge(talk, false, "could not be asked: %s", nghttp2_strerror((int)n));
	talk->n_output = n > 0 ? (size_t)n : 0;
}

void probe_grpc_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(talk->grpc->session, bytes, len);

	if (n < 0)
		probe_judge(talk, false, "answered something that is no HTTP/2 (%s)",
			    nghttp2_strerror((int)n));
	/* a server that broke the rules is found out by what we have to say next */
	else if (talk->n_output == 0)
		probe_grpc_output(talk);
}

void probe_grpc_end(struct probe_talk *talk)
{
	if (talk->grpc == NULL)
		return;
	nghttp2_session_del(talk->grpc->session);
	free(talk->grpc);
	talk->grpc = NULL;
}
