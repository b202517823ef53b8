'use strict';
// A worker with grpc-js and lib/node: the service Echo.
const grpc = require('@grpc/grpc-js');
const { setTimeout: sleep } = require('node:timers/promises');

const handover = require('../../../lib/node');
const { serveGrpc, counter } = require('../../../lib/node/grpc');

const WHO = [process.pid, Number(process.env.HANDOVER_SLOT), Number(process.env.HANDOVER_GENERATION)];

function varint(number) {
  const out = [];
  for (; number > 127; number = Math.floor(number / 128)) out.push((number % 128) | 128);
  return [...out, number];
}

// numbers returns the fields of a message that has nothing but numbers.
function numbers(data) {
  const fields = {};
  for (let at = 0; at < data.length;) {
    const field = data[at++] >> 3;
    let value = 0;
    let scale = 1;
    for (let more = true; more; scale *= 128) {
      value += (data[at] & 127) * scale;
      more = data[at++] > 127;
    }
    fields[field] = value;
  }
  return { number: fields[1] ?? 0, delay: fields[2] ?? 0, messages: fields[3] ?? 0 };
}

const encode = (number) => Buffer.from([number, ...WHO].flatMap((value, i) => [(i + 1) << 3, ...varint(value)]));

function method(name, responseStream) {
  return { path: `/example.Echo/${name}`, requestStream: false, responseStream, requestSerialize: (data) => data,
    requestDeserialize: numbers, responseSerialize: encode, responseDeserialize: (data) => data };
}

async function stream(call) {
  for (let i = 1; i <= call.request.messages; i++) {
    await sleep(call.request.delay);
    call.write(call.request.number + i);
  }
  call.end();
}

const worker = handover.start();
const server = new grpc.Server({ interceptors: [counter(worker, grpc)] });
server.addService(
  { unary: method('Unary', false), serverStream: method('ServerStream', true), hang: method('Hang', true) },
  {
    unary: ({ request }, done) => setTimeout(() => done(null, request.number + 1), request.delay),
    serverStream: stream,
    hang: () => {}, // never ends
  },
);
serveGrpc(worker, server, grpc.ServerCredentials.createInsecure());
worker.run();
