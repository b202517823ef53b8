/*
 * spawn_call.h - system calls of a child that shares our memory while we run on: none of libc's,
 * which would leave the child's errno in ours.
 *
 * SPAWN_SHARES says that this machine has them. On others CALL() goes through libc, and spawn.c
 * stands still until the child has left our memory.
 */
#ifndef SYSTEM_SPAWN_CALL_H
#define SYSTEM_SPAWN_CALL_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns what the kernel returns: -errno when it failed. */
#define CALL(number, a, b, c, d) \
	spawn_call((long)(number), (long)(a), (long)(b), (long)(c), (long)(d))

#if defined(__x86_64__) && defined(__LP64__)

#define SPAWN_SHARES 1
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d)
{
	register long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__) && defined(__LP64__)

#define SPAWN_SHARES 1
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

#else

#define SPAWN_SHARES 0
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d)
{
	long result = syscall(number, a, b, c, d);

	return result == -1 ? -errno : result;
}

#endif
#endif
