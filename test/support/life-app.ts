// An application whose setup, work and teardown each leave a line in the file that LIFE_FILE names. LIFE_SETUP and LIFE_TEARDOWN say how
// the hooks go wrong.

import { appendFileSync, existsSync } from 'node:fs';
import { z } from 'zod';
import { defineAction, defineApp, defineJob } from '../../src/index.ts';
import { until } from './wait.ts';

const file = process.env['LIFE_FILE'];
const how = { setup: process.env['LIFE_SETUP'], teardown: process.env['LIFE_TEARDOWN'] };

function note(what: string): void {
  if (file) appendFileSync(file, `${what}\n`);
}

/** Undefined when the hook is to go well. */
function fate(hook: 'setup' | 'teardown'): Promise<unknown> | undefined {
  if (how[hook] === 'waits for a file') return until(() => existsSync(`${file}.go`));
  if (how[hook] === 'throws') throw new Error(`${hook} found no key`);
  if (how[hook] === 'throws a text') throw `${hook} found no key`; // oxlint-disable-line typescript/only-throw-error -- hooks are other people's code
  if (how[hook] === 'never ends') return new Promise(() => void setInterval(() => undefined, 60_000));
  return undefined;
}

let ready = false;

const work = defineJob({
  name: 'work',
  payload: z.object({}),
  handler: async () => note(ready ? 'work' : 'work before setup'),
});

const ask = defineAction({
  name: 'ask',
  args: z.object({}),
  access: 'public',
  async handler() {
    note(ready ? 'action' : 'action before setup');
    return {};
  },
});

export default defineApp({
  jobs: [work],
  actions: [ask],
  email: {
    provider: {
      name: 'own',
      idempotent: true,
      async send(_, { recipients }) {
        note(ready ? 'email' : 'email before setup');
        return { accepted: [...recipients], rejected: [], response: 'taken' };
      },
    },
  },
  async setup() {
    note('setup');
    await fate('setup');
    ready = true;
    note('set up');
  },
  async teardown() {
    note('teardown');
    await fate('teardown');
  },
});
