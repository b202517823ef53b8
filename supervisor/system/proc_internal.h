/* proc_internal.h - what the files about processes share among themselves. */
#ifndef SYSTEM_PROC_INTERNAL_H
#define SYSTEM_PROC_INTERNAL_H

#include "system/proc.h"

/* The first process that holds one of these sockets. 0; -ENOENT: none that we may look at; -errno.
 */
int proc_find_holder_of(const unsigned long *inodes, size_t n, struct proc_holder *ret_holder);

#endif
