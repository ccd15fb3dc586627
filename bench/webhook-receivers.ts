// The receivers of the benchmark of webhooks, in a process of their own. The path says what an endpoint does: /good and /other answer 200, /fail 500,
// /hang never.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { now } from './app.ts';

let latencies: number[] = [];
let bad = 0;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url !== '/good') bad++;
    if (request.url === '/hang') return;
    if (request.url === '/fail') return void response.writeHead(500).end('away');
    if (request.url === '/other') return void response.writeHead(200).end('ok');
    const { at } = JSON.parse(Buffer.concat(chunks).toString()) as { at: number };
    latencies.push(now() - at);
    response.writeHead(200).end('ok');
  });
});
server.keepAliveTimeout = 10_000;
server.listen(0, '0.0.0.0', () => process.send?.({ port: (server.address() as AddressInfo).port }));

process.on('message', () => {
  process.send?.({ latencies, bad });
  [latencies, bad] = [[], 0];
});
process.on('disconnect', () => process.exit(0));
