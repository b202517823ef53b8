/*
 * bound.h - descriptors of the program's that became a given socket, and what the program believes
 * of them. O_NONBLOCK and the end by shutdown() are shared by all workers, so that neither is done
 * to the socket itself: a program that wants to block waits here, and one that shut its socket down
 * finds it shut. Lock-free, and good in forked children.
 */
#ifndef PRELOAD_BOUND_H
#define PRELOAD_BOUND_H

#include <stdbool.h>

/* To be called once. */
void bound_start(void);
/* The descriptor is a given socket from now on; blocking: the program has not asked for O_NONBLOCK.
 */
void bound_add(int fd, bool blocking);
/* It is closed, or something else. Accepts one that is not known. */
void bound_forget(int fd);
/* The program takes it for one that blocks. */
bool bound_blocks(int fd);
/* Are there any descriptors that block? A quick answer, for calls that programs make often. */
bool bound_any(void);
/* The program asks the kernel whether the descriptor is readable: its accept() need not wait.
 * Accepts one that is not known. */
void bound_polled(int fd);
/* The program has shut it down: whoever waits is woken. */
void bound_shut(int fd);
bool bound_is_shut(int fd);
/*
 * After EAGAIN: true when it is worth another try. False, with errno as the program is to see it:
 * EAGAIN (it does not block, or its SO_RCVTIMEO is over), EINTR, EINVAL (it was shut down).
 */
bool bound_wait(int fd);

#endif
