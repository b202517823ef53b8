'use strict';
// Makes a server a worker of handoverd: it takes its listening sockets from the supervisor, says when it is ready, and at a
// drain refuses the new, lets the old finish, within a limit.
//
//   const worker = require('handover').start();
//   worker.serveHttp(http.createServer(handler));
//   worker.run();
//
// For grpc-js see handover/grpc.

const { execFile } = require('node:child_process');
const net = require('node:net');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

const { Sockets } = require('./sockets');
const { limits, budgetOf, CUT_STATUS } = require('./drain');
const { HttpServer } = require('./http');

const MAX_NAMED = 20; // of what had not finished

class Worker {
  // options: drainSignals (['SIGTERM', 'SIGINT']), byHand ({ name: what server.listen() takes }, for a run without a supervisor)
  constructor({ drainSignals = ['SIGTERM', 'SIGINT'], byHand = {}, env = process.env, exit = process.exit } = {}) {
    this.supervised = Boolean(env.NOTIFY_SOCKET);
    this.budget = budgetOf(env.HANDOVER_DRAIN_TIMEOUT_USEC);
    this.sockets = new Sockets(env, byHand);
    this.exit = exit;
    this.abort = new AbortController();
    this.going = new Map(); // what is going on: its name and start
    this.servers = [];
    this.closers = [];
    this.onStops = [];
    this.status = 0;
    for (const signal of drainSignals) process.on(signal, () => this.begin(this.supervised ? 'unknown' : 'stop', this.budget));
  }

  // signal is an AbortSignal that ends when the drain starts: make up no new work then.
  get signal() { return this.abort.signal; }
  get draining() { return this.limits !== undefined; }

  // deadline is when what has not finished is cut off, by performance.now(); undefined before the drain.
  deadline() { return this.draining ? this.start + this.limits.stop : undefined; }

  // socket returns what server.listen() takes for the socket of that name (none: the only one). It is shared with others.
  socket(name) { return this.sockets.take(name); }

  // stored returns the descriptors that former workers had kept under that name (FDSTORE=1; Node has no way to send one).
  stored(name) { return this.sockets.stored(name); }

  // serve adds a net.Server. At a drain it accepts no more, then drain() finishes what there is; stop() cuts off what has not.
  // Without a name it answers on the probe socket as well, if there is one.
  serve(server, { name, drain = () => {}, stop = () => {} } = {}) {
    this.servers.push({ server, options: this.socket(name), drain, stop });
    server.on('error', (error) => this.fail(error));
    if (name !== undefined || !this.sockets.has('probe')) return;
    const probe = net.createServer((socket) => server.emit('connection', socket));
    this.servers.push({ server: probe, options: this.socket('probe'), drain: () => {}, stop: () => {} });
    probe.on('error', (error) => this.fail(error));
  }

  // serveHttp adds a server of node:http or node:https.
  serveHttp(server, name) {
    const http = new HttpServer(this, server);
    this.serve(server, { name, drain: () => http.drain(), stop: () => http.stop() });
  }

  // call notes that a call is in flight until the returned function is called. Its name is for the report of what had not
  // finished.
  call(name) {
    const key = {};
    this.going.set(key, { name, start: performance.now() });
    return () => {
      if (this.going.delete(key) && this.going.size === 0) this.onIdle?.();
    };
  }

  // go has a drain wait for background work.
  async go(name, promise) {
    const end = this.call(name);
    try {
      await promise;
    } catch (error) {
      this.complain(`${name}: ${error?.stack ?? error}`);
    } finally {
      end();
    }
  }

  // onClose sets what closes a resource when all calls and all work have ended, or have been cut off. The last one that was
  // set is called first.
  onClose(name, f) { this.closers.push({ name, f }); }

  // onStop sets what is called at the first moment of a stop, and not of a reload.
  onStop(f) { this.onStops.push(f); }

  // run starts the servers and says READY=1. The process ends with the drain: status 0, or 143 when something had to be cut
  // off, or 1 after a failure.
  async run() {
    if (this.draining || this.running) return;
    this.running = true;
    await Promise.all(this.servers.map(({ server, options }) => new Promise((listening) => server.listen(options, listening))));
    if (!this.draining) await this.notify('READY=1');
  }

