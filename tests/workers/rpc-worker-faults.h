/* Misbehaviour on request: what a supervisor has to cope with, and no example for anybody. */
#pragma once

#include <stdint.h>

struct event_base;
struct options;

/* The ways to fail before there is anything to serve: does not return if one was asked for. */
void faults_at_start(const struct options *opts);

/*
 * Leaves descendants that hold the sockets and ignore SIGTERM. They end by themselves after ten
 * minutes, so that a test that was cut short leaves nothing behind for ever. Call it before there
 * is an event loop: a child must not touch its parent's.
 */
void faults_leak(const struct options *opts);

/* Writes `bytes` to stdout, a slice per turn of the loop. Returns 0 or -ENOMEM. */
int faults_flood(struct event_base *base, uint64_t bytes);
