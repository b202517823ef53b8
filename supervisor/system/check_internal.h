/* check_internal.h - what the check*.c files share. */
#ifndef SYSTEM_CHECK_INTERNAL_H
#define SYSTEM_CHECK_INTERNAL_H

#include "system/check.h"
#include "system/systemd_bus.h"

/* A section whose facts are looked at: what is wrong is told at the place of its key. */
struct check {
	const struct config *config;
	const struct check_context *context;
	struct config_problems *problems;
	char title[64]; /* "pool:api" */
};

/* Adds "[title] key: sentence" at the key's place (that of its section where it is a default). */
void check_fail(const struct check *check, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warn(const struct check *check, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The user or group of a name or number. 0 or -ENOENT. */
int check_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);
int check_find_group(const char *name, gid_t *ret_gid);
/* Do we have this capability (capabilities(7)) in effect? */
bool check_has_capability(int capability);

/*
 * Why the file could not be executed, in words: it is missing, a directory, not marked executable,
 * for another machine, its interpreter or loader is missing. 0 if nothing is wrong with it, 1 if it
 * depends (binfmt_misc), -EINVAL.
 */
int check_executable(const char *path, struct buf *why);

/* Keys that need a cgroup per worker. */
void check_cgroup(const struct check *check, const struct pool_spec *pool);
/* bind_shim = yes, and programs that it cannot help. */
void check_shim(const struct check *check, const struct pool_spec *pool);
void check_pool(const struct check *check, const struct pool_spec *pool);
void check_socket(const struct check *check, const struct socket_spec *spec);
/* Warns of a port that an outgoing connection might have. True: it did. */
bool check_ports(const struct check *check, const struct socket_spec *spec);
/* Is it in a list as the kernel writes it ("80,8000-8010")? */
bool check_ports_reserved(const char *list, unsigned port);
void check_supervisor(const struct check *check);
void check_descriptors(const struct check *check);
/* How long workers of this pool may take at a stop, before they are killed. */
usec_t check_stop_of(const struct pool_spec *pool);
/* The judgement of check_unit(), once systemd has answered. */
void check_unit_judge(const struct config *config, const struct systemd_unit *unit,
		      struct config_problems *problems, struct buf *summary);
void check_summarize(const struct config *config, struct buf *out);

#endif
