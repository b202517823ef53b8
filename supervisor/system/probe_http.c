/* probe_http.c - GET over HTTP/1.1: the answer's status counts, its body is not read. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "system/probe_internal.h"

static const char protocol_begins[] = "HTTP/1.";

int probe_http_begin(struct probe_talk *talk, const char *path, const char *authority)
{
	int n = asprintf((char **)&talk->request,
			 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: handoverd/" HANDOVER_VERSION
			 "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			 path, authority);

	if (n == -1) {
		talk->request = NULL;
		return -ENOMEM;
	}
	talk->output = talk->request;
	talk->n_output = (size_t)n;
	return 0;
}

/* "HTTP/1.1 204 No Content" */
static bool is_status_line(const char *line)
{
	const char *at = line + sizeof(protocol_begins) - 1;

	return strncmp(line, protocol_begins, sizeof(protocol_begins) - 1) == 0 &&
	       isdigit((unsigned char)at[0]) && at[1] == ' ' && at[2] >= '1' && at[2] <= '5' &&
	       isdigit((unsigned char)at[3]) && isdigit((unsigned char)at[4]) &&
	       (at[5] == ' ' || at[5] == '\0');
}

static void take_status(struct probe_talk *talk)
{
	const char *code = talk->http.line + sizeof(protocol_begins) + 1;

	if (!is_status_line(talk->http.line)) {
		probe_judge(talk, false, "answered something that is no HTTP/1.1: \"%.60s\"",
			    talk->http.line);
		return;
	}
	talk->http.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
	/* kept for the words; they end where the headers end */
	snprintf(talk->text, sizeof(talk->text), "answered %.100s", code);
}

/* The empty line behind the headers. */
static void take_end(struct probe_talk *talk)
{
	int status = talk->http.status;
	char words[PROBE_TEXT_MAX];

	talk->http.status = 0;
	if (status >= 100 && status < 200 && status != 101)
		return; /* an interim answer: the real one follows */
	memcpy(words, talk->text, sizeof(words));
	probe_judge(talk, status >= 200 && status < 400, "%s", words);
}

static void take_line(struct probe_talk *talk)
{
	struct probe_http *http = &talk->http;
	size_t len = http->len < sizeof(http->line) ? http->len : sizeof(http->line) - 1;

	if (len > 0 && http->line[len - 1] == '\r')
		len--;
	http->line[len] = '\0';
	http->len = 0;
	if (http->status == 0)
		take_status(talk);
	else if (len == 0)
		take_end(talk);
}

/* Who speaks no HTTP is not waited for until its line ends, which it may never do. */
static bool can_be_status(const struct probe_http *http)
{
	size_t len = sizeof(protocol_begins) - 1;

	return memcmp(http->line, protocol_begins, http->len < len ? http->len : len) == 0;
}

void probe_http_feed(struct probe_talk *talk, const uint8_t *bytes, size_t len)
{
	struct probe_http *http = &talk->http;

	for (size_t i = 0; i < len && talk->verdict == PROBE_GOES_ON; i++) {
		if (bytes[i] == '\n') {
			take_line(talk);
			continue;
		}
		if (http->len < sizeof(http->line) - 1)
			http->line[http->len] = (char)bytes[i];
		http->len++;
		if (http->status == 0 && !can_be_status(http))
			probe_judge(talk, false, "answered something that is no HTTP/1.1");
	}
}
