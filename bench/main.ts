// npm run bench -- [latency|drain|record|cron|email] [--json]

import { cron } from './cron.ts';
import { drain } from './drain.ts';
import { email } from './email.ts';
import { latency } from './latency.ts';
import { record } from './record.ts';
import { benchWorld, type BenchWorld } from './world.ts';

const parts: Readonly<Record<string, (world: BenchWorld) => Promise<object>>> = {
  latency,
  drain: () => drain(),
  record,
  cron,
  email,
};

const asked = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const unknown = asked.find((name) => !(name in parts));
if (unknown) {
  console.error(`no benchmark is called ${unknown}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
const results: Record<string, object> = {};
for (const [name, run] of Object.entries(parts)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const world = await benchWorld();
  try {
    results[name] = await run(world);
  } finally {
    await world.end();
  }
}
if (process.argv.includes('--json')) console.log(JSON.stringify(results));
else
  for (const [name, { rounds: _, ...figures }] of Object.entries(results) as [string, { rounds?: unknown }][])
    console.log(name, figures);
