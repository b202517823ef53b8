/* cmd_plan.c - `handover plan`: what would reload --changed do now? */
#include <string.h>

#include "base/fd.h"
#include "cli/api_plan.h"
#include "cli/cli.h"
#include "cli/commands.h"

static bool is_kept(const struct api_planned *planned)
{
	return strcmp(planned->action, "keep") == 0;
}

static void tell_planned(struct cli *cli, const char *what, const struct api_planned *list,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_kept(&list[i]) && !cli->options.verbose)
			continue;
		if (list[i].slot >= 0)
			cli_say(cli, "%s %s/%ld: %s", what, list[i].name, list[i].slot,
				list[i].message);
		else
			cli_say(cli, "%s %s: %s", what, list[i].name, list[i].message);
	}
}

static void tell_problems(struct cli *cli, const struct api_plan *plan)
{
	for (size_t i = 0; i < plan->n_problems; i++)
		cli_say(cli, "%s:%ld: %s%s", plan->problems[i].file, plan->problems[i].line,
			plan->problems[i].warning ? "warning: " : "", plan->problems[i].text);
}

static void tell(struct cli *cli, const struct api_plan *plan)
{
	tell_problems(cli, plan);
	for (size_t i = 0; i < plan->n_remarks; i++)
		cli_say(cli, "%s", plan->remarks[i]);
	tell_planned(cli, "socket", plan->sockets, plan->n_sockets);
	tell_planned(cli, "pool", plan->pools, plan->n_pools);
	if (plan->settings[0] != '\0')
		cli_say(cli, "supervisor: %s: takes effect at once", plan->settings);
	if (strcmp(plan->would, "fail") == 0)
		cli_error(cli, "reload --changed would fail: %s", plan->message);
	else if (strcmp(plan->would, "nothing") == 0)
		cli_say(cli, "nothing to do: what runs is what is on disk");
}

int cmd_plan(struct cli *cli)
{
	cleanup_buf struct buf body = {0};
	struct api_plan plan;
	int code = cli_query(cli, "/v1/plan", NULL, &body);

	if (code != CLI_DONE)
		return code;
	if (body.data == NULL || api_read_plan(body.data, body.len, &plan) < 0)
		return cli_not_understood(cli);
	if (!cli->options.json)
		tell(cli, &plan);
	else
		cli_show_json(cli, &body);
	code = strcmp(plan.would, "nothing") == 0  ? CLI_DONE
	       : strcmp(plan.would, "change") == 0 ? CLI_WOULD_CHANGE
						   : CLI_FAILED;
	api_plan_free(&plan);
	return code;
}
