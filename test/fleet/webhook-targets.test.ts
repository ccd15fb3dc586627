// What a webhook never reaches: every way to name an address that is not public. Real: HTTP servers, sockets, Node's DNS client, and a DNS server
// on this machine. Doubled: the name servers of the internet.

import { createServer, type Server } from 'node:http';
import { createSocket, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import dnsPacket from 'dns-packet';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { allowNothing, readAllowList } from '../../src/webhook/allow-list.ts';
import { dnsResolve } from '../../src/webhook/lookup.ts';
import { createPost } from '../../src/webhook/post.ts';
import { readAddress, whyNotPublic } from '../../src/webhook/public-address.ts';
import { readTarget } from '../../src/webhook/target-url.ts';

/** Everything that listens on this machine: whatever reaches it was not refused. */
let canary: Server;
let canary6: Server | undefined;
let port: number;
let reached = 0;
let names: Socket;
/** Name → its addresses, one list for each question in turn; the last list stays. */
const zone = new Map<string, string[][]>();
const asked = new Map<string, number>();

const listening = (host: string, at: number): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((_, response) => response.end('private'));
    server.on('connection', () => reached++);
    server.once('error', reject);
    server.listen(at, host, () => resolve(server));
  });

beforeAll(async () => {
  canary = await listening('127.0.0.1', 0);
  ({ port } = canary.address() as AddressInfo);
  canary6 = await listening('::1', port).catch(() => undefined); // a machine without IPv6
  names = createSocket('udp4');
  names.on('message', (message, { port: to }) =>
    names.send(dnsPacket.encode(answerOf(message)), to, '127.0.0.1'),
  );
  await new Promise<void>((resolve) => names.bind(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  names.close();
  for (const server of [canary, canary6])
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(null)));
});

afterEach(() => {
  reached = 0;
});

function answerOf(message: Buffer): dnsPacket.Packet {
  const { id, questions = [] } = dnsPacket.decode(message);
  const [{ name, type }] = questions as [dnsPacket.Question];
  const lists = zone.get(name.toLowerCase()) ?? [[]];
  const n = asked.get(`${name} ${type}`) ?? 0;
  asked.set(`${name} ${type}`, n + 1);
  const addresses = lists[Math.min(n, lists.length - 1)]!.filter(
    (one) => one.includes(':') === (type === 'AAAA'),
  );
  const answers = addresses.map((data) => ({ name, type: type as 'A', ttl: 0, data }));
  return { type: 'response', id, flags: dnsPacket.RECURSION_AVAILABLE, questions, answers };
}

/** Sends to a URL as a delivery does. `PORT` is the canary's. @returns why nothing was sent, or what came of it */
async function send(url: string, { allow = allowNothing, timeoutMs = 2_000 } = {}): Promise<string> {
  const target = readTarget(url.replaceAll('PORT', String(port)), { allow, allowHttp: true });
  if ('problem' in target) return target.problem;
  const post = createPost(allow, dnsResolve([`127.0.0.1:${(names.address() as AddressInfo).port}`]));
  const posting = { headers: {}, body: '{}', timeoutMs, signal: new AbortController().signal };
  const answer = await post.send(target, posting);
  return 'lost' in answer ? `${answer.lost}: ${answer.message}` : `${answer.status} ${answer.location ?? ''}`;
}

const notPublic = /not a public address/;

