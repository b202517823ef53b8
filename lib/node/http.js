'use strict';
const { setTimeout: sleep } = require('node:timers/promises');

// HttpServer knows the connections of a server of node:http, and counts its requests.
class HttpServer {
  constructor(worker, server) {
    this.worker = worker;
    this.server = server;
    this.sockets = new Set();
    this.busy = new Map(); // how many answers a connection waits for
    this.answers = new Set();
    this.last = 0;
    const secure = server.listenerCount('tlsClientError') > 0; // requests are on the sockets inside of TLS
    server.on(secure ? 'secureConnection' : 'connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.prependListener('request', (request, answer) => this.count(request, answer));
  }

  count(request, answer) {
    const { socket } = request;
    const end = this.worker.call(`${request.method} ${request.url} from ${socket.remoteAddress ?? 'a Unix socket'}`);
    this.busy.set(socket, (this.busy.get(socket) ?? 0) + 1);
    this.answers.add(answer);
    if (this.worker.draining) answer.setHeader('Connection', 'close');
    answer.on('close', () => {
      end();
      this.answers.delete(answer);
      this.busy.set(socket, this.busy.get(socket) - 1);
      if (this.busy.get(socket) === 0) this.busy.delete(socket);
      this.last = performance.now();
      this.onEnd?.();
    });
  }

  // drain keeps connections on which nothing happens for a moment, as a request may be on its way already; the answer to it
  // says that it was the last.
  async drain() {
    for (const answer of this.answers) if (!answer.headersSent) answer.setHeader('Connection', 'close');
    await this.quiet(this.worker.limits.quiet);
    for (const socket of this.sockets) if (!this.busy.has(socket)) socket.destroy();
  }

  // quiet returns when there was no request for that long.
  async quiet(time) {
    const since = performance.now();
    for (;;) {
      while (this.answers.size > 0) await new Promise((ended) => { this.onEnd = ended; });
      const rest = time - (performance.now() - Math.max(since, this.last));
      if (rest <= 0) return;
      await sleep(rest);
    }
  }

  stop() {
    for (const socket of this.sockets) socket.destroy();
  }
}

module.exports = { HttpServer };
