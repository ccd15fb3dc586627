// The command line of the benchmarks.
//
// npm run bench -- [drain] [latency] [work-jobs] [work-emails] [work-events] [work-action] [work-fleet]
//   [flat] [record] [order] [limits] [scale] [idle] [cron] [email] [metrics] [memory] [bulk] [console] [webhooks] [years]
//   [--postgres 15|18|FOLDER] [--peers a,b] [--against REV] [--rounds N] [--messages N] [--only TEXT] [--full] [--json]
// Without names: all but memory, console, webhooks and years, in sizes that take some minutes; memory takes an hour, or --minutes; console fills a database with
// two million messages, or --messages, once (bench/shop.ts), and --only measures the pages whose names hold the text; years fills a table with a
// million rows, or --messages. --full takes the full sizes, which drain
// always has. --postgres takes Debian's package or npm's, by version, or a folder with bin/postgres. --peers (drain, latency, work-…): only
// those; an empty list means none. --against (the same): also an earlier commit of ours, in alternating rounds.
//
// drain and latency measure messages that do nothing. work-… measure what users do, beside pg-boss and graphile-worker with the same work:
//   work-jobs    a drain of jobs that write a row each
//   work-emails  a drain of emails through the provider `log`
//   work-events  a drain of events with two listeners that write a row each; its messages are the events
//   work-action  milliseconds from the commit of the example's action to the start of its email, its listener and its job, at rest
//   work-fleet   a drain of 200 jobs that wait for 50 ms each, in four processes with 25 jobs at a time: 100 ms at best
// For work-…, a contender without a figure is an error.

import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { steps } from './contender.ts';
import { bulk } from './bulk.ts';
import { years } from './years.ts';
import { consolePages } from './console.ts';
import { cron } from './cron.ts';
import { drain } from './drain.ts';
import { email } from './email.ts';
import { peerNames, type PeerName } from './field.ts';
import { flat } from './flat.ts';
import { idle } from './idle.ts';
import { action, latency } from './latency.ts';
import { limits } from './limits.ts';
import { memory } from './memory.ts';
import { metrics } from './metrics.ts';
import { order } from './order.ts';
import { tell } from './progress.ts';
import { record } from './record.ts';
import { webhooks } from './webhooks.ts';
import { scale } from './scale.ts';
import { withWorld } from './world.ts';

const { positionals: asked, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    messages: { type: 'string' },
    minutes: { type: 'string' },
    postgres: { type: 'string' },
    peers: { type: 'string' },
    against: { type: 'string' },
    only: { type: 'string' },
  },
});
const { full } = values;
const number = (name: 'rounds' | 'messages' | 'minutes') =>
  values[name] === undefined ? {} : { [name]: Number(values[name]) };
const [rounds, messages] = [number('rounds'), number('messages')];
if (values.postgres !== undefined) process.env['WAYBILL_TEST_POSTGRES'] = values.postgres; // src/dev/postgres-home.ts
const { against } = values;
const peers = values.peers?.split(',').filter((name) => name !== '') as PeerName[] | undefined;
const stranger = peers?.find((name) => !peerNames.includes(name));
if (stranger !== undefined) {
  console.error(`no peer is called ${stranger}; there are ${peerNames.join(', ')}`);
  process.exit(2);
}
/** Run only when they are named. */
const long = ['memory', 'console', 'webhooks', 'years'];
const fullFlat = { waiting: 1_000_000, settled: 5_000_000, later: 100_000, held: 200_000 };
const fullScale = { processes: [1, 2, 4, 8], seconds: 15, tails: 15, backlog: 1_000_000 };

const beside = { ...messages, ...rounds, peers, against };

