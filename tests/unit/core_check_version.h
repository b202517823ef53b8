/*
 * core_check_version.h - a generation never runs another version than the one it began with: the
 * engine's book of versions (the committed one, and that of the transaction), kept from the events
 * and orders alone, in which each start finds its generation. A part of core_check.h.
 */
#ifndef TESTS_CORE_CHECK_VERSION_H
#define TESTS_CORE_CHECK_VERSION_H

/* Before the step in which a transaction begins. */
static inline void check_version_begins(struct sim *sim, uint32_t p,
					const struct pool_change *change)
{
	struct check_versions *versions = &check_of(sim)->pools[p].versions;
	const struct pool *pool = sim_pool(sim, p);

	if (change->kind == CHANGE_ADD) /* the place may have been another pool's */
		*versions = (struct check_versions){.next = {0}};
	if (change->kind != CHANGE_ADD && change->kind != CHANGE_ROLL)
		return;
	versions->next =
	    (struct check_version){pool->last_generation + 1, ++check_of(sim)->versions_made};
	if (check_of(sim)->start && change->params.start_retry) {
		versions->current = versions->next;
		versions->next = (struct check_version){0};
	}
}

static inline void check_version_ends(struct check_versions *versions, bool commits)
{
	if (commits && versions->next.number != 0)
		versions->current = versions->next;
	versions->next = (struct check_version){0};
}

static inline void check_version(struct sim *sim, const struct order *order)
{
	struct check_versions *versions = &check_of(sim)->pools[order->worker.pool].versions;
	const struct check_version *found = NULL;
	uint64_t *known = &versions->known[order->generation % CHECK_GENERATIONS];

	if (order->generation == versions->current.generation)
		found = &versions->current;
	else if (order->generation == versions->next.generation)
		found = &versions->next;
	CHECK(sim, found != NULL && found->number != 0);
	CHECK(sim, versions->current.generation != versions->next.generation);
	if (*known >> 32 != order->generation) /* another generation's, or nobody's */
		*known = (uint64_t)order->generation << 32 | (uint32_t)found->number;
	CHECK(sim, (uint32_t)*known == (uint32_t)found->number);
}

#endif
