/* test_probe.c - what servers answer to a probe, and what is made of it; good ones, and ones that
 * lie. */
#include "unit.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "base/fd.h"
#include "system/probe.h"

/* Feeds an answer in pieces of `step` bytes, then the end of the connection. */
static enum probe_verdict feed(struct probe_talk *talk, const void *bytes, size_t len, size_t step)
{
	enum probe_verdict verdict = PROBE_GOES_ON;

	for (size_t i = 0; i < len && verdict == PROBE_GOES_ON; i += step)
		verdict = probe_talk_feed(talk, (const uint8_t *)bytes + i,
					  len - i < step ? len - i : step);
	return verdict == PROBE_GOES_ON ? probe_talk_feed(talk, NULL, 0) : verdict;
}

/* ---- HTTP ---- */

static const struct {
	const char *answer;
	bool passed;
	const char *text;
} rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, "answered 200 OK"},
    {"HTTP/1.0 204 \r\n\r\n", true, "answered 204 "},
    {"HTTP/1.1 399\n\n", true, "answered 399"},
    {"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", true, "answered 302 Found"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
     "OK\r\n\r\n",
     true, "answered 200 OK"},
    {"HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nno", false,
     "answered 503 Service Unavailable"},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", false, "answered 400 Bad Request"},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, "answered 101 Switching Protocols"},
    {"HTTP/1.1 500 a\033[31m\377b\r\n\r\n", false, "answered 500 a?[31m?b"},
    {"HTTP/1.1 600 OK\r\n\r\n", false,
     "answered something that is no HTTP/1.1: \"HTTP/1.1 600 OK\""},
    {"HTTP/1.1 2000 OK\r\n\r\n", false,
     "answered something that is no HTTP/1.1: \"HTTP/1.1 2000 OK\""},
    {"HTTP/1.1  200 OK\r\n\r\n", false,
     "answered something that is no HTTP/1.1: \"HTTP/1.1  200 OK\""},
    {"HTTP/1.1\r\n\r\n", false, "answered something that is no HTTP/1.1: \"HTTP/1.1\""},
    {"HTTP/1.\n\n", false, "answered something that is no HTTP/1.1: \"HTTP/1.\""},
    {"HTTP/2 200\r\n\r\n", false, "answered something that is no HTTP/1.1"},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", false, "answered something that is no HTTP/1.1"},
    {"\nHTTP/1.1 200 OK\r\n\r\n", false, "answered something that is no HTTP/1.1: \"\""},
    {"SSH-2.0-OpenSSH_9.2p1", false, "answered something that is no HTTP/1.1"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false, "closed the connection in mid-answer"},
    {"HTTP/1.1 200 OK", false, "closed the connection in mid-answer"},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, "closed the connection in mid-answer"},
    {"", false, "closed the connection without an answer"},
};

static struct probe_talk *talk_new(enum probe_protocol protocol, const char *what)
{
	struct probe_talk *talk = NULL;

	assert_int_equal(probe_talk_new(protocol, what, "localhost", &talk), 0);
	return talk;
}

static void test_http_answers(void **state)
{
	static const size_t steps[] = {1, 7, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
			struct probe_talk *talk = talk_new(PROBE_HTTP, "/");
			enum probe_verdict verdict =
			    feed(talk, rows[i].answer, strlen(rows[i].answer), steps[s]);

			if (verdict != (rows[i].passed ? PROBE_PASSED : PROBE_FAILED) ||
			    strcmp(probe_talk_text(talk), rows[i].text) != 0)
				fail_msg("row %zu: verdict %d, %s", i, (int)verdict,
					 probe_talk_text(talk));
			probe_talk_free(talk);
		}
}

static void test_http_request(void **state)
{
	static const char wanted[] = "GET /health?x=1 HTTP/1.1\r\nHost: localhost\r\n";
	struct probe_talk *talk = talk_new(PROBE_HTTP, "/health?x=1");
	const uint8_t *bytes;
	size_t n = probe_talk_output(talk, &bytes);

	(void)state;
	assert_true(n > sizeof(wanted));
	assert_memory_equal(bytes, wanted, sizeof(wanted) - 1);
	assert_memory_equal(bytes + n - 4, "\r\n\r\n", 4);
	probe_talk_sent(talk, 4);
	assert_int_equal(probe_talk_output(talk, &bytes), n - 4);
	assert_memory_equal(bytes, "/health", 7);
	probe_talk_sent(talk, n - 4);
	assert_int_equal(probe_talk_output(talk, &bytes), 0);
	probe_talk_free(talk);
}

