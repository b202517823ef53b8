/*
 * evidence.h - what is gathered of a worker on its way out, and the incident that becomes of it in
 * the end. A worker that serves has none of it in memory.
 */
#ifndef ENGINE_EVIDENCE_H
#define ENGINE_EVIDENCE_H

#include "engine/engine.h"
#include "engine/incidents.h"

enum { EVIDENCE_LINES = 20 }; /* last output lines that are kept */

struct evidence {
	usec_t told_at; /* 0: it was not told to go */
	usec_t budget;
	enum end_reason reason;
	long inflight;	  /* when it was told; -1: it does not say */
	bool overdue;	  /* its time was up before it had ended */
	int dump_signal;  /* that it was sent; 0: none */
	struct buf lines; /* its last output before that */
	struct buf dump;  /* and what it wrote from then on */
	struct proc_look *look;
	int look_error;	  /* -errno: there is none, and why */
	int asked_signal; /* that somebody let us send */
	char *asked_by;
	usec_t asked_at;
	uint64_t reload; /* the transaction that it leaves for; 0: none */
};

/* It is about to be started: remembers why. */
void evidence_started(struct proc *proc);
/* It is told to go, and has order->usec for that. */
void evidence_told(struct proc *proc, const struct order *order);
/* It did not do what it should have done by now: looks what it does. Before any signal is sent. */
void evidence_look(struct proc *proc);
/* Its time is over: looks, and keeps what it writes from now on where it gets the signal. 0: no
 * dump signal, it is killed. */
void evidence_overdue(struct proc *proc, int dump_signal);
/* Somebody lets us send it a signal. */
void evidence_signal(struct proc *proc, int sig, const char *by);
/* Accepts a proc without. */
void evidence_free(struct proc *proc);

/* ---- evidence_end.c ---- */

/* It is gone (or never was): what that means is kept and told, unless it was in order. */
void evidence_end(struct proc *proc, const struct order *order);

/* ---- evidence_text.c: what is known, in words ---- */

/* Who ended it, as far as that can be known. */
void evidence_tell_by(const struct proc *proc, enum incident_kind kind, struct buf *out);
/* Why it had been started. */
void evidence_tell_cause(const struct proc *proc, struct buf *out);
/* What happened, as the rest of a sentence that begins with the worker's name. */
void evidence_tell_what(const struct proc *proc, const struct order *order, enum incident_kind kind,
			struct buf *out);

#endif
