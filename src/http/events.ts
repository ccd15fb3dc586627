// Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html): a stream that says when something has changed, for /admin and the console.

import { PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Watch, Watcher } from './change-watch.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True: the answer is a stream, which its reader ends. */
    isStream?: boolean;
  }
}

/** An event has about 100 bytes. A reader that leaves so much unread is gone. */
const mostUnread = 16_384;

/** A reader connects again after this time. */
const opening = 'retry: 2000\n\n';

/**
 * Sends events until the reader or the server ends the stream.
 * @throws WaybillError `too_many_streams`, `shutting_down`
 */
export function sendEvents(
  reply: FastifyReply,
  watch: Watch,
  { session, cost, seen }: Pick<Watcher, 'session' | 'cost' | 'seen'>,
): FastifyReply {
  const stream = new PassThrough();
  const write = (text: string): void => {
    if (stream.writableLength > mostUnread) stream.destroy();
    else if (!stream.writableEnded && !stream.destroyed) stream.write(text);
  };
  const event = (name: string, data: object): void =>
    write(`event: ${name}\ndata: ${JSON.stringify({ at: new Date(), ...data })}\n\n`);
  const leave = watch.add({
    session,
    cost,
    seen,
    changed: (changed) => event('change', { changed }),
    same: () => event('same', {}),
    alive: () => write(':\n\n'),
    end: () => stream.end(),
  });
  reply.raw.once('close', leave);
  stream.once('close', leave);
  write(opening);
  return reply
    .headers({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no', // nginx would keep the events back
    })
    .send(stream);
}

const nothing = z.strictObject({});

export function addEvents(admin: FastifyInstance, watch: Watch): void {
  admin.get(
    '/events',
    {
      exposeHeadRoute: false,
      config: {
        about: 'Server-sent events: what has changed, once a second at most',
        query: nothing,
        isStream: true,
      },
    },
    async (request, reply) => {
      await parseArguments({ name: 'events', args: nothing }, { ...(request.query as object) });
      return sendEvents(reply, watch, { session: null, cost: 0, seen: undefined });
    },
  );
}
