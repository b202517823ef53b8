/* einhorn.h - what workers written for einhorn say on their socket: a JSON object a line, of which
 * {"command":"worker:ack","pid":1234} means "ready". */
#ifndef SYSTEM_EINHORN_H
#define SYSTEM_EINHORN_H

#include <stddef.h>
#include <sys/types.h>

/* An acknowledgement has 50 bytes; what is longer than this is none. */
enum { EINHORN_LINE_MAX = 1024 };

/*
 * Reads one line, without its newline. 0 and *ret_pid: the worker acknowledges. -ENOMSG: another
 * command. -EBADMSG: no object of strings and numbers, or an acknowledgement without a pid. Pure.
 */
int einhorn_parse(const char *line, size_t len, pid_t *ret_pid);

#endif
