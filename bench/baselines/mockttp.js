// mockttp with message events. Usage: node mockttp.js PORT UPSTREAM_PORT ws|wss CERT KEY (npm install mockttp in bench/build)
const mockttp = require(process.env.BENCH_NODE + '/node_modules/mockttp');
const fs = require('fs');
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
(async () => {
  const [port, upstream, scheme, cert, key] = process.argv.slice(2);
  const https = { cert: fs.readFileSync(cert, 'utf8'), key: fs.readFileSync(key, 'utf8') };
  const server = mockttp.getLocal({ https, recordTraffic: false, http2: false });
  await server.forAnyWebSocket().thenForwardTo(`${scheme}://127.0.0.1:${upstream}`, { ignoreHostHttpsErrors: true });
  let count = 0;
  await server.on('websocket-message-received', () => { count++; });
  await server.on('websocket-message-sent', () => { count++; });
  await server.start(+port);
})();
