'use strict';
const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const test = require('node:test');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

const handover = require('..');
const { serveGrpc } = require('../grpc');
const { limits, budgetOf, CUT_STATUS } = require('../drain');
const { Sockets, announced } = require('../sockets');

const LONG = 3600 * 1000;

const awake = setInterval(() => {}, 1000); // a signal that is waited for does not keep the process
test.after(() => clearInterval(awake));

test('limits', () => {
  for (let budget = 10; budget < LONG; budget *= 1.25) {
    const l = limits(budget);
    assert(l.stop > 0 && l.stop < l.exit && l.exit < budget && l.stop <= budget * 0.8 && l.quiet <= l.stop / 8);
    assert(budget < 401 || l.exit === budget - 200);
  }
});

test('budget', () => {
  for (const [text, ms] of [['2500000', 2500], [undefined, 6000], ['', 6000], ['0', 6000], ['-1', 6000], ['1e6', 6000],
    ['99999999999999999999', 6000]]) assert.strictEqual(budgetOf(text), ms, text);
});

test('announced sockets', () => {
  const us = String(process.pid);
  for (const [pid, fds, names, result] of [
    [us, '1', 'grpc', ['grpc']], [us, '2', 'grpc:admin', ['grpc', 'admin']], [us, '2', undefined, ['', '']],
    [us, '2', 'grpc', /has 1 names for LISTEN_FDS=2/], [us, '0', undefined, /LISTEN_FDS is "0"/],
    [us, 'x', undefined, /LISTEN_FDS is "x"/], [us, '99999999', undefined, /LISTEN_FDS is/], ['1', '1', 'grpc', /LISTEN_PID is 1/],
    [undefined, '1', 'grpc', /LISTEN_PID is undefined/],
  ]) {
    const take = () => announced({ LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names });
    if (Array.isArray(result)) assert.deepStrictEqual(take(), result);
    else assert.throws(take, result);
  }
});

test('what was kept is no socket', () => {
  const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: '4', LISTEN_FDNAMES: 'web:cache:raw:cache' };
  for (const [kept, sockets, found] of [['3', 1, [4, 6]], ['0', 4, []], [undefined, 4, []], ['-1', 4, []], ['9', 0, [4, 6]]]) {
    const all = new Sockets({ ...env, HANDOVER_STORED: kept }, {});
    assert.strictEqual(all.free.length, sockets);
    assert.deepStrictEqual(all.stored('cache'), found);
    assert.deepStrictEqual(all.stored('cache'), []);
  }
});

test('sockets are given once', () => {
  const sockets = new Sockets({}, { grpc: { port: 1 }, admin: { port: 2 } });
  assert.throws(() => sockets.take('web'), /there is no socket "web"; there are: grpc admin/);
  assert.throws(() => sockets.take(), /say which socket: there are grpc admin/);
  assert.deepStrictEqual(sockets.take('grpc'), { port: 1 });
  assert.deepStrictEqual(sockets.take(), { port: 2 });
  assert.throws(() => sockets.take('grpc'), /socket "grpc" is in use already/);
  assert.throws(() => sockets.take(), /all sockets are in use already/);
  assert.throws(() => new Sockets({}, {}).take(), /LISTEN_FDS is not set/);
  assert.throws(() => new Sockets({ HANDOVER_HANDOFF: 'channel' }, { grpc: { port: 1 } }).take('grpc'), /say handoff = inherit/);
});

// make returns a worker without a supervisor, and a promise of its exit status.
function make(options = {}) {
  let end;
  const exited = new Promise((done) => { end = done; });
  const exit = (status) => {
    clearTimeout(worker.backstop); // would keep the test's process
    end(status);
  };
  const worker = new handover.Worker({ drainSignals: [], env: {}, exit, ...options });
  worker.told = '';
  worker.complain = (text) => { worker.told += text; };
  return { worker, exited };
}

test('a whole life', async () => {
  const { worker, exited } = make();
  const order = [];
  worker.go('mail', once(worker.signal, 'abort').then(() => sleep(1)).then(() => order.push('mailed')));
  worker.onClose('database', () => order.push('close database'));
  worker.onClose('cache', () => { order.push('close cache'); throw new Error('told only'); });
  worker.onStop(() => order.push('a reload is taken for a stop'));
  await worker.run();
  assert.strictEqual(worker.deadline(), undefined);
  worker.begin('reload', LONG);
  worker.begin('stop', 1); // is not heard any more
  assert.strictEqual(await exited, 0);
  assert.deepStrictEqual(order, ['mailed', 'close cache', 'close database']);
  assert.match(worker.told, /closing cache: told only/);
});

test('what does not finish is cut off and named', async () => {
  const { worker, exited } = make();
  let closed = false;
  worker.call('GET /x');
  worker.onClose('database', () => { closed = true; });
  await worker.run();
  worker.begin('reload', 300);
  assert.strictEqual(await exited, CUT_STATUS);
  assert.match(worker.told, /stopping hard after 0.135s of a budget of 0.3s, not finished: GET \/x for 0\.\d s$/);
  assert(closed);
});

