/* fuzz_environment.c - environment files: all of one or nothing, and only variables come out. */
#include "fuzz.h"

#include "system/config.h"

static void check_variable(const char *text)
{
	size_t len =
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	FUZZ_RULE(len > 0 && text[len] == '=');
	FUZZ_RULE(strncmp(text, "LISTEN_", 7) != 0 && strncmp(text, "HANDOVER_", 9) != 0 &&
		  strncmp(text, "NOTIFY_SOCKET=", 14) != 0 && strncmp(text, "WATCHDOG_", 9) != 0);
}

static void check_list(char **list, size_t n)
{
	FUZZ_RULE(n >= 1 && strcmp(list[0], "BEFORE=1") == 0);
	for (size_t i = 0; i < n; i++)
		check_variable(list[i]);
	FUZZ_RULE(list[n] == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char path[64];
	static int fd = -1;
	char **list = calloc(2, sizeof(*list));
	cleanup_free char *error = NULL;
	size_t n = 1;
	int r;

	FUZZ_RULE(list != NULL);
	if (fd < 0)
		fd = fuzz_file(path);
	fuzz_fill(fd, data, len);
	list[0] = strdup("BEFORE=1");
	r = config_read_environment_file(path, &list, &n, &error);
	FUZZ_RULE((r < 0) == (error != NULL));
	FUZZ_RULE(r == 0 || n == 1);
	FUZZ_RULE(error == NULL || fuzz_is_printable(error, strlen(error)) || r == -ENOMEM);
	check_list(list, n);
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return 0;
}
