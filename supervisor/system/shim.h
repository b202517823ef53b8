/* shim.h - libhandover-bind.so, for workers that insist on binding their sockets themselves: where
 * it is, and which programs it cannot help. */
#ifndef SYSTEM_SHIM_H
#define SYSTEM_SHIM_H

#include <sys/types.h>

#include "base/buf.h"

/*
 * Where the library is: beside our own program (as it was built), in ../lib/handover from there, or
 * in LIBDIR, where it was installed; that one too when it is nowhere. Caller frees. 0 or -ENOMEM.
 */
int shim_find(char **ret_path);

/*
 * Would the loader (ld.so(8)) leave the library out, or would it be of no use, where a process of
 * this user and group executes the program? -EINVAL with the reason in why: "it is linked
 * statically, ...". 0: no reason is known. Of a script the interpreter is looked at, and what `env`
 * is to find.
 */
int shim_refuses(const char *program, uid_t uid, gid_t gid, struct buf *why);

#endif
