// What the forms of the console do. Each act is a function of src/acts, the same that HTTP and the command line call.

import { z } from 'zod';
import { cancel, retry } from '../acts/messages.ts';
import { disableCron, enableCron, runCron } from '../acts/cron.ts';
import * as queues from '../acts/queues.ts';
import { suppressAddress, unsuppressAddress } from '../acts/suppressions.ts';
import { isWaybillError } from '../errors.ts';
import { readLimits } from '../operate/limits.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { isMessageId } from '../operate/read.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { plural } from './figures.ts';
import { messageActs } from './message-act.ts';
import { queuePath } from './queue-table.ts';
import { mostSelected } from './selected.ts';

const selection = z.strictObject({
  act: z.enum(['retry', 'cancel']),
  id: z.union([z.string(), z.array(z.string())]).transform((ids) => [ids].flat()),
});

/** One after the other, each in a transaction of its own and in the audit; what cannot be done any more is counted. */
const onSelected: ConsoleAct = {
  path: '/console/messages/selected',
  async run({ db, actor, form }) {
    const { act, id } = await read(selection, form);
    const wanted = id.filter(isMessageId).slice(0, mostSelected);
    let done = 0;
    for (const one of wanted) {
      try {
        await (act === 'retry' ? retry : cancel)(db, actor, one);
        done += 1;
      } catch (error) {
        if (!isWaybillError(error)) throw error; // it has another state now, or was pruned
      }
    }
    const left = wanted.length - done;
    const rest = left === 0 ? '' : `; ${plural(left, 'message')} could not be: the state has changed`;
    return {
      to: '/console/messages',
      said: `${plural(done, 'message')} ${act === 'retry' ? 'retried' : 'cancelled'}${rest}.`,
    };
  },
};

const pauseFields = z.strictObject({ for: z.string().max(40).default('') });

const pauseQueue: ConsoleAct = {
  path: '/console/queues/:name/pause',
  async run({ db, actor, params, form }) {
    const { for: duration } = await read(pauseFields, form);
    const end = readPauseEnd(duration.trim() === '' ? {} : { for: duration.trim() });
    const { name } = await queues.pause(db, actor, params['name'] ?? '', end);
    return { to: queuePath(name), said: `${name} is paused.` };
  },
};

const resumeQueue: ConsoleAct = {
  path: '/console/queues/:name/resume',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name } = await queues.resume(db, actor, params['name'] ?? '');
    return { to: queuePath(name), said: `${name} is open.` };
  },
};

const limitFields = z.strictObject({
  rate: z.string().max(40).default(''),
  concurrency: z.string().max(40).default(''),
  perGroupConcurrency: z.string().max(40).default(''),
});

const limitQueue: ConsoleAct = {
  path: '/console/queues/:name/limit',
  async run({ db, actor, params, form }) {
    const given = await read(limitFields, form);
    const set = Object.fromEntries(Object.entries(given).filter(([, text]) => text.trim() !== ''));
    const { name } = await queues.limit(db, actor, params['name'] ?? '', readLimits(set));
    return { to: queuePath(name), said: `The limits of ${name} are set.` };
  },
};

const resetQueue: ConsoleAct = {
  path: '/console/queues/:name/reset',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name } = await queues.limit(db, actor, params['name'] ?? '', undefined);
    return { to: queuePath(name), said: `The application’s limits of ${name} hold again.` };
  },
};

const groupFields = z.strictObject({ group: z.string().min(1).max(200) });

function onGroup(act: 'pause' | 'resume'): ConsoleAct {
  return {
    path: `/console/queues/:name/groups/${act}`,
    async run({ db, actor, params, form }) {
      const { group } = await read(groupFields, form);
      const of = { queue: params['name'] ?? '', group };
      await (act === 'pause' ? queues.pauseOf(db, actor, of, {}) : queues.resumeOf(db, actor, of));
      return {
        to: queuePath(of.queue),
        said: `The group ${group} is ${act === 'pause' ? 'paused' : 'open'}.`,
      };
    },
  };
}

const unblockKey: ConsoleAct = {
  path: '/console/queues/:name/unblock',
  async run({ db, actor, params, form }) {
    const { orderKey } = await read(z.strictObject({ orderKey: z.string().min(1).max(200) }), form);
    const { queue } = await queues.unblock(db, actor, { queue: params['name'] ?? '', orderKey });
    return { to: queuePath(queue), said: `The order key ${orderKey} goes on.` };
  },
};

const runJob: ConsoleAct = {
  path: '/console/cron/:name/run',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name, messageId } = await runCron(db, actor, params['name'] ?? '', null);
    const to = messageId === null ? '/console/cron' : `/console/messages/${messageId}`;
    return { to, said: `One run of ${name} is recorded.` };
  },
};

function onJob(act: 'disable' | 'enable'): ConsoleAct {
  return {
    path: `/console/cron/:name/${act}`,
    async run({ db, actor, params, form }) {
      const { for: duration } = await read(pauseFields, form);
      const job = params['name'] ?? '';
      const end = readPauseEnd(duration.trim() === '' ? {} : { for: duration.trim() });
      await (act === 'disable' ? disableCron(db, actor, job, end) : enableCron(db, actor, job));
      return { to: '/console/cron', said: `${job} is ${act}d.` };
    },
  };
}

const addressField = z.strictObject({ address: z.string().max(320) });

const addSuppression: ConsoleAct = {
  path: '/console/suppressions/add',
  async run({ db, actor, form }) {
    const { address } = await read(addressField, form);
    const isNew = await suppressAddress(db, actor, address, actor.reason ?? 'added by an operator');
    return {
      to: '/console/suppressions',
      said: isNew ? 'The address is added.' : 'The address was there already.',
    };
  },
};

const removeSuppression: ConsoleAct = {
  path: '/console/suppressions/remove',
  async run({ db, actor, form }) {
    const { address } = await read(addressField, form);
    const was = await unsuppressAddress(db, actor, address);
    return {
      to: '/console/suppressions',
      said: was ? 'The address is removed.' : 'The address was not on the list.',
    };
  },
};

export const consoleActs: readonly ConsoleAct[] = [
  ...messageActs,
  onSelected,
  pauseQueue,
  resumeQueue,
  limitQueue,
  resetQueue,
  onGroup('pause'),
  onGroup('resume'),
  unblockKey,
  runJob,
  onJob('disable'),
  onJob('enable'),
  addSuppression,
  removeSuppression,
];
