// The admin API of acts on one message beside retry and cancel.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import * as acts from '../acts/messages.ts';
import type { Database } from '../db/pool.ts';
import { endings } from '../operate/end.ts';
import { readDue } from '../operate/reschedule.ts';
import { actorOf } from './people.ts';

type WithId = { Params: { id: string } };

const line = z.string().min(1).max(500);
/** Why it is done, and who does it: the key does not identify a person. */
const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };

const end = z.strictObject({ then: z.enum(endings), ...about });
const reschedule = z.strictObject({ availableAt: line.optional(), in: line.optional(), ...about });

export function addMessageActs(admin: FastifyInstance, { db }: { readonly db: Database }): void {
  admin.post<WithId>('/outbox/:id/end', async (request) => {
    const { then, ...given } = await parseArguments({ name: 'end', args: end }, request.body ?? {});
    return acts.end(db, actorOf(request, given), request.params.id, then);
  });
  admin.post<WithId>('/outbox/:id/reschedule', async (request) => {
    const { reason, by, ...due } = await parseArguments(
      { name: 'reschedule', args: reschedule },
      request.body ?? {},
    );
    return acts.reschedule(db, actorOf(request, { reason, by }), request.params.id, readDue(due));
  });
}
