/* cli.c - what all commands share: sentences, the deadline, one question with one answer. */
#include "cli/cli.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "cli/api.h"

__attribute__((format(printf, 3, 0))) static void say(struct term *term, const char *prefix,
						      const char *format, va_list args)
{
	cleanup_buf struct buf line = {0};
	size_t from = strlen(prefix);

	buf_add_str(&line, prefix);
	buf_vprintf(&line, format, args);
	term_clean_tail(term, &line, from);
	buf_add_str(&line, "\n");
	term_write_buf(term, &line);
}

void cli_error(struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(&cli->err, "handover: ", format, args);
	va_end(args);
}

void cli_say(struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(&cli->out, "", format, args);
	va_end(args);
}

const char *cli_hint(struct cli *cli, const char *rest, struct buf *buf)
{
	buf_reset(buf);
	buf_add_str(buf, "handover ");
	if (cli->options.socket != NULL)
		buf_printf(buf, "-c %s ", cli->options.socket);
	else if (cli->options.instance != NULL)
		buf_printf(buf, "-i %s ", cli->options.instance);
	buf_add_str(buf, rest);
	return buf->data != NULL ? buf->data : rest;
}

void cli_set_deadline(struct cli *cli, usec_t default_timeout)
{
	if (!cli->options.timeout_set)
		cli->options.timeout = default_timeout;
	cli->deadline = usec_add(clock_now(), cli->options.timeout);
}

int cli_timed_out(struct cli *cli)
{
	cli_error(cli, "timed out: instance %s did not answer within %s", cli->instance.name,
		  DURATION_TEXT(cli->options.timeout));
	return CLI_TIMED_OUT;
}

/* The group that may, in words; also whether our user was put into it too late for this login. */
static void name_group(struct buf *out, gid_t gid, bool *ret_listed)
{
	const struct group *group = getgrgid(gid);
	const struct passwd *user = getpwuid(geteuid());

	*ret_listed = false;
	if (group == NULL) {
		buf_printf(out, "%u", (unsigned)gid);
		return;
	}
	buf_add_str(out, group->gr_name);
	for (char **member = group->gr_mem; user != NULL && *member != NULL; member++)
		*ret_listed |= strcmp(*member, user->pw_name) == 0;
}

static void name_user(struct buf *out, uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	if (user != NULL)
		buf_add_str(out, user->pw_name);
	else
		buf_printf(out, "uid %u", (unsigned)uid);
}

int cli_explain_denied(struct cli *cli, const char *socket_path)
{
	cleanup_buf struct buf who = {0};
	cleanup_buf struct buf me = {0};
	cleanup_buf struct buf group = {0};
	cleanup_free char *directory = strdup(socket_path);
	struct stat st;
	bool listed = false;
	bool open;

	name_user(&me, geteuid());
	if (stat(socket_path, &st) == 0) {
		open = (st.st_mode & S_IWGRP) != 0;
	} else {
		/* the directory is closed to us */
		if (directory != NULL && strrchr(directory, '/') != NULL)
			*strrchr(directory, '/') = '\0';
		if (directory == NULL || stat(directory, &st) == -1) {
			cli_error(cli, "no permission to connect to %s (you are %s)", socket_path,
				  me.data);
			return CLI_FAILED;
		}
		open = (st.st_mode & S_IXGRP) != 0;
	}
	name_user(&who, st.st_uid);
	if (st.st_uid != 0)
		buf_add_str(&who, ", root");
	name_group(&group, st.st_gid, &listed);
	if (open && listed)
		cli_error(cli,
			  "no permission to connect to %s: %s is in group %s, but this login began "
			  "before that; log in again "
			  "or run `newgrp %s`",
			  socket_path, me.data, group.data, group.data);
	else if (open)
		cli_error(cli,
			  "no permission to connect to %s: %s and the members of group %s may (you "
			  "are %s); the group is "
			  "'operator_group' in the configuration",
			  socket_path, who.data, group.data, me.data);
	else
		cli_error(cli,
			  "no permission to connect to %s: only %s may (you are %s); "
			  "'operator_group' in the configuration "
			  "names a group that may as well",
			  socket_path, who.data, me.data);
	return CLI_FAILED;
}

/* The connection failed or broke: why, and what that means for the exit status. */
static int explain_transport(struct cli *cli, const struct request *request)
{
	switch (request_error(request)) {
	case -ECONNREFUSED:
	case -ENOENT:
		cli_error(cli, "instance %s has gone: nobody listens on %s", cli->instance.name,
			  cli->instance.socket);
		return CLI_NO_INSTANCE;
	case -EACCES:
	case -EPERM:
		return cli_explain_denied(cli, cli->instance.socket);
	case -ECONNRESET:
		cli_error(cli, "instance %s ended the connection before its answer was complete",
			  cli->instance.name);
		return CLI_FAILED;
	case -EMSGSIZE:
		cli_error(cli, "the answer of instance %s is too large to be true",
			  cli->instance.name);
		return CLI_FAILED;
	case -ENOMEM:
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	default:
		cli_error(cli, "what listens on %s does not answer as an instance does: %s",
			  cli->instance.socket, request_problem(request));
		return CLI_FAILED;
	}
}

int cli_explain(struct cli *cli, const struct request *request)
{
	const struct buf *body = request_body(request);
	cleanup_buf struct buf text = {0};
	cleanup_buf struct buf copy = {.max = CLIENT_BODY_MAX};
	long status = request_status(request);

	if (request_error(request) != 0)
		return explain_transport(cli, request);
	if (status >= 200 && status < 300)
		return CLI_DONE;
	if (!api_read_error(body->data, body->len, &text) || text.len == 0)
		buf_printf(&text, "instance %s refused with HTTP status %ld and gave no reason",
			   cli->instance.name, status);
	else if (cli->options.json &&
		 api_copy_json(body->data, body->len, false, cli->out.tty, &copy) == 0)
		term_write_buf(&cli->out, &copy);
	cli_error(cli, "%s", text.data);
	return CLI_FAILED;
}

/* Turns until the request is done or the time is up. */
static int await(struct cli *cli, struct request *request)
{
	while (!request_is_done(request)) {
		if (clock_now() >= cli->deadline)
			return cli_timed_out(cli);
		if (client_turn(cli->client, cli->deadline, -1) < 0) {
			cli_error(cli, "cannot wait for the instance's answer");
			return CLI_FAILED;
		}
	}
	return cli_explain(cli, request);
}

int cli_query(struct cli *cli, const char *path, const char *body, struct buf *ret_body)
{
	struct request *request = client_start(cli->client, path, body, NULL, NULL);
	const struct buf *answer;
	int code;

	if (request == NULL) {
		cli_error(cli, "out of memory");
		return CLI_FAILED;
	}
	code = await(cli, request);
	answer = request_body(request);
	ret_body->max = CLIENT_BODY_MAX;
	if (code == CLI_DONE && answer->len > 0)
		buf_add(ret_body, answer->data, answer->len);
	request_free(request);
	return code;
}

int cli_not_understood(struct cli *cli)
{
	cli_error(cli, "the answer of instance %s cannot be understood", cli->instance.name);
	return CLI_FAILED;
}

void cli_show_json(struct cli *cli, const struct buf *answer)
{
	cleanup_buf struct buf copy = {.max = CLIENT_BODY_MAX};

	if (api_copy_json(answer->data, answer->len, cli->out.tty, cli->out.tty, &copy) == 0)
		term_write_buf(&cli->out, &copy);
}
