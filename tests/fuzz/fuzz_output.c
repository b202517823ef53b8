/* fuzz_output.c - what workers write: one line of log each, whatever it is, in both formats. */
#include "fuzz.h"

#include <jansson.h>

#include "engine/output_internal.h"

static const struct output output = {
    .pool = (char *)"api", .slot = 2, .generation = 3, .pid = 4711};
static const char tag[] = "api[2] g3 pid 4711: ";

static void check_text(const char *text, size_t len)
{
	char line[OUTPUT_TEXT_MAX];
	size_t n = output_line_format(&output, LOG_FORMAT_TEXT, text, len, line, sizeof(line));

	FUZZ_RULE(n > strlen(tag) && n <= sizeof(line));
	FUZZ_RULE(memcmp(line, tag, strlen(tag)) == 0 && line[n - 1] == '\n');
	FUZZ_RULE(fuzz_is_printable(line, n - 1));
}

static void check_json(const char *text, size_t len)
{
	char line[OUTPUT_TEXT_MAX];
	json_t *object;
	size_t n;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	n = output_line_format(&output, LOG_FORMAT_JSON, text, len, line, sizeof(line));
	FUZZ_RULE(n > 0 && n <= sizeof(line) && line[n - 1] == '\n');
	FUZZ_RULE(memchr(line, '\n', n - 1) == NULL);
	object = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
	FUZZ_RULE(object != NULL && fuzz_is_printable(line, n - 1));
	FUZZ_RULE(json_is_string(json_object_get(object, "message")));
	FUZZ_RULE(json_integer_value(json_object_get(object, "pid")) == 4711);
	json_decref(object);
}

/* A ring gives back the last bytes of what was put into it, in pieces of any length. */
static void check_ring(const char *text, size_t len)
{
	struct ring ring = {.max = 700};
	cleanup_buf struct buf out = {.data = NULL};
	size_t kept = len < ring.max ? len : ring.max;

	for (size_t i = 0, n; i < len; i += n) {
		n = 1 + ((unsigned char)text[i] * 7U) % 900;
		n = n < len - i ? n : len - i;
		ring_add(&ring, text + i, n);
	}
	ring_copy(&ring, &out);
	FUZZ_RULE(out.len == kept);
	FUZZ_RULE(kept == 0 || memcmp(out.data, text + len - kept, kept) == 0);
	buf_reset(&out);
	ring_copy_lines(&ring, 3, &out);
	FUZZ_RULE(out.len <= kept);
	FUZZ_RULE(out.len == 0 || memcmp(out.data, text + len - out.len, out.len) == 0);
	ring_free(&ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	size_t line = len < OUTPUT_LINE_MAX ? len : OUTPUT_LINE_MAX, whole;

	check_ring(text, len);
	whole = output_line_whole(text, line);
	FUZZ_RULE(whole <= line && whole + 3 >= line);
	check_text(text, line);
	check_json(text, line);
	return 0;
}