test('the end comes although closing hangs', async () => {
  const { worker, exited } = make();
  worker.onClose('database', () => new Promise(() => {}));
  worker.begin('reload', 200);
  assert.strictEqual(await exited, CUT_STATUS);
  assert.match(worker.told, /not finished: closing database/);
});

test('without a supervisor a signal is a stop', async () => {
  const { worker, exited } = make({ drainSignals: ['SIGUSR2'] });
  let before;
  worker.onStop(() => { before = !worker.signal.aborted; });
  process.kill(process.pid, 'SIGUSR2');
  assert.strictEqual(await exited, 0);
  assert(before);
  process.removeAllListeners('SIGUSR2');
});

// serving returns a worker that serves HTTP, and a function that connects to it.
async function serving(handler) {
  const made = make({ byHand: { http: { host: '127.0.0.1', port: 0 } } });
  const server = http.createServer(handler);
  made.worker.serveHttp(server);
  await made.worker.run();
  made.server = server;
  const { port } = server.address();
  made.connect = async () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.setEncoding('latin1').on('error', () => {});
    socket.received = '';
    socket.on('data', (data) => { socket.received += data; });
    socket.closed_ = new Promise((closed) => { socket.on('close', closed); });
    await once(socket, 'connect');
    return socket;
  };
  return made;
}

async function ask(socket) {
  socket.received = '';
  socket.write('GET /x HTTP/1.1\r\nHost: x\r\n\r\n');
  while (!socket.received.includes('ok')) await once(socket, 'data');
  return socket.received.toLowerCase();
}

test('a drain answers what is on its way', async () => {
  let goOn;
  const { worker, exited, connect } = await serving((request, answer) => {
    if (request.url === '/x') answer.end('ok');
    else goOn = () => answer.end('ok');
  });
  const [fresh, idle, waiting] = [await connect(), await connect(), await connect()];
  assert.doesNotMatch(await ask(idle), /connection: close/);
  waiting.write('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n');
  while (!goOn) await sleep(1);
  worker.begin('reload', LONG);
  await assert.rejects(connect(), /ECONNREFUSED/);
  assert.match(await ask(idle), /connection: close/, 'it was the last answer');
  goOn();
  assert.strictEqual(await exited, 0);
  await Promise.all([fresh, idle, waiting].map((socket) => socket.closed_));
  assert.match(waiting.received, /connection: close[^]*ok/i);
});

test('a request that hangs is cut off', async () => {
  const { worker, exited, connect } = await serving(() => {});
  const socket = await connect();
  socket.write('GET /hang HTTP/1.1\r\nHost: x\r\n\r\n');
  while (worker.going.size === 0) await sleep(1);
  worker.begin('reload', 300);
  await socket.closed_;
  assert.strictEqual(await exited, CUT_STATUS);
  assert.match(worker.told, /not finished: GET \/hang from 127.0.0.1 for/);
});

test('a server that fails ends the worker', async () => {
  const { worker, exited, server } = await serving(() => {});
  server.emit('error', new Error('accept EMFILE'));
  assert.strictEqual(await exited, 1);
  assert.match(worker.told, /accept EMFILE; draining/);
});

// fakeGrpc is what serveGrpc uses of a server of grpc-js, and notes what is asked of it.
function fakeGrpc(asked, goAway) {
  return {
    createConnectionInjector: () => ({ injectConnection: (socket) => { asked.push('connection'); socket.unref(); } }),
    tryShutdown: (done) => { asked.push('shutdown'); goAway(done); },
    forceShutdown: () => asked.push('cut off'),
  };
}

test('gRPC: clients hear GOAWAY when nothing is accepted any more', async () => {
  const { worker, exited } = make({ byHand: { grpc: { host: '127.0.0.1', port: 0 } } });
  const asked = [];
  let listening;
  serveGrpc(worker, fakeGrpc(asked, (done) => { listening = worker.servers[0].server.listening; setImmediate(done); }));
  await worker.run();
  const client = net.connect(worker.servers[0].server.address().port, '127.0.0.1');
  while (asked.length === 0) await sleep(1);
  client.destroy();
  worker.begin('reload', LONG);
  assert.strictEqual(await exited, 0);
  assert.deepStrictEqual(asked, ['connection', 'shutdown']);
  assert.strictEqual(listening, false);
});

test('gRPC: calls that never end are cut off', async () => {
  const { worker, exited } = make({ byHand: { grpc: { host: '127.0.0.1', port: 0 } } });
  const asked = [];
  serveGrpc(worker, fakeGrpc(asked, () => {}));
  await worker.run();
  worker.begin('reload', 200);
  assert.strictEqual(await exited, CUT_STATUS);
  assert.deepStrictEqual(asked, ['shutdown', 'cut off']);
});