/* Headers without an end, in one line or in many; interim answers without an end. */
static void test_http_endless(void **state)
{
	static const char *const more[] = {"x", "A: b\r\n", "\r\nHTTP/1.1 100 Continue\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		struct probe_talk *talk = talk_new(PROBE_HTTP, "/");
		const char *begin = "HTTP/1.1 100 Continue\r\n";
		enum probe_verdict verdict =
		    probe_talk_feed(talk, (const uint8_t *)begin, strlen(begin));
		size_t sent = 0;

		for (; verdict == PROBE_GOES_ON; sent += strlen(more[i])) {
			assert_true(sent <= PROBE_ANSWER_MAX);
			verdict = probe_talk_feed(talk, (const uint8_t *)more[i], strlen(more[i]));
		}
		assert_int_equal(verdict, PROBE_FAILED);
		assert_string_equal(probe_talk_text(talk),
				    "answered with more than 16 KiB and no end");
		probe_talk_free(talk);
	}
}

static void test_first_verdict_stands(void **state)
{
	struct probe_talk *talk = talk_new(PROBE_HTTP, "/");
	const char *good = "HTTP/1.1 200 OK\r\n\r\n", *bad = "HTTP/1.1 500 no\r\n\r\n";
	const uint8_t *bytes;

	(void)state;
	probe_talk_feed(talk, (const uint8_t *)good, strlen(good));
	assert_int_equal(probe_talk_feed(talk, (const uint8_t *)bad, strlen(bad)), PROBE_PASSED);
	assert_int_equal(probe_talk_feed(talk, NULL, 0), PROBE_PASSED);
	assert_string_equal(probe_talk_text(talk), "answered 200 OK");
	assert_int_equal(probe_talk_output(talk, &bytes), 0);
	probe_talk_free(talk);
}

/* ---- gRPC: against a server of libnghttp2's ---- */

struct server {
	nghttp2_session *session;
	const char *status, *type, *code, *message; /* NULL: not sent */
	const char *body;
	size_t n_body, sent;
	uint8_t request[512];
	size_t n_request;
	uint32_t reset; /* an HTTP/2 error to answer with; 0: none */
	bool goaway, deaf;
	int32_t stream;
};

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct server *server = arg;
	nghttp2_nv trailers[2];
	size_t n = server->n_body - server->sent, n_trailers = 0;

	(void)source;
	if (n > size)
		n = size;
	memcpy(out, server->body + server->sent, n);
	server->sent += n;
	if (server->sent < server->n_body)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (server->code == NULL)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	trailers[n_trailers++] = field("grpc-status", server->code);
	if (server->message != NULL)
		trailers[n_trailers++] = field("grpc-message", server->message);
	nghttp2_submit_trailer(session, stream, trailers, n_trailers);
	return (ssize_t)n;
}

static void answer(struct server *server, int32_t stream)
{
	const nghttp2_data_provider body = {.read_callback = read_body};
	nghttp2_nv fields[4];
	size_t n = 0;

	if (server->goaway) {
		nghttp2_submit_goaway(server->session, 0, 0, NGHTTP2_NO_ERROR, NULL, 0);
		return;
	}
	if (server->reset != 0) {
		nghttp2_submit_rst_stream(server->session, 0, stream, server->reset);
		return;
	}
	fields[n++] = field(":status", server->status);
	if (server->type != NULL)
		fields[n++] = field("content-type", server->type);
	if (server->body == NULL && server->code != NULL)
		fields[n++] = field("grpc-status", server->code);
	if (server->body == NULL && server->message != NULL)
		fields[n++] = field("grpc-message", server->message);
	nghttp2_submit_response(server->session, stream, fields, n,
				server->body != NULL ? &body : NULL);
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct server *server = arg;

	(void)session;
	if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
	    !server->deaf)
		answer(server, frame->hd.stream_id);
	return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
		     size_t len, void *arg)
{
	struct server *server = arg;

	(void)session;
	(void)flags;
	(void)stream;
	assert_true(server->n_request + len <= sizeof(server->request));
	memcpy(server->request + server->n_request, data, len);
	server->n_request += len;
	return 0;
}

static void server_open(struct server *server)
{
	nghttp2_session_callbacks *callbacks;

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	assert_int_equal(nghttp2_session_server_new(&server->session, callbacks, server), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(server->session, 0, NULL, 0), 0);
}

