/* evidence_text.c - what is known of an end, in words. What cannot be known is not claimed. */
#include <signal.h>
#include <sys/wait.h>

#include "base/parse.h"
#include "engine/evidence.h"
#include "engine/proc.h"

/* ---- who ---- */

static void tell_fault(int sig, struct buf *out)
{
	if (sig == SIGABRT)
		buf_add_str(out, "itself, most likely: abort() is an assertion or a runtime that "
				 "gave up");
	else
		buf_printf(out, "itself, most likely: %s is a fault of the program",
			   parse_signal_name(sig));
	buf_add_str(out, "; whether somebody sent the signal, the kernel does not tell");
}

static void tell_stranger(const struct proc *proc, int sig, struct buf *out)
{
	buf_add_str(out, "not handoverd");
	if (sig == SIGKILL && proc->oom_known)
		buf_add_str(out, ", and not the kernel for want of memory");
	buf_add_str(out, ": another process");
	if (sig == SIGKILL && !proc->oom_known)
		buf_add_str(out, ", or the kernel for want of memory (its log tells: journalctl "
				 "-k)");
	else if (sig != SIGKILL)
		buf_add_str(out, ", or itself");
	buf_add_str(out, "; the kernel does not tell who sends a signal");
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGSYS ||
	       sig == SIGTRAP || sig == SIGABRT;
}

static void tell_asked(const struct evidence *evidence, struct buf *out)
{
	buf_printf(out, "%s %s before, sent for %s (handover signal, handover dump)",
		   parse_signal_name(evidence->asked_signal),
		   DURATION_TEXT(usec_sub(clock_now(), evidence->asked_at)), evidence->asked_by);
}

static void tell_signal(const struct proc *proc, int sig, struct buf *out)
{
	const struct evidence *evidence = proc->evidence;

	if (proc->killed && sig == SIGKILL)
		buf_add_str(out, evidence != NULL && evidence->overdue
				     ? "handoverd: SIGKILL when its time was over"
				     : "handoverd: SIGKILL, it had to go at once");
	else if (evidence != NULL && evidence->dump_signal == sig)
		buf_printf(out, "handoverd: %s, the dump signal, when its time was over",
			   parse_signal_name(sig));
	else if (evidence != NULL && evidence->asked_signal == sig)
		tell_asked(evidence, out);
	else if (proc->told && sig == proc->version->spec->drain_signal)
		buf_printf(out, "handoverd: %s, the drain signal", parse_signal_name(sig));
	else if (is_fault(sig))
		tell_fault(sig, out);
	else
		tell_stranger(proc, sig, out);
}

void evidence_tell_by(const struct proc *proc, enum incident_kind kind, struct buf *out)
{
	const struct evidence *evidence = proc->evidence;

	if (kind == INCIDENT_START_FAILED)
		return;
	if (kind == INCIDENT_OOM) {
		buf_add_str(out, "the kernel: out of memory");
		return;
	}
	if (proc->exit.code == CLD_KILLED || proc->exit.code == CLD_DUMPED) {
		tell_signal(proc, proc->exit.value, out);
		return;
	}
	if (proc->exit.code != CLD_EXITED)
		return; /* how it ended is not known */
	buf_add_str(out, "itself");
	if (evidence != NULL && evidence->dump_signal != 0)
		buf_printf(out, ", after the dump signal (%s)",
			   parse_signal_name(evidence->dump_signal));
	else if (evidence != NULL && evidence->asked_signal != 0) {
		buf_add_str(out, "; ");
		tell_asked(evidence, out);
	}
}

/* ---- why it was there ---- */

void evidence_tell_cause(const struct proc *proc, struct buf *out)
{
	unsigned long long number = proc->start_number;

	switch (proc->start) {
	case START_OTHER:
		buf_add_str(out, "in place of the one before");
		break;
	case START_INSTANCE:
		buf_add_str(out, "start of the instance");
		break;
	case START_RELOAD:
		buf_printf(out, "reload %llu", number);
		break;
	case START_RESTART:
		buf_printf(out, "restart %llu", number);
		break;
	case START_SCALE:
		buf_printf(out, "scale %llu", number);
		break;
	case START_ROLLBACK:
		buf_printf(out, "rollback %llu", number);
		break;
	case START_RESTORED:
		buf_printf(out, "back to the version before %llu, which failed", number);
		break;
	case START_AFTER_INCIDENT:
		buf_printf(out, "in place of the one of incident %llu", number);
		break;
	}
}

/* ---- what ---- */

static void tell_since(const struct proc *proc, struct buf *out)
{
	usec_t now = clock_now();

	if (proc->ready_at != 0)
		buf_printf(out, " after it had served for %s",
			   DURATION_TEXT(usec_sub(now, proc->ready_at)));
	else
		buf_printf(out, " before it was ready, %s after its start",
			   DURATION_TEXT(usec_sub(now, proc->spawned_at)));
}

/* ": SIGQUIT, then SIGKILL; killed by SIGKILL" */
static void tell_escalation(const struct proc *proc, struct buf *out)
{
	const struct evidence *evidence = proc->evidence;

	bool dumped = evidence != NULL && evidence->dump_signal != 0;

	buf_add_str(out, ": ");
	if (dumped)
		buf_printf(out, "%s%s", parse_signal_name(evidence->dump_signal),
			   proc->killed ? ", then " : "; ");
	if (proc->killed)
		buf_add_str(out, "SIGKILL; ");
	buf_add_str(out, proc_describe_exit(proc, (char[PROC_EXIT_MAX]){0}, PROC_EXIT_MAX));
}

void evidence_tell_what(const struct proc *proc, const struct order *order, enum incident_kind kind,
			struct buf *out)
{
	const struct pool_spec *spec = proc->version->spec;
	const char *reason = end_reason_name(order->reason);
	char exit[PROC_EXIT_MAX];

	proc_describe_exit(proc, exit, sizeof(exit));
	switch (kind) {
	case INCIDENT_START_FAILED:
		buf_printf(out, "could not be started: %s",
			   proc->failure != NULL ? proc->failure : "out of memory");
		break;
	case INCIDENT_CRASHED:
	case INCIDENT_EXITED:
	case INCIDENT_OOM:
		buf_add_str(out, exit);
		tell_since(proc, out);
		break;
	case INCIDENT_NOT_READY:
		buf_printf(out, "was not ready within %s (start_timeout)",
			   DURATION_TEXT(spec->start_timeout));
		if (proc->probe_failure != NULL)
			buf_printf(out, "; %s", proc->probe_failure);
		tell_escalation(proc, out);
		break;
	case INCIDENT_HUNG:
		buf_printf(out, "hung: its watchdog was not fed for %s",
			   DURATION_TEXT(spec->watchdog));
		tell_escalation(proc, out);
		break;
	case INCIDENT_NOT_LIVE:
		proc_describe_not_live(proc, "failed", out);
		tell_escalation(proc, out);
		break;
	case INCIDENT_OVERDUE:
		buf_printf(out, "had not ended within its %s (%s)",
			   DURATION_TEXT(proc->evidence != NULL ? proc->evidence->budget : 0),
			   reason);
		tell_escalation(proc, out);
		break;
	case INCIDENT_FAILED_DRAIN:
		buf_printf(out, "%s, %s after it was told to go (%s)", exit,
			   DURATION_TEXT(usec_sub(clock_now(), proc->leaving_at)), reason);
		break;
	case INCIDENT_KILLED:
		buf_printf(out, "had to go at once (%s)", reason);
		tell_escalation(proc, out);
		break;
	}
}
