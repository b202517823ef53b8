/* api_plan.h - GET /v1/plan as plain structs: see api.h. */
#ifndef CLI_API_PLAN_H
#define CLI_API_PLAN_H

#include "cli/api.h"

/* One line of a plan. */
struct api_planned {
	const char *name, *action, *message;
	long slot; /* of a socket; -1: none */
};

struct api_plan {
	const char *would, *message, *settings;
	struct api_planned *pools, *sockets;
	const char **remarks;
	struct api_problem *problems;
	size_t n_pools, n_sockets, n_remarks, n_problems;
	struct json_t *root;
};

/* As the readers of api.h. */
int api_read_plan(const char *text, size_t len, struct api_plan *ret);
void api_plan_free(struct api_plan *plan);

#endif