/* Carries bytes to and fro until there is a verdict, or silence. */
static enum probe_verdict converse(struct probe_talk *talk, struct server *server, size_t step)
{
	enum probe_verdict verdict = PROBE_GOES_ON;
	const uint8_t *bytes;
	size_t moved;
	ssize_t n;

	do {
		moved = probe_talk_output(talk, &bytes);
		if (moved > step)
			moved = step;
		if (moved > 0) {
			assert_int_equal(nghttp2_session_mem_recv(server->session, bytes, moved),
					 moved);
			probe_talk_sent(talk, moved);
		}
		n = nghttp2_session_mem_send(server->session, &bytes);
		assert_true(n >= 0);
		for (size_t i = 0; i < (size_t)n && verdict == PROBE_GOES_ON; i += step)
			verdict = probe_talk_feed(talk, bytes + i,
						  (size_t)n - i < step ? (size_t)n - i : step);
	} while (verdict == PROBE_GOES_ON && (moved > 0 || n > 0));
	return verdict;
}

#define GRPC	"application/grpc"
#define BODY(x) .body = (x), .n_body = sizeof(x) - 1
#define NO_BODY .body = NULL
#define ANSWER(status_, type_, code_, message_, ...)                                              \
	{                                                                                         \
		.status = status_, .type = type_, .code = code_, .message = message_, __VA_ARGS__ \
	}
#define SERVING BODY("\0\0\0\0\2\x08\1")

static const struct {
	struct server server;
	enum probe_verdict verdict;
	const char *text;
} grpc_rows[] = {
    {ANSWER("200", GRPC, "0", NULL, SERVING), PROBE_PASSED, "answered SERVING"},
    {ANSWER("200", GRPC "+proto", "0", "", SERVING), PROBE_PASSED, "answered SERVING"},
    {ANSWER("200", GRPC, "0", NULL, BODY("\0\0\0\0\2\x08\2")), PROBE_FAILED,
     "answered NOT_SERVING"},
    {ANSWER("200", GRPC, "0", NULL, BODY("\0\0\0\0\0")), PROBE_FAILED, "answered UNKNOWN"},
    {ANSWER("200", GRPC, "0", NULL, BODY("\0\0\0\0\2\x08\x09")), PROBE_FAILED,
     "answered with the unknown status 9"},
    {ANSWER("200", GRPC, "0", NULL, BODY("\0\0\0\0\3\x08\1")), PROBE_FAILED,
     "answered with a message that is no HealthCheckResponse"},
    {ANSWER("200", GRPC, "0", NULL, NO_BODY), PROBE_FAILED,
     "answered with a message that is no HealthCheckResponse"},
    {ANSWER("200", GRPC, "5", "unknown service", NO_BODY), PROBE_FAILED,
     "answered NOT_FOUND: unknown service"},
    {ANSWER("200", GRPC, "5", NULL, SERVING), PROBE_FAILED, "answered NOT_FOUND"},
    {ANSWER("200", GRPC, "12", "unknown method", NO_BODY), PROBE_FAILED,
     "answered UNIMPLEMENTED: it has no grpc.health.v1.Health"},
    {ANSWER("200", GRPC, "77", NULL, NO_BODY), PROBE_FAILED, "answered an unknown code"},
    {ANSWER("200", GRPC, "-1", NULL, SERVING), PROBE_FAILED, "answered an unknown code"},
    {ANSWER("200", GRPC, NULL, NULL, SERVING), PROBE_FAILED, "answered without a grpc-status"},
    {ANSWER("200", "text/html", "0", NULL, SERVING), PROBE_FAILED,
     "answered with the content-type 'text/html', which is no gRPC"},
    {ANSWER("200", NULL, "0", NULL, SERVING), PROBE_FAILED,
     "answered with the content-type '', which is no gRPC"},
    {ANSWER("404", "text/plain", NULL, NULL, BODY("not here")), PROBE_FAILED,
     "answered HTTP status 404, which is no gRPC"},
    {{.status = "200", .reset = NGHTTP2_REFUSED_STREAM},
     PROBE_FAILED,
     "refused the call with the HTTP/2 error REFUSED_STREAM"},
    {{.status = "200", .goaway = true}, PROBE_FAILED, "sent GOAWAY: it takes no calls"},
    {{.status = "200", .deaf = true}, PROBE_GOES_ON, ""},
};