  // notify sends assignments as sd_notify(3) does. Node has no datagram sockets of Unix: systemd-notify does it.
  notify(...assignments) {
    if (!this.supervised) return Promise.resolve();
    return new Promise((done) => {
      execFile('systemd-notify', ['--no-block', ...assignments], { timeout: 5000 }, (error) => {
        if (error) this.complain(`systemd-notify ${assignments[0]}: ${error.message.trim()}; going on`);
        done();
      });
    });
  }

  // fail starts a drain because the worker cannot go on.
  fail(error) {
    this.complain(`${error?.message ?? error}; draining`);
    this.status = 1;
    this.begin('failure', this.budget);
  }

  // begin is how a drain is told to us: by a signal, and perhaps one day by a message that says why and how long. Only the
  // first time counts.
  begin(reason, budget) {
    if (this.draining) return;
    this.reason = reason;
    this.start = performance.now();
    this.limits = limits(budget);
    this.backstop = setTimeout(() => this.exit(CUT_STATUS), this.limits.exit);
    this.cutter = setTimeout(() => this.cutOff(), this.limits.stop);
    if (reason === 'stop') this.onStops.forEach((f) => f());
    this.abort.abort();
    this.finish([this.notify('STOPPING=1', `STATUS=draining, ${this.going.size} calls in flight`)]);
  }

  // finish carries out the drain. What is being said when it ends is said to its end, as it is a child process that says it.
  async finish(saying) {
    this.saying = saying;
    const worked = this.drainServers().then(() => this.idle());
    await Promise.race([worked, new Promise((cut) => { this.cut = cut; })]);
    await Promise.race([worked, sleep((this.limits.exit - this.limits.stop) / 2, undefined, { ref: false })]);
    while (this.closers.length > 0) {
      const { name, f } = this.closers.pop();
      this.closing = name;
      try {
        await f();
      } catch (error) {
        this.complain(`closing ${name}: ${error?.message ?? error}; going on`);
      }
      this.closing = undefined;
    }
    clearTimeout(this.cutter);
    await Promise.all(this.saying);
    this.exit(this.status);
  }

  // drainServers ends accepting first; what is queued in the sockets is left to those who share them.
  async drainServers() {
    const ended = this.servers.map(({ server }) => new Promise((closed) => {
      // Not the server's own close(): that of HTTP closes idle connections at once.
      net.Server.prototype.close.call(server, closed);
    }));
    await Promise.all(this.servers.map(({ drain }) => drain()));
    await Promise.all(ended);
  }

  // idle waits until nothing is going on.
  async idle() {
    while (this.going.size > 0) await new Promise((empty) => { this.onIdle = empty; });
  }

  // cutOff comes when most of the budget is gone: it says what has not finished, and stops it hard.
  cutOff() {
    const unfinished = this.unfinished();
    const { stop, budget } = this.limits;
    this.status ||= CUT_STATUS;
    this.complain(`stopping hard after ${stop / 1000}s of a budget of ${budget / 1000}s, not finished: ${unfinished}`);
    this.saying.push(this.notify(`STATUS=stopping hard, not finished: ${unfinished}`));
    for (const server of this.servers) server.stop();
    this.cut?.();
  }

  unfinished() {
    const all = [...this.going.values()].sort((a, b) => a.start - b.start);
    const names = all.slice(0, MAX_NAMED).map(({ name, start }) => `${name} for ${((performance.now() - start) / 1000).toFixed(1)} s`);
    if (all.length > MAX_NAMED) names.push(`and ${all.length - MAX_NAMED} more`);
    if (this.closing) names.push(`closing ${this.closing}`);
    return names.join('; ') || 'no call, but a connection that its client keeps';
  }

  complain(text) { process.stderr.write(`${path.basename(process.argv[1] ?? 'node')}: ${text}\n`); }
}

module.exports = { Worker, start: (options) => new Worker(options) };
