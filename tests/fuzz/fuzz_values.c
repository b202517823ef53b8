/* fuzz_values.c - durations, sizes, numbers, signals, booleans: what is taken means one thing. */
#include "fuzz.h"

#include <signal.h>

static const char *const candidates[] = {"drain_timeout", "drain_signal", "command", "x", ""};

static void check_duration(const char *text)
{
	usec_t usec = 4711, again = 0;
	int r = parse_duration(text, &usec);
	char said[DURATION_TEXT_MAX], small[4];

	FUZZ_RULE(r == 0 || ((r == -EINVAL || r == -ERANGE) && usec == 4711));
	if (r < 0)
		return;
	parse_format_duration(usec, said, sizeof(said));
	parse_format_duration(usec, small, sizeof(small));
	FUZZ_RULE(strlen(said) < sizeof(said) - 1 && strlen(small) < sizeof(small));
	/* People are told two units, or three digits: always less than it was, and not much. */
	FUZZ_RULE(parse_duration(said, &again) == 0);
	FUZZ_RULE(again <= usec && usec - again <= usec / 20);
}

static void check_signal(const char *text)
{
	int sig = 4711, again = 0, r = parse_signal(text, &sig);

	FUZZ_RULE(r == 0 || ((r == -EINVAL || r == -ERANGE) && sig == 4711));
	if (r < 0)
		return;
	FUZZ_RULE(sig >= 1 && sig <= SIGRTMAX);
	r = parse_signal(parse_signal_name(sig), &again);
	/* The C library keeps the two below SIGRTMIN for itself, so they have no name. */
	FUZZ_RULE(r == 0 ? again == sig : sig < SIGRTMIN && sigabbrev_np(sig) == NULL);
}

static void check_numbers(const char *text)
{
	uint64_t number = 4711, bytes = 4711;
	unsigned octal = 4711, percent = 4711;
	char decimal[24];

	if (parse_uint(text, 5, 10000000000, &number) == 0) {
		snprintf(decimal, sizeof(decimal), "%llu", (unsigned long long)number);
		FUZZ_RULE(number >= 5 && number <= 10000000000);
		FUZZ_RULE(strcmp(text + strspn(text, "0"), decimal) == 0);
	} else {
		FUZZ_RULE(number == 4711);
	}
	FUZZ_RULE(parse_octal(text, &octal) == 0 ? octal <= 07777 : octal == 4711);
	FUZZ_RULE(parse_percent(text, &percent) == 0 ? percent <= 10000 : percent == 4711);
	if (parse_size(text, &bytes) < 0)
		FUZZ_RULE(bytes == 4711);
	else
		FUZZ_RULE(bytes != UINT64_MAX || strcmp(text, "infinity") == 0);
}

static void check_text(const char *text)
{
	const char *near = parse_suggest(text, candidates, ARRAY_LEN(candidates));
	size_t len = strlen(text);
	bool value = false;

	FUZZ_RULE(parse_bool(text, &value) == 0 || !value);
	FUZZ_RULE(near == NULL || strlen(near) <= len + 3);
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++)
		if (strcmp(text, candidates[i]) == 0)
			FUZZ_RULE(near == candidates[i]);
	FUZZ_RULE(parse_utf8(text, len) <= (len < 4 ? len : 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup_free char *text = fuzz_string(data, len);

	check_duration(text);
	check_signal(text);
	check_numbers(text);
	check_text(text);
	return 0;
}
