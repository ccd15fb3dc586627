// The admin API of acts on one message beside retry and cancel.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import * as acts from '../acts/messages.ts';
import { copy, type CopyPorts } from '../acts/copy.ts';
import { time } from '../operate/time.ts';
import { endings } from '../operate/end.ts';
import { readDue } from '../operate/reschedule.ts';
import { actorOf } from './people.ts';

type WithId = { Params: { id: string } };

const line = z.string().min(1).max(500);
/** Why it is done, and who does it: the key does not identify a person. */
const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };

const end = z.strictObject({ then: z.enum(endings), ...about });
const reschedule = z.strictObject({ availableAt: line.optional(), in: line.optional(), ...about });

const recipients = z.union([line, z.array(line).max(100)]);
const running = z.strictObject(about);
const copying = z.strictObject({
  payload: z.unknown().optional(),
  to: z.union([line, z.array(line).min(1).max(100)]).optional(),
  cc: recipients.optional(),
  bcc: recipients.optional(),
  subject: z.string().max(2_000).optional(),
  text: z.string().nullish(),
  html: z.string().nullish(),
  deliveryKey: z.string().min(1).optional(),
  availableAt: line.optional(),
  ...about,
});
const erase = z.strictObject({ dryRun: z.boolean().default(false), ...about });

export function addMessageActs(admin: FastifyInstance, ports: CopyPorts): void {
  const { db } = ports;
  addContentActs(admin, ports);
  admin.post<WithId>(
    '/outbox/:id/end',
    { config: { about: 'Ends a running attempt: its claim is taken away', body: end } },
    async (request) => {
      const { then, ...given } = await parseArguments({ name: 'end', args: end }, request.body ?? {});
      return acts.end(db, actorOf(request, given), request.params.id, then);
    },
  );
  admin.post<{ Params: { name: string; id: string } }>(
    '/queues/:name/run/:id',
    { config: { about: 'Delivers one message of a paused queue now' } },
    async (request) => {
      const given = await parseArguments({ name: 'run', args: running }, request.body ?? {});
      const { name, id } = request.params;
      return acts.run(db, actorOf(request, given), id, name);
    },
  );
  admin.post<WithId>(
    '/outbox/:id/reschedule',
    { config: { about: 'Moves the due time of a waiting message', body: reschedule } },
    async (request) => {
      const { reason, by, ...due } = await parseArguments(
        { name: 'reschedule', args: reschedule },
        request.body ?? {},
      );
      return acts.reschedule(db, actorOf(request, { reason, by }), request.params.id, readDue(due));
    },
  );
}

/** They show or change what is in a message, so they need the role admin. */
function addContentActs(admin: FastifyInstance, ports: CopyPorts): void {
  const config = { role: 'admin' as const };
  admin.post<WithId>(
    '/outbox/:id/copy',
    { config: { ...config, about: 'Records a copy as a new message', body: copying } },
    async (request) => {
      const given = await parseArguments({ name: 'copy', args: copying }, request.body ?? {});
      const { reason, by, availableAt, ...changes } = given;
      const at = time('availableAt', availableAt);
      return copy(ports, actorOf(request, { reason, by }), request.params.id, {
        ...changes,
        availableAt: at,
      });
    },
  );
  admin.post<WithId>(
    '/outbox/:id/erase',
    { config: { ...config, about: 'Erases what a settled message says of a person', body: erase } },
    async (request) => {
      const { dryRun, ...given } = await parseArguments({ name: 'erase', args: erase }, request.body ?? {});
      return acts.erase(ports.db, actorOf(request, given), request.params.id, dryRun);
    },
  );
}
