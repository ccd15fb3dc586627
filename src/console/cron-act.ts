// What the forms of a cron job do.

import { z } from 'zod';
import { backfillCron, disableCron, enableCron, runCron } from '../acts/cron.ts';
import { readRange } from '../cron/backfill.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { jobPath } from './cron-table.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';
import { plural } from './figures.ts';

const nameOf = (params: Readonly<Record<string, string>>): string => params['name'] ?? '';

const runJob: ConsoleAct = {
  path: '/console/cron/:name/run',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { name, messageId } = await runCron(db, actor, nameOf(params), null);
    const to = messageId === null ? jobPath(name) : `/console/messages/${messageId}`;
    return { to, said: `One run of ${name} is recorded.` };
  },
};

const pauseFields = z.strictObject({ for: z.string().max(40).default('') });

function onJob(act: 'disable' | 'enable'): ConsoleAct {
  return {
    path: `/console/cron/:name/${act}`,
    async run({ db, actor, params, form }) {
      const { for: duration } = await read(pauseFields, form);
      const job = nameOf(params);
      const end = readPauseEnd(duration.trim() === '' ? {} : { for: duration.trim() });
      await (act === 'disable' ? disableCron(db, actor, job, end) : enableCron(db, actor, job));
      return { to: jobPath(job), said: `${job} is ${act}d.` };
    },
  };
}

const rangeFields = z.strictObject({
  from: z.string().max(40),
  to: z.string().max(40),
  /** The count of the preview, typed where it is large. */
  expect: z
    .string()
    .trim()
    .regex(/^[\d,]{1,7}$/, 'type the count of the preview')
    .transform((text) => Number(text.replaceAll(',', ''))),
});

const backfillJob: ConsoleAct = {
  path: '/console/cron/:name/backfill',
  async run({ db, actor, params, form }) {
    const { from, to, expect } = await read(rangeFields, form);
    const name = nameOf(params);
    const { runs } = await backfillCron(db, actor, name, readRange({ from, to }), { expect });
    return { to: jobPath(name), said: `${plural(runs.length, 'run')} of ${name} recorded.` };
  },
};

export const cronActs: readonly ConsoleAct[] = [runJob, onJob('disable'), onJob('enable'), backfillJob];
