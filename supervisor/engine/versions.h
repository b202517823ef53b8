/* versions.h - what a generation of a pool runs: specification, executable, user, environment
 * files, sockets. */
#ifndef ENGINE_VERSIONS_H
#define ENGINE_VERSIONS_H

#include "engine/engine.h"

struct config_ref *
config_ref_new(struct config *config); /* takes it over; NULL: no memory, config freed */
struct config_ref *config_ref_get(struct config_ref *ref);
void config_ref_put(struct config_ref *ref); /* accepts NULL */

/*
 * The version that spec (of config) means now: the executable and the user are looked up,
 * environment files are read, sockets found by name among those that are open. 0, or -errno with a
 * sentence in why.
 */
int version_new(struct engine *engine, struct config_ref *config, const struct pool_spec *spec,
		uint32_t generation, struct version **ret_version, struct buf *why);
/*
 * What that version is, once more as another generation: nothing is looked up or read but its
 * sockets, which must be open. 0, or -errno with a sentence in why.
 */
int version_again(struct engine *engine, struct version *of, uint32_t generation,
		  struct version **ret_version, struct buf *why);
/* They do not differ in what is executed: it goes on with what is held already. */
void version_keep_pin(struct version *version, const struct version *of);
struct version *version_ref(struct version *version);
void version_unref(struct version *version); /* accepts NULL */

/* The numbers that the model needs, for a pool of that size. */
void version_params(const struct pool_spec *spec, uint32_t size, struct pool_params *ret_params);
/* The version that a generation of that pool runs, NULL: unknown. */
struct version *version_of(const struct pool_runtime *runtime, uint32_t generation);

/* ---- versions_compare.c ---- */

/*
 * A number that is the same for the same specification, executable and environment files, and in
 * practice for no others.
 */
uint64_t version_fingerprint(const struct version *version);
/* One thing in which two versions differ. */
struct version_difference {
	const char *what;      /* a key, "executable", "environment file", "sockets" */
	const char *how;       /* "changed", "replaced", ... */
	const char *from, *to; /* NULL: not to be told */
	const char *names;     /* of environment variables: "A, B"; NULL: none */
	enum diff_effect effect;
};
typedef void version_difference_fn(const struct version_difference *difference, void *arg);
/* Calls each for everything that differs; returns the strongest effect. */
enum diff_effect version_each_difference(const struct version *running,
					 const struct version *wanted, version_difference_fn *each,
					 void *arg);
/* What differs, strongest effect first to be acted upon; appends the reasons in words to why
 * ("command changed"). */
enum diff_effect version_compare(const struct version *running, const struct version *wanted,
				 struct buf *why);
bool version_has_socket(const struct version *version, const struct version_socket *socket);
/* Are there sockets of the second one that the first one has not? */
bool version_lacks_sockets(const struct version *version, const struct version *of);
/* Appends to why which of its keys have other values in that configuration, as far as workers are
 * replaced for them. */
void version_compare_specs(const struct version *version, const struct config *config,
			   struct buf *why);
/* The same for the keys of a socket, or the supervisor's own. False: they do not differ. */
bool version_each_setting(const struct config_item *old_list, size_t n_old,
			  const struct config_item *new_list, size_t n_new,
			  version_difference_fn *each, void *arg);
/* Whether settings of the supervisor and of sockets differ, which no worker is replaced for;
 * appends which to remarks, a line for each section. */
bool version_compare_settings(const struct config *running, const struct config *wanted,
			      struct buf *remarks);

/* ---- versions_disk.c ---- */

/*
 * Is where the command of pool p points something else than what it runs? Appends what to text.
 * After a rollback the configuration is compared, too. Remote files are not looked at: their server
 * may be gone.
 */
bool versions_differ_on_disk(const struct engine *engine, uint32_t p, struct buf *text);

#endif
