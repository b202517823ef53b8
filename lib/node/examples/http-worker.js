#!/usr/bin/node
'use strict';
// A complete worker: JSON-RPC over HTTP, with background work and a resource to close.

const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const handover = require('..');

const worker = handover.start({ byHand: { rpc: { host: '127.0.0.1', port: 18940 } } });
let answered = 0;

async function work({ method, params }) {
  if (method === 'work') await sleep(params.ms); // takes so long
  if (method === 'hang') await new Promise(() => {}); // never ends, whatever becomes of its client: see what a drain does with it
  answered += 1;
  return {
    pid: process.pid,
    slot: Number(process.env.HANDOVER_SLOT ?? 0),
    generation: Number(process.env.HANDOVER_GENERATION ?? 0),
    version: 'node',
    sum: params.a + params.b,
  };
}

// housekeeping goes on until the drain starts. A round that has begun is finished.
async function housekeeping() {
  while (!worker.signal.aborted) {
    await sleep(60000, undefined, { signal: worker.signal }).catch(() => {});
    console.log(`answered ${answered} calls so far`);
  }
}

const server = http.createServer(async (request, answer) => {
  if (request.url === '/healthz') { // over the probe socket, with ready = http:/healthz
    answer.end('well');
    return;
  }
  let body = '';
  for await (const piece of request) body += piece;
  const question = JSON.parse(body);
  const result = await work(question);
  answer.setHeader('Content-Type', 'application/json');
  answer.end(JSON.stringify({ jsonrpc: '2.0', id: question.id, result }));
});

worker.go('housekeeping', housekeeping());
worker.onClose('count', () => console.log(`answered ${answered} calls`));
worker.serveHttp(server);
worker.run();
