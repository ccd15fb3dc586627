// What the forms of a process do.

import { z } from 'zod';
import { goOn, quiet } from '../acts/fleet.ts';
import { readPauseEnd } from '../operate/pause.ts';
import { nothing, read, type ConsoleAct } from './doing.ts';

const fields = z.strictObject({ for: z.string().trim().max(40).default('') });

const quietOne: ConsoleAct = {
  path: '/console/fleet/:id/quiet',
  async run({ db, actor, params, form }) {
    const { for: duration } = await read(fields, form);
    const { id } = await quiet(
      db,
      actor,
      params['id'] ?? '',
      readPauseEnd(duration === '' ? {} : { for: duration }),
    );
    return { to: '/console/fleet', said: `The process ${id} claims nothing more.` };
  },
};

const resumeOne: ConsoleAct = {
  path: '/console/fleet/:id/resume',
  async run({ db, actor, params, form }) {
    await read(nothing, form);
    const { id } = await goOn(db, actor, params['id'] ?? '');
    return { to: '/console/fleet', said: `The process ${id} claims again.` };
  },
};

export const fleetActs: readonly ConsoleAct[] = [quietOne, resumeOne];
