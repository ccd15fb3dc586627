// What the forms of a process do.

import { z } from 'zod';
import { goOn, quiet } from '../acts/fleet.ts';
import { databaseToName } from '../config/databases.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';

const fields = z.strictObject({ for: z.string().trim().max(40).default('') });

/** A process has a row in each of several databases, and is quieted in one. */
function fromOne(config: Parameters<typeof databaseToName>[0]): string {
  const database = databaseToName(config);
  return database === null ? '' : ` from the database ${database}`;
}

const quietOne: ConsoleAct = {
  path: '/console/fleet/:id/quiet',
  async run({ db, config, actor, params, form }) {
    const { for: duration } = await read(fields, form);
    const { id } = await quiet(
      db,
      actor,
      params['id'] ?? '',
      readPauseEnd(duration === '' ? {} : { for: duration }),
    );
    return { to: '/console/fleet', said: `The process ${id} claims nothing more${fromOne(config)}.` };
  },
};

const resumeOne: ConsoleAct = {
  path: '/console/fleet/:id/resume',
  async run({ db, config, actor, params, form }) {
    await read(nothing, form);
    const { id } = await goOn(db, actor, params['id'] ?? '');
    return { to: '/console/fleet', said: `The process ${id} claims again${fromOne(config)}.` };
  },
};

export const fleetActs: readonly ConsoleAct[] = [quietOne, resumeOne];
