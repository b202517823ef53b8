/*
 * inflight.c - what counting a request costs: handover_begin() and handover_end(), with libhandover
 * as a program uses it, against one atomic increment of a number that nobody else touches. Prints
 * nanoseconds of processor time: "pair increment pair-in-8-threads pair-unsupervised".
 *
 *	inflight ROUNDS
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "worker/handover.h"

enum { THREADS = 8 };

static struct handover *handover;
static unsigned long rounds;
static _Alignas(64) atomic_long number;

static double thread_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double pairs(struct handover *of)
{
	double begin = thread_time();

	for (unsigned long n = 0; n < rounds; n++) {
		handover_begin(of);
		handover_end(of);
	}
	return (thread_time() - begin) / (double)rounds;
}

static double increments(void)
{
	double begin = thread_time();

	for (unsigned long n = 0; n < rounds; n++)
		atomic_fetch_add_explicit(&number, 1, memory_order_relaxed);
	return (thread_time() - begin) / (double)rounds;
}

static void *run(void *ret)
{
	*(double *)ret = pairs(handover);
	return NULL;
}

static double pairs_in_threads(void)
{
	pthread_t threads[THREADS];
	double each[THREADS], sum = 0;

	for (int n = 0; n < THREADS; n++)
		if (pthread_create(&threads[n], NULL, run, &each[n]) != 0)
			exit(1);
	for (int n = 0; n < THREADS; n++) {
		pthread_join(threads[n], NULL);
		sum += each[n];
	}
	return sum / THREADS;
}

int main(int argc, char **argv)
{
	double pair, increment, in_threads;

	rounds = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	setenv("NOTIFY_SOCKET", "@handover-bench-nobody", 1);
	if (rounds == 0 || handover_open(0, &handover) < 0 || handover == NULL) {
		fprintf(stderr, "usage: inflight ROUNDS\n");
		return 2;
	}
	pairs(handover); /* warm */
	pair = pairs(handover);
	increment = increments();
	in_threads = pairs_in_threads();
	printf("%.2f %.2f %.2f %.2f\n", pair, increment, in_threads, pairs(NULL));
	if (handover_inflight(handover) != 0)
		return 1;
	handover_close(handover);
	return 0;
}
