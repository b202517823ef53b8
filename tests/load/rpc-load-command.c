/* Commands on standard input. */
#include "rpc-load-command.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc-load-files.h"
#include "rpc-load-request.h"
#include "rpc-load-run.h"
#include "rpc-load-say.h"
#include "rpc-load-util.h"

#define LINE_MAX_BYTES (64 * 1024)

struct command_input {
	struct run *run;
	struct event *readable;
	struct evbuffer *buffer;
};

struct command {
	const char *name;
	const char *usage;
	/* `rest`: what comes after the name. Returns whether it could be understood and done. */
	bool (*run)(struct run *run, char *rest);
};

static char *next_word(char **rest)
{
	char *word;

	do {
		word = strsep(rest, " \t");
	} while (word != NULL && word[0] == '\0');
	return word;
}

static bool command_phase(struct run *run, char *rest)
{
	return records_set_phase(&run->records, rest) == 0;
}

static bool command_window(struct run *run, char *rest)
{
	bool on = strcmp(rest, "on") == 0;

	if (!on && strcmp(rest, "off") != 0)
		return false;
	records_set_window(&run->records, on);
	return true;
}

static bool command_killed(struct run *run, char *rest)
{
	char *pid_text = next_word(&rest);
	char *time_text = next_word(&rest);
	uint64_t pid, time = 0;

	if (pid_text == NULL || next_word(&rest) != NULL ||
	    parse_u64(pid_text, INT32_MAX, &pid) < 0 || pid == 0)
		return false;
	if (time_text != NULL && parse_u64(time_text, UINT64_MAX / 2, &time) < 0)
		return false;
	return marks_add(&run->marks, (pid_t)pid, time) == 0;
}

static bool command_hang(struct run *run, char *rest)
{
	struct request_plan plan = {
	    .question = {.kind = QUESTION_HANG}, .stream = STREAM_HANG, .intended = now_usec()};

	if (rest[0] != '\0')
		return false;
	request_start(run, &plan);
	return true;
}

static bool command_call(struct run *run, char *rest)
{
	struct request_plan plan = {
	    .question = {.kind = QUESTION_CALL}, .stream = STREAM_CALL, .intended = now_usec()};
	struct question *question = &plan.question;
	const char *method = next_word(&rest);

	if (method == NULL || strlen(method) >= sizeof(question->method))
		return false;
	strcpy(question->method, method);
	if (rest != NULL && rest[0] != '\0') {
		question->params = json_loads(rest, 0, NULL);
		if (question->params == NULL)
			return false;
	}
	request_start(run, &plan);
	return true;
}

static bool command_stats(struct run *run, char *rest)
{
	if (rest[0] != '\0')
		return false;
	say_json(stats_json(run));
	return true;
}

static bool command_quit(struct run *run, char *rest)
{
	if (rest[0] != '\0')
		return false;
	run_stop(run);
	return true;
}

static const struct command command_table[] = {
    {"phase", "phase NAME, at most 31 characters and 64 of them", command_phase},
    {"window", "window on|off", command_window},
    {"killed", "killed PID [MONOTONIC_USEC], at most 1024 of them", command_killed},
    {"hang", "hang", command_hang},
    {"call", "call METHOD [JSON]", command_call},
    {"stats", "stats", command_stats},
    {"quit", "quit", command_quit},
};

static void command_run(struct run *run, char *line)
{
	char *rest = line;
	const char *name = next_word(&rest);
	char none[] = "";

	if (name == NULL)
		return; /* an empty line */
	for (size_t i = 0; i < sizeof(command_table) / sizeof(command_table[0]); i++) {
		const struct command *command = &command_table[i];

		if (strcmp(name, command->name) != 0)
			continue;
		if (!command->run(run, rest != NULL ? rest : none))
			fprintf(stderr, "rpc-load: command %s not done; it is: %s\n", name,
				command->usage);
		return;
	}
	fprintf(stderr, "rpc-load: there is no command %s; see --help\n", name);
}

static void commands_run_lines(struct command_input *input)
{
	char *line;

	while ((line = evbuffer_readln(input->buffer, NULL, EVBUFFER_EOL_LF)) != NULL) {
		command_run(input->run, line);
		free(line);
	}
	if (evbuffer_get_length(input->buffer) > LINE_MAX_BYTES) {
		fprintf(stderr, "rpc-load: a command of more than %d bytes is ignored\n",
			LINE_MAX_BYTES);
		evbuffer_drain(input->buffer, evbuffer_get_length(input->buffer));
	}
}

/* Nobody is there any more who could say `quit`. */
static void commands_end(struct command_input *input)
{
	event_del(input->readable);
	if (input->run->opts->duration == 0)
		run_stop(input->run);
}

/* Returns whether there may be more. */
static bool commands_read(struct command_input *input)
{
	int n = evbuffer_read(input->buffer, STDIN_FILENO, LINE_MAX_BYTES);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	commands_run_lines(input);
	return true;
}

static void commands_on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	if (!commands_read(arg))
		commands_end(arg);
}

/* A file or /dev/null cannot be waited for, and need not be. */
static bool stdin_is_waited_for(void)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) == -1)
		return false;
	return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDIN_FILENO);
}

int commands_start(struct run *run, struct command_input **ret)
{
	struct command_input *input = calloc(1, sizeof(*input));

	if (input == NULL)
		return -ENOMEM;
	input->run = run;
	input->buffer = evbuffer_new();
	input->readable =
	    event_new(run->base, STDIN_FILENO, EV_READ | EV_PERSIST, commands_on_readable, input);
	if (input->buffer == NULL || input->readable == NULL) {
		commands_free(input);
		return -ENOMEM;
	}
	if (!stdin_is_waited_for() || event_add(input->readable, NULL) != 0) {
		while (commands_read(input))
			continue;
		commands_end(input);
	}
	*ret = input;
	return 0;
}

void commands_free(struct command_input *input)
{
	if (input == NULL)
		return;
	if (input->readable != NULL)
		event_free(input->readable);
	if (input->buffer != NULL)
		evbuffer_free(input->buffer);
	free(input);
}
