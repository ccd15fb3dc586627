// The event stream of an open page of the console. It costs nothing while the page is hidden: the script closes it then.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { readSnapshot } from '../operate/changes.ts';
import type { ConsolePorts } from './console-session.ts';
import { sendEvents } from './events.ts';

const asked = z.strictObject({
  /** What the page shows. */
  seen: z.string().max(200).default(''),
  /** Statements that reading the page takes. */
  cost: z.coerce.number().int().min(1).max(300),
});

/** On a server whose pages ask for a session. */
export function addConsoleEvents(server: FastifyInstance, { watch }: Pick<ConsolePorts, 'watch'>): void {
  server.get(
    '/console/events',
    { exposeHeadRoute: false, config: { role: 'read', isStream: true } },
    async (request, reply) => {
      const args = { name: 'events', args: asked };
      const { seen, cost } = await parseArguments(args, { ...(request.query as object) });
      const { id, until } = request.consoleSession!;
      return sendEvents(reply, watch, { session: { id, until }, cost, seen: readSnapshot(seen) });
    },
  );
}
