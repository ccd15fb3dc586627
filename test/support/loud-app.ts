// An application that talks on stdout, when it is loaded and when it works: what a result on stdout must not suffer from.

import { z } from 'zod';
import { defineAction, defineApp, defineCron, defineJob } from '../../src/index.ts';

console.log('the application is loaded');

const talk = defineJob({
  name: 'talk',
  payload: z.object({}),
  async handler() {
    console.log('{"not":"the result"}');
    process.stdout.write('nor this');
  },
});

const tick = defineAction({
  name: 'tick',
  access: 'system',
  args: z.strictObject({}),
  async handler() {
    console.log('tick');
  },
});

export default defineApp({
  actions: [tick],
  jobs: [talk],
  cron: defineCron({ jobs: [{ name: 'daily', schedule: '0 3 * * *', action: tick, args: {} }] }),
});
