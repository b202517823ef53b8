'use strict';
// Listening sockets that were handed over, by the convention of sd_listen_fds(3).

const FIRST_DESCRIPTOR = 3;
const MAX_SOCKETS = 1024;
// Node listens anew on the socket that it is given. That must not make its queue shorter; the kernel has a limit of its own.
const BACKLOG = 65535;

// announced returns the name of each descriptor, in their order.
function announced(env) {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = env;
  if (pid !== String(process.pid)) {
    throw new Error(`LISTEN_PID is ${pid}, we are ${process.pid}: the sockets are meant for another process ` +
      '(npm and shells start us as a child: use node itself as the command, or exec)');
  }
  const n = Number(count);
  if (!Number.isInteger(n) || n < 1 || n > MAX_SOCKETS) {
    throw new Error(`LISTEN_FDS is "${count}": not a number from 1 to ${MAX_SOCKETS}`);
  }
  const list = names === undefined ? new Array(n).fill('') : names.split(':');
  if (list.length !== n) {
    throw new Error(`LISTEN_FDNAMES "${names}" has ${list.length} names for LISTEN_FDS=${count}`);
  }
  return list;
}

class Sockets {
  constructor(env, byHand) {
    this.given = Boolean(env.LISTEN_FDS);
    this.byChannel = env.HANDOVER_HANDOFF === 'channel';
    this.opened = [];
    const all = this.given ? announced(env).map((name, i) => ({ name, fd: FIRST_DESCRIPTOR + i })) : [];
    // The last ones are no sockets, but were kept for us.
    const kept = Math.min(Math.max(Number.parseInt(env.HANDOVER_STORED, 10) || 0, 0), all.length);
    this.kept = all.splice(all.length - kept, kept);
    this.free = this.given
      ? all.map(({ name, fd }) => ({ name, options: { fd, backlog: BACKLOG } }))
      : this.byChannel ? [] // the supervisor has some: none is made by hand
      : Object.entries(byHand).map(([name, options]) => ({ name, options }));
  }

  // take returns what server.listen() takes for the socket of that name, or for the only one (beside the probe socket). When
  // the supervisor comes to hand sockets over after READY=1, this is the place that waits for them.
  take(name) {
    const rest = this.free.filter((socket) => socket.name !== 'probe');
    const wanted = name === undefined && rest.length === 1 ? rest[0].name : name;
    const i = this.free.findIndex((socket) => socket.name === wanted);
    if (i < 0) throw new Error(this.missing(wanted));
    const [socket] = this.free.splice(i, 1);
    this.opened.push(socket.name);
    return socket.options;
  }

  has(name) { return this.free.some((socket) => socket.name === name); }

  // stored returns the descriptors that a former worker had kept under that name, once.
  stored(name) {
    const taken = this.kept.filter((each) => each.name === name);
    this.kept = this.kept.filter((each) => each.name !== name);
    return taken.map((each) => each.fd);
  }

  missing(name) {
    if (this.byChannel) return 'the pool has handoff = channel, which this package does not speak: say handoff = inherit';
    const all = [...this.free.map((socket) => socket.name), ...this.opened].join(' ');
    if (!all && !this.given) return 'LISTEN_FDS is not set: no supervisor has given us a listening socket';
    if (name === undefined) return this.free.length ? `say which socket: there are ${all}` : `all sockets are in use already: ${all}`;
    return this.opened.includes(name) ? `socket "${name}" is in use already` : `there is no socket "${name}"; there are: ${all}`;
  }
}

module.exports = { Sockets, announced };
