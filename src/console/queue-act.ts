// What the forms of queues, their groups and their order keys do.

import { z } from 'zod';
import { run } from '../acts/messages.ts';
import * as queues from '../acts/queues.ts';
import { readLimits } from '../operate/limits.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { checkKnown, type PauseEnd } from '../queues/queues.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { plural } from './figures.ts';
import { queuePath } from './queue-table.ts';

const forField = { for: z.string().max(40).default('') };

/** @throws WaybillError `invalid_pause` */
const endOf = (text = ''): PauseEnd => readPauseEnd(text.trim() === '' ? {} : { for: text.trim() });
const nameOf = (params: Readonly<Record<string, string>>): string => params['name'] ?? '';

/** Names of queues that stay as they are. */
const except = z
  .union([z.string().transform((name) => [name]), z.array(z.string())])
  .default([])
  .pipe(z.array(z.string().max(100)).max(1_000));

const pauseAll: ConsoleAct = {
  path: '/console/queues/pause',
  async run({ db, actor, form }) {
    const given = await read(z.strictObject({ ...forField, except }), form);
    const done = await queues.pauseAll(db, actor, given.except, endOf(given.for));
    return { to: '/console/queues', said: `${plural(done.length, 'queue is', 'queues are')} paused.` };
  },
};

const resumeAll: ConsoleAct = {
  path: '/console/queues/resume',
  async run({ db, actor, form }) {
    const given = await read(z.strictObject({ except }), form);
    const done = await queues.resumeAll(db, actor, given.except);
    return { to: '/console/queues', said: `${plural(done.length, 'queue is', 'queues are')} open.` };
  },
};

const pauseQueue: ConsoleAct = {
  path: '/console/queues/:name/pause',
  async run({ db, actor, params, form }) {
    const { for: duration } = await read(z.strictObject(forField), form);
    const { name } = await queues.pause(db, actor, nameOf(params), endOf(duration));
    return { to: queuePath(name), said: `${name} is paused.` };
  },
};

const resumeQueue: ConsoleAct = {
  path: '/console/queues/:name/resume',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name } = await queues.resume(db, actor, nameOf(params));
    return { to: queuePath(name), said: `${name} is open.` };
  },
};

const limitField = z.string().trim().max(40).default('');
const limitFields = z.strictObject({
  rate: limitField,
  burst: limitField,
  concurrency: limitField,
  perProcess: limitField,
  perGroupConcurrency: limitField,
  perGroupRate: limitField,
  ramp: limitField,
});

const limitQueue: ConsoleAct = {
  path: '/console/queues/:name/limit',
  async run({ db, actor, params, form }) {
    const given = await read(limitFields, form);
    const set = Object.fromEntries(Object.entries(given).filter(([, text]) => text !== ''));
    const { name, limits } = await queues.limit(db, actor, nameOf(params), readLimits(set));
    const looser = limits.looser.length === 0 ? '' : ' Some allow more than the application’s.';
    return { to: queuePath(name), said: `The limits of ${name} are set.${looser}` };
  },
};

const resetQueue: ConsoleAct = {
  path: '/console/queues/:name/reset',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name } = await queues.limit(db, actor, nameOf(params), undefined);
    return { to: queuePath(name), said: `The application’s limits of ${name} hold again.` };
  },
};

const groupField = { group: z.string().min(1).max(200) };

const pauseGroup: ConsoleAct = {
  path: '/console/queues/:name/groups/pause',
  async run({ db, actor, params, form }) {
    const { group, for: duration } = await read(z.strictObject({ ...groupField, ...forField }), form);
    const queue = nameOf(params);
    await queues.pauseOf(db, actor, { queue, group }, endOf(duration));
    return { to: queuePath(queue), said: `The group ${group} is paused.` };
  },
};

const resumeGroup: ConsoleAct = {
  path: '/console/queues/:name/groups/resume',
  async run({ db, actor, params, form }) {
    const { group } = await read(z.strictObject(groupField), form);
    const queue = nameOf(params);
    await queues.resumeOf(db, actor, { queue, group });
    return { to: queuePath(queue), said: `The group ${group} is open.` };
  },
};

const runOne: ConsoleAct = {
  path: '/console/queues/:name/run',
  async run({ db, actor, params, form }) {
    const { id } = await read(z.strictObject({ id: z.string().trim().max(80) }), form);
    const name = nameOf(params);
    await checkKnown(db, name);
    await run(db, actor, id, name);
    return { to: `/console/messages/${id}`, said: 'It is due now, and a worker takes it through the pause.' };
  },
};

const unblockKey: ConsoleAct = {
  path: '/console/queues/:name/unblock',
  async run({ db, actor, params, form }) {
    const { orderKey } = await read(z.strictObject({ orderKey: z.string().min(1).max(200) }), form);
    const { queue } = await queues.unblock(db, actor, { queue: nameOf(params), orderKey });
    return { to: queuePath(queue), said: `The order key ${orderKey} goes on.` };
  },
};

export const queueActs: readonly ConsoleAct[] = [
  pauseAll,
  resumeAll,
  pauseQueue,
  resumeQueue,
  limitQueue,
  resetQueue,
  pauseGroup,
  resumeGroup,
  runOne,
  unblockKey,
];
