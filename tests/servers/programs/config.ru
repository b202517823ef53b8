# An application for rack. It answers JSON-RPC as rpc-worker does.
require 'json'

run(lambda do |env|
  ask = JSON.parse(env['rack.input'].read)
  params = ask['params']
  sleep if ask['method'] == 'hang'
  sleep params['ms'] / 1000.0 if ask['method'] == 'work'
  result = { sum: params['a'] + params['b'], pid: ENV['OUR_PARENT'] ? Process.ppid : Process.pid,
             slot: ENV['HANDOVER_SLOT'].to_i, generation: ENV['HANDOVER_GENERATION'].to_i, version: 'ruby' }
  body = JSON.generate(jsonrpc: '2.0', id: ask['id'], result: result)
  [200, { 'Content-Type' => 'application/json', 'Content-Length' => body.bytesize.to_s }, [body]]
end)
