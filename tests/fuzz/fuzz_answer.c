/* fuzz_answer.c - what another version's instance, or something else, answers the command line. */
#include "fuzz.h"

#include "cli/api.h"

static void read_all(const char *text, size_t len)
{
	struct api_status status = {.root = NULL};
	struct api_result result = {.root = NULL};
	struct api_event event = {.root = NULL};
	struct api_log log = {.root = NULL};
	cleanup_free long *pids = NULL;
	size_t n = 0;

	if (api_read_status(text, len, &status) == 0)
		FUZZ_RULE(status.state != NULL && status.instance != NULL);
	if (api_read_result(text, len, &result) == 0)
		FUZZ_RULE(result.message != NULL);
	if (api_read_event(text, len, &event) == 0)
		(void)api_is_result(&event);
	if (api_read_log(text, len, &log) == 0)
		FUZZ_RULE(strlen(log.line) <= log.line_len);
	(void)api_read_signalled(text, len, &pids, &n);
	api_status_free(&status);
	api_result_free(&result);
	api_event_free(&event);
	api_log_free(&log);
}

static bool is_ascii(const struct buf *text)
{
	for (size_t i = 0; i < text->len; i++)
		if ((unsigned char)text->data[i] >= 0x7f ||
		    ((unsigned char)text->data[i] < 0x20 && text->data[i] != '\n'))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup_buf struct buf error = {.data = NULL}, copy = {.max = 1 << 24};
	const char *text = (const char *)data;

	read_all(text, len);
	(void)api_read_error(text, len, &error);
	if (api_copy_json(text, len, true, true, &copy) == 0)
		FUZZ_RULE(copy.cut || is_ascii(&copy));
	return 0;
}