static void test_grpc_answers(void **state)
{
	static const size_t steps[] = {1, 13, 100000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(grpc_rows); i++)
		for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
			struct server server = grpc_rows[i].server;
			struct probe_talk *talk = talk_new(PROBE_GRPC, "svc");
			enum probe_verdict verdict;

			server_open(&server);
			verdict = converse(talk, &server, steps[s]);
			if (verdict != grpc_rows[i].verdict ||
			    strcmp(probe_talk_text(talk), grpc_rows[i].text) != 0)
				fail_msg("row %zu step %zu: verdict %d, %s", i, steps[s],
					 (int)verdict, probe_talk_text(talk));
			if (server.n_request != 5 + 5)
				fail_msg("row %zu: request of %zu bytes", i, server.n_request);
			assert_memory_equal(server.request, "\0\0\0\0\5\x0a\3svc", 10);
			nghttp2_session_del(server.session);
			probe_talk_free(talk);
		}
}

static void test_grpc_longer_than_a_message(void **state)
{
	static char body[3000] = {[3] = 0x0b, [4] = 0xb3};
	struct server server = {
	    .status = "200", .type = GRPC, .code = "0", .body = body, .n_body = sizeof(body)};
	struct probe_talk *talk = talk_new(PROBE_GRPC, "");

	(void)state;
	server_open(&server);
	assert_int_equal(converse(talk, &server, 100000), PROBE_FAILED);
	assert_string_equal(probe_talk_text(talk),
			    "answered with a message that is no HealthCheckResponse");
	nghttp2_session_del(server.session);
	probe_talk_free(talk);
}

static void test_grpc_rubbish(void **state)
{
	static const char *const answers[] = {
	    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1\r\n",
	    "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct probe_talk *talk = talk_new(PROBE_GRPC, "");

		assert_int_equal(feed(talk, answers[i], strlen(answers[i]), 3), PROBE_FAILED);
		assert_string_equal(probe_talk_text(talk), "answered something that is no HTTP/2");
		probe_talk_free(talk);
	}
}

/* Answers that go on for ever without getting anywhere: pings. */
static void test_grpc_endless(void **state)
{
	static const uint8_t settings[9] = {0, 0, 0, 4}, ping[17] = {0, 0, 8, 6};
	struct probe_talk *talk = talk_new(PROBE_GRPC, "");
	enum probe_verdict verdict = probe_talk_feed(talk, settings, sizeof(settings));
	const uint8_t *bytes;
	size_t n = 0;

	(void)state;
	for (; verdict == PROBE_GOES_ON; n += sizeof(ping)) {
		assert_true(n <= PROBE_ANSWER_MAX);
		verdict = probe_talk_feed(talk, ping, sizeof(ping));
		while (probe_talk_output(talk, &bytes) > 0)
			probe_talk_sent(talk, probe_talk_output(talk, &bytes));
	}
	assert_int_equal(verdict, PROBE_FAILED);
	probe_talk_free(talk);
}

/* ---- whatever comes ---- */

/* Right answers with bytes changed: a verdict at the latest at the end, and printable words. */
static void test_random_answers(void **state)
{
	uint64_t seed = unit_seed();

	(void)state;
	for (int i = 0; i < unit_rounds(20000); i++) {
		const char *from = rows[unit_random(&seed, ARRAY_LEN(rows))].answer;
		size_t len = strlen(from);
		char bytes[512];
		struct probe_talk *talk =
		    talk_new(unit_random(&seed, 4) == 0 ? PROBE_GRPC : PROBE_HTTP, "/");

		memcpy(bytes, from, len);
		for (uint32_t n = unit_random(&seed, 4); len > 0 && n > 0; n--)
			bytes[unit_random(&seed, (uint32_t)len)] = (char)unit_random(&seed, 256);
		assert_int_not_equal(feed(talk, bytes, len, 1 + unit_random(&seed, 40)),
				     PROBE_GOES_ON);
		for (const char *c = probe_talk_text(talk); *c != '\0'; c++)
			assert_true(*c >= ' ' && *c <= '~');
		probe_talk_free(talk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_http_answers),
	    cmocka_unit_test(test_http_request),
	    cmocka_unit_test(test_http_endless),
	    cmocka_unit_test(test_first_verdict_stands),
	    cmocka_unit_test(test_grpc_answers),
	    cmocka_unit_test(test_grpc_longer_than_a_message),
	    cmocka_unit_test(test_grpc_rubbish),
	    cmocka_unit_test(test_grpc_endless),
	    cmocka_unit_test(test_random_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
