/* api_plan.c - GET /v1/plan, read from JSON. */
#include "cli/api_plan.h"

#include "cli/api_internal.h"

static struct api_planned *read_planned(const json_t *list, size_t *ret_n)
{
	struct api_planned *planned = room(list, sizeof(*planned), ret_n);

	for (size_t i = 0; i < *ret_n; i++) {
		const json_t *item = json_array_get(list, i);

		planned[i] = (struct api_planned){.name = get_text(item, "name"),
						  .action = get_text(item, "action"),
						  .message = get_text(item, "message"),
						  .slot = get_number(item, "slot", -1)};
	}
	return planned;
}

int api_read_plan(const char *text, size_t len, struct api_plan *ret)
{
	struct api_plan plan = {.n_pools = 0};
	json_t *root = NULL;
	int r = load(text, len, &root);

	if (r < 0)
		return r;
	plan.root = root;
	plan.would = get_text(root, "would");
	plan.message = get_text(root, "message");
	plan.settings = get_text(root, "settings");
	plan.pools = read_planned(json_object_get(root, "pools"), &plan.n_pools);
	plan.sockets = read_planned(json_object_get(root, "sockets"), &plan.n_sockets);
	read_texts(json_object_get(root, "remarks"), &plan.remarks, &plan.n_remarks);
	plan.problems = read_problems(json_object_get(root, "problems"), &plan.n_problems);
	*ret = plan;
	return 0;
}

void api_plan_free(struct api_plan *plan)
{
	free(plan->pools);
	free(plan->sockets);
	free(plan->remarks);
	free(plan->problems);
	json_decref(plan->root);
	*plan = (struct api_plan){.root = NULL};
}
