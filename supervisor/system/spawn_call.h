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
#define CALL(number, a, b, c, d) CALL5(number, a, b, c, d, 0)
#define CALL5(number, a, b, c, d, e) \
	spawn_call((long)(number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

#if defined(__x86_64__) && defined(__LP64__)

#define SPAWN_SHARES 1
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d, long e)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__) && defined(__LP64__)

#define SPAWN_SHARES 1
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}

#else

#define SPAWN_SHARES 0
static inline __attribute__((always_inline)) long spawn_call(long number, long a, long b, long c,
							     long d, long e)
{
	long result = syscall(number, a, b, c, d, e);

	return result == -1 ? -errno : result;
}

#endif
#endif