describe('an address in the URL', () => {
  const hosts = [
    // This machine, in every form that a C library or a browser reads.
    '127.0.0.1', '127.1', '127.0.1', '127.0.0.2', '127.255.255.255', '127.0.0.1.', '127.1.', '2130706433', '0x7f000001', '0x7F.0x0.0x0.0x1',
    '0x7f.1', '127.0x1', '0177.0.0.1', '0177.1', '017700000001', '00000177.0.0.1', '0x7f.0.0.01', '%31%32%37.0.0.1', '127.0.0.%31',
    '１２７.０.０.１', '127。0。0。1', '①②⑦.⓪.⓪.①', '0', '00', '0x0', '0.0.0.0', '0.1.2.3',
    'localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'ｌｏｃａｌｈｏｓｔ', 'loc%61lhost', 'ⓛocalhost',
    // Private networks, and the metadata of clouds.
    '10.0.0.1', '10.1', '0xa000001', '012.0.0.1', '172.16.0.1', '172.31.255.254', '192.168.1.1', '192.168.257', '3232235777', '0300.0250.1.1',
    '169.254.169.254', '2852039166', '0xA9FEA9FE', '0251.0376.0251.0376', '169.254.43518', '100.64.0.1', '168.63.129.16', '100.127.255.254',
    // Reserved for purposes: protocols, documentation, benchmarks, relays, multicast, broadcast.
    '192.0.0.8', '192.0.2.1', '198.18.0.1', '198.19.255.254', '198.51.100.7', '203.0.113.9', '192.88.99.1', '192.175.48.1', '192.31.196.1',
    '192.52.193.1', '224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255',
    // IPv6: itself, and with an IPv4 address inside.
    '[::1]', '[0:0:0:0:0:0:0:1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::ffff:169.254.169.254]', '[::127.0.0.1]', '[::7f00:1]',
    '[::ffff:0:127.0.0.1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::a00:1]', '[2002:7f00:1::]', '[2002:a9fe:a9fe::1]',
    '[2001::1]', '[2001:0:7f00:1::]', '[fe80::1]', '[febf::1]', '[fc00::1]', '[fd00:ec2::254]', '[fec0::1]', '[ff02::1]', '[ff0e::1]',
    '[2001:db8::1]', '[3fff::1]', '[100::1]', '[5f00::1]', '[2001:2::1]', '[2001:10::1]', '[2001:20::1]', '[2620:4f:8000::1]', '[4000::1]', '[8000::1]',
  ]; // prettier-ignore

  it.each(hosts)('%s is refused', async (host) => {
    expect(await send(`http://${host}:PORT/`)).toMatch(notPublic);
    expect(reached).toBe(0);
  });

  it('is refused in more than 57 forms', () => expect(new Set(hosts).size).toBeGreaterThan(57));

  it.each([
    ['a user before it', 'http://example.com@127.0.0.1:PORT/', /user or a password/],
    ['a user and a password', 'http://a:b@example.com:PORT/', /user or a password/],
    ['a backslash', 'http://127.0.0.1:PORT\\@example.com/', notPublic],
    ['a hash', 'http://127.0.0.1:PORT#@example.com/', notPublic],
    ['a tab inside', 'http://127.0\t.0.1:PORT/', notPublic],
    ['a line end inside', 'http://127.0.0\n.1:PORT/', notPublic],
    ['no slashes', 'http:127.0.0.1:PORT/', notPublic],
    ['too many slashes', 'http:////127.0.0.1:PORT/', notPublic],
    ['backslashes for slashes', 'http:\\\\127.0.0.1:PORT\\', notPublic],
    ['spaces around it', '  http://127.0.0.1:PORT/  ', notPublic],
    ['a zone', 'http://[fe80::1%25lo]:PORT/', /must be an absolute URL|not a public/],
    ['no host', 'http://', /must be an absolute URL/],
    ['a file', 'file:///etc/passwd', /must begin with https/],
    ['another protocol', 'gopher://127.0.0.1:PORT/', /must begin with https/],
    ['data', 'data:text/plain,a', /must begin with https/],
    ['a single word', 'http://intranet:PORT/', /no full name/],
    ['the port of a mail server', 'http://example.com:25/', /the port 25/],
    ['no URL', 'not a url', /must be an absolute URL/],
    ['a relative URL', '/orders', /must be an absolute URL/],
    ['a URL of 3,000 characters', `http://example.com/${'a'.repeat(3_000)}`, /at most 2048/],
  ])('with %s is refused', async (_, url, problem) => {
    expect(await send(url)).toMatch(problem);
    expect(reached).toBe(0);
  });

  it.each([7, null, undefined, {}, ['http://127.0.0.1']])('%j is no URL', (given) => {
    expect(readTarget(given, { allow: allowNothing, allowHttp: true })).toHaveProperty('problem');
  });

  it('over plain http is refused unless the definition allows it', () => {
    const rules = { allow: allowNothing, allowHttp: false };
    expect(readTarget('http://example.com/', rules)).toMatchObject({
      problem: expect.stringMatching(/https/),
    });
    expect(readTarget('https://example.com/', rules)).toMatchObject({ host: 'example.com' });
  });
});

