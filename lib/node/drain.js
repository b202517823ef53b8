'use strict';
// The times of a drain, all in milliseconds from its start.

const DEFAULT_BUDGET = 6000; // when the supervisor has named none
const RESERVE = 200; // the part of the budget that we leave to the supervisor, for noticing that we are gone
const KEEP_ALIVE = 500; // how long connections on which nothing happens are left: a request may be on its way already
const CUT_STATUS = 128 + 15; // when something was cut off: what a shell gives for death by SIGTERM

// limits divides the budget. Of a very small one, half is kept as the reserve.
function limits(budget) {
  const exit = Math.max(budget - RESERVE, budget / 2); // until the process ends, come what may
  const stop = Math.min(budget * 0.8, exit * 0.9); // until what has not finished is cut off
  return { budget, exit, stop, quiet: Math.min(KEEP_ALIVE, stop / 8) };
}

// budgetOf reads HANDOVER_DRAIN_TIMEOUT_USEC.
function budgetOf(text) {
  const usec = /^[0-9]+$/.test(text ?? '') ? Number(text) : 0;
  return usec > 0 && usec <= 24 * 3600 * 1e6 ? usec / 1000 : DEFAULT_BUDGET;
}

module.exports = { limits, budgetOf, CUT_STATUS };
