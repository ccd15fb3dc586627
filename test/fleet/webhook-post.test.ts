// One request to an endpoint. Real: HTTP servers on this machine, sockets, Node's HTTP client. Doubled: nothing.

import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readAllowList } from '../../src/webhook/allow-list.ts';
import { createPost, type Post, type Posting } from '../../src/webhook/post.ts';
import { readTarget, type Target } from '../../src/webhook/target-url.ts';

const allow = readAllowList(['127.0.0.1'])!;
const servers: Server[] = [];
const posts: Post[] = [];

afterEach(async () => {
  for (const post of posts.splice(0)) post.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function endpoint(answer: RequestListener): Promise<Target> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return readTarget(`http://127.0.0.1:${port}/`, { allow, allowHttp: true }) as Target;
}

function created(): Post {
  const post = createPost(allow);
  posts.push(post);
  return post;
}

const posting = (over: Partial<Posting> = {}): Posting => ({
  headers: {},
  body: '{}',
  timeoutMs: 10_000,
  signal: new AbortController().signal,
  ...over,
});

describe('a request over a kept connection', () => {
  /** Answers the first request, and resets the connection of the second one after this time. */
  async function sendTwice(resetAfter: number) {
    let requests = 0;
    const target = await endpoint((request, response) => {
      requests++;
      if (requests === 2) setTimeout(() => request.socket.destroy(), resetAfter);
      else response.end(String(requests));
    });
    const post = created();
    expect(await post.send(target, posting())).toMatchObject({ status: 200, text: '1' });
    const answer = await post.send(target, posting());
    return { answer, requests };
  }

  it('that is closed at once is sent again', async () => {
    expect(await sendTwice(0)).toMatchObject({ answer: { status: 200, text: '3' }, requests: 3 });
  });

  it('that is closed after a while is not sent again: the endpoint has read it', async () => {
    expect(await sendTwice(1_200)).toMatchObject({
      answer: { lost: 'lost', ambiguous: true },
      requests: 2,
    });
  });
});

describe('a request', () => {
  it('that Node refuses to make is no answer, and nothing rejects', async () => {
    const target = await endpoint((_, response) => response.end());
    const refused = await created().send(target, posting({ headers: { 'webhook-id': '日' } }));
    expect(refused).toMatchObject({
      lost: 'lost',
      message: expect.stringMatching(/ERR_INVALID_CHAR/),
      ambiguous: false,
    });
  });
});
