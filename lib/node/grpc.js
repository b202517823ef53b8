'use strict';
// Servers of @grpc/grpc-js under a worker.
//
//   serveGrpc(worker, server, grpc.ServerCredentials.createInsecure());
//   worker.run();

const net = require('node:net');

// serveGrpc lets server serve the socket of that name (none: the only one). Accepting ends first, then clients hear GOAWAY;
// the other order loses calls.
function serveGrpc(worker, server, credentials, name) {
  const injector = server.createConnectionInjector(credentials);
  const listener = net.createServer((socket) => injector.injectConnection(socket));
  worker.serve(listener, {
    name,
    drain: () => new Promise((done) => { server.tryShutdown(done); }),
    stop: () => server.forceShutdown(),
  });
}

// counter returns an interceptor of the server, which names the calls that a drain has to cut off:
// new grpc.Server({ interceptors: [counter(worker, grpc)] }).
function counter(worker, grpc) {
  return (descriptor, call) => {
    const end = worker.call(`${descriptor.path} from ${call.getPeer()}`);
    return new grpc.ServerInterceptingCall(call, new grpc.ResponderBuilder()
      .withStart((next) => next(new grpc.ServerListenerBuilder().withOnCancel(end).build()))
      .withSendStatus((status, next) => { end(); next(status); })
      .build());
  };
}

module.exports = { serveGrpc, counter };
