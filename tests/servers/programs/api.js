'use strict';
// api.js [PORT]: a server of node:http that knows nothing of handover; without a port only that its socket is descriptor 3. It answers JSON-RPC as rpc-worker does.
const http = require('node:http');

const { HANDOVER_SLOT: slot, HANDOVER_GENERATION: generation } = process.env;

const server = http.createServer((request, answer) => {
  let body = '';
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => {
    const { id, method, params } = JSON.parse(body);
    if (method === 'hang') return;
    const result = { sum: params.a + params.b, pid: process.pid, slot: Number(slot), generation: Number(generation), version: 'node' };
    setTimeout(() => answer.end(JSON.stringify({ jsonrpc: '2.0', id, result })), method === 'work' ? params.ms : 0);
  });
});
server.listen(process.argv[2] ? { host: '127.0.0.1', port: process.argv[2] } : { fd: 3 });
process.on('SIGTERM', () => server.close());