const parts: Readonly<Record<string, () => Promise<object>>> = {
  drain: () => drain(beside),
  latency: () => latency(beside),
  'work-jobs': () => drain({ work: 'jobs', ...beside }),
  'work-emails': () => drain({ work: 'emails', ...beside }),
  'work-events': () => drain({ work: 'events', ...beside }),
  'work-action': () => action(beside),
  'work-fleet': () => drain({ work: 'fleet', ...beside }),
  flat: () => flat({ ...(full ? fullFlat : {}), ...rounds }),
  record: () => withWorld((world) => record(world, Number(values.rounds ?? 21))),
  order: () => order({ ...rounds }),
  limits: () => limits({ ...messages, ...rounds }),
  scale: () =>
    scale({ ...(full ? fullScale : {}), ...(values.rounds ? { tails: Number(values.rounds) } : {}) }),
  idle: () => idle(full ? { seconds: 60 } : {}),
  cron: () => withWorld((world) => cron(world)),
  email: () =>
    withWorld((world) => email(world, Number(values.messages ?? 10_000), Number(values.rounds ?? 3))),
  metrics: () => metrics({ ...messages, ...rounds }),
  bulk: () => bulk({ ...messages, ...rounds }),
  years: () => years({ settled: messages.messages, ...rounds, ...(full ? { dead: 2_000_000 } : {}) }),
  webhooks: () => webhooks({ ...rounds }),
  memory: () => memory(number('minutes')),
  console: () => consolePages({ ...messages, ...rounds, only: values.only }),
};

/** Legends of the tables of drain and work-…. */
const legends: Readonly<Record<string, string>> = {
  perSecond:
    'messages a second: median of the rounds, lowest and highest as parts of it; ms: the median for all messages',
  ratios: 'our rate to theirs, round by round: above 1, ours is the faster',
  cpu: 'microseconds of processor time for each message',
  peakMb: 'megabytes that each of our processes held at most',
  ...Object.fromEntries(
    steps.map((step) => [
      step,
      `milliseconds from the commit of the action to the start of the ${step}; oursToThis, of p50: below 1, ours is the lower`,
    ]),
  ),
};

const unknown = asked.find((name) => !(name in parts));
if (unknown) {
  console.error(`no benchmark is called ${unknown}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
installPeers();
const results: Record<string, object> = {};
for (const [name, run] of Object.entries(parts)) {
  if (asked.length > 0 ? !asked.includes(name) : long.includes(name)) continue;
  results[name] = await run();
  if (!values.json) print(name, results[name]);
}
if (values.json) console.log(JSON.stringify(results));

/** The peers have a package.json of their own, so that users of Waybill do not install them. */
function installPeers(): void {
  const cwd = new URL('.', import.meta.url);
  const installed = new URL('node_modules/.package-lock.json', cwd);
  const wanted = new URL('package-lock.json', cwd);
  if (existsSync(installed) && statSync(installed).mtimeMs > statSync(wanted).mtimeMs) return;
  tell('installs the peers');
  try {
    execFileSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd, stdio: ['ignore', 2, 2] });
  } catch {
    tell('they could not be installed, npm says why above: only those that are there anyway are measured');
  }
}

/** Prints the figures as tables; only --json prints the rounds. */
function print(name: string, figures: object): void {
  const legend = (key: string): string =>
    key in legends && /^(drain|work-)/.test(name) ? `${key} (${legends[key]})` : key;
  console.log(`\n${name}`);
  for (const [key, value] of Object.entries(figures).filter(([each]) => each !== 'rounds')) {
    if (typeof value !== 'object' || value === null) console.log(`  ${key}: ${shown(value)}`);
    else if (Object.keys(value).length > 0) {
      console.log(`  ${legend(key)}`);
      console.table(tableOf(value as object));
    }
  }
}

function tableOf(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      typeof one === 'object' && one !== null && !Array.isArray(one)
        ? Object.fromEntries(Object.entries(one).flatMap(([k, v]) => (k === 'rounds' ? [] : [[k, shown(v)]])))
        : { value: shown(one) },
    ]),
  );
}

function shown(value: unknown): string | number {
  if (Array.isArray(value)) return value.map(shown).join(' … ');
  if (typeof value === 'object' && value !== null && 'median' in value && 'spread' in value)
    return `${shown(value.median)} (spread ${shown(value.spread)})`;
  return typeof value === 'number' ? Number(value.toPrecision(4)) : String(value);
}