describe('a name', () => {
  const addresses = [
    ['127.0.0.1'], ['::1'], ['10.0.0.1'], ['169.254.169.254'], ['fd00:ec2::254'], ['::ffff:127.0.0.1'], ['64:ff9b::7f00:1'], ['0.0.0.0'], ['100.64.1.1'],
    // One public address beside it changes nothing.
    ['8.8.8.8', '127.0.0.1'], ['127.0.0.1', '8.8.8.8'], ['2606:4700::1111', '::1'], ['8.8.8.8', '::1'], ['127.0.0.1', '2606:4700::1111'],
  ]; // prettier-ignore

  it.each(addresses.map((its) => [its.join(' and ')]))(
    'with %s is refused when the socket connects',
    async (its) => {
      zone.set('hooks.test', [its.split(' and ')]);
      asked.clear();
      expect(await send('http://hooks.test:PORT/')).toMatch(/^refused: .*not a public address/);
      expect(reached).toBe(0);
    },
  );

  it('that has another address at the second question is asked once, and the socket gets what was checked', async () => {
    // 8.8.8.8 at the check, and this machine for whoever asks again.
    zone.set('rebinding.test', [['8.8.8.8'], ['127.0.0.1']]);
    asked.clear();
    expect(await send('http://rebinding.test:PORT/', { timeoutMs: 300 })).toMatch(/^(timeout|lost)/);
    expect(reached).toBe(0);
    expect(asked.get('rebinding.test A')).toBe(1);
    expect(await send('http://rebinding.test:PORT/')).toMatch(/^refused/); // each connection is checked
    expect(reached).toBe(0);
  });

  it('that nobody knows has no answer, which may pass', async () => {
    zone.set('gone.test', [[]]);
    expect(await send('http://gone.test:PORT/')).toMatch(/^lost: /);
  });

  it('is asked of the name servers, not of /etc/hosts', async () => {
    zone.set('localhost.test', [['127.0.0.1']]);
    expect(await send('http://localhost.test:PORT/')).toMatch(/^refused/);
  });
});

describe('a redirect', () => {
  let from: Server;
  let location = '';
  let status = 302;
  beforeAll(async () => {
    from = createServer((_, response) =>
      response.writeHead(status, { location, refresh: `0; url=${location}` }).end(),
    );
    await new Promise<void>((resolve) => from.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => new Promise((resolve) => from.close(resolve)));

  it.each([301, 302, 303, 307, 308])('with %i is an answer, not a way', async (code) => {
    status = code;
    location = `http://127.0.0.1:${port}/secret-path`;
    const { port: at } = from.address() as AddressInfo;
    // The redirecting server is allowed, and even so its target is not called.
    expect(await send(`http://127.0.0.1:${at}/`, { allow: readAllowList(['127.0.0.1'])! })).toBe(
      `${code} 127.0.0.1:${port}`,
    );
    expect(reached).toBe(0);
  });
});

describe('the allow list', () => {
  it.each([
    ['an address', '127.0.0.1', '127.0.0.1'],
    ['a range', '127.0.0.0/8', '127.0.0.1'],
    ['a name', 'localhost', 'localhost'],
    ['the range of the address that a name has', '127.0.0.0/8', 'inside.test'],
  ])('lets %s through', async (_, item, host) => {
    zone.set('inside.test', [['127.0.0.1']]);
    expect(await send(`http://${host}:PORT/`, { allow: readAllowList([item])! })).toBe('200 ');
    expect(reached).toBe(1);
  });

  it('lets nothing else through', async () => {
    const allow = readAllowList(['10.0.0.0/8', 'inside.example'])!;
    expect(await send('http://127.0.0.1:PORT/', { allow })).toMatch(notPublic);
    expect(await send('http://[::ffff:10.0.0.1]:PORT/', { allow })).toMatch(notPublic);
  });

  it.each(['', '10.0.0.0/33', '10.0.0.0/', 'a b', 'http://a', '10.1', '1.2.3.4.5', '*', '*.a.test', '-a'])(
    'refuses %j',
    (item) => expect(readAllowList([item])).toBeUndefined(),
  );
});

describe("IANA's registries", () => {
  // www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-special-registry, and the multicast spaces.
  const special = [
    '0.0.0.0', '10.0.0.0', '100.64.0.0', '127.0.0.0', '169.254.0.0', '172.16.0.0', '192.0.0.0', '192.0.2.0', '192.31.196.0', '192.52.193.0', '192.88.99.0',
    '192.168.0.0', '192.175.48.0', '198.18.0.0', '198.51.100.0', '203.0.113.0', '224.0.0.0', '240.0.0.0', '255.255.255.255',
    '::1', '::', '::ffff:0:0', '64:ff9b::', '64:ff9b:1::', '100::', '100:0:0:1::', '2001::', '2001:1::1', '2001:2::', '2001:3::', '2001:4:112::',
    '2001:10::', '2001:20::', '2001:30::', '2001:db8::', '2002::', '2620:4f:8000::', '3fff::', '5f00::', 'fc00::', 'fe80::', 'ff00::',
  ]; // prettier-ignore

  it.each(special)('%s is not public', (text) => expect(whyNotPublic(readAddress(text)!)).toBeDefined());

  it.each(['8.8.8.8', '1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '172.15.0.1', '172.32.0.1', '192.167.1.1', '223.255.255.255',
    '2606:4700::1111', '2a00:1450::1', '2001:200::1', '2400::1'])('%s is public', (text) => {
    expect(whyNotPublic(readAddress(text)!)).toBeUndefined();
  }); // prettier-ignore
});
