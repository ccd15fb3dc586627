// The command line of the chaos harness (docs/reliability.md).

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hunt, type Found } from './bug-hunt.ts';
import { bugs } from './bugs.ts';
import { readOptions, usage, UsageError, type Options } from './options.ts';
import { linesOf } from './report.ts';
import { run } from './run.ts';
import { createView } from './view.ts';
import { problemOf, subjectNamed } from './peers/index.ts';
import { soak, soakLines } from './soak.ts';
import { home } from './stage.ts';
import { waybill } from './waybill.ts';

async function main(): Promise<number> {
  const options = optionsOrExit();
  const over = new AbortController();
  process.on('SIGINT', () => {
    if (over.signal.aborted) process.exit(130); // the watchdogs end what is left
    over.abort();
  });
  if (options.bugs) return huntAll(options.bugs, options);
  return options.soak ? soaked(options, over.signal) : chaos(options, over.signal);
}

async function chaos(options: Options, signal: AbortSignal): Promise<number> {
  const view = createView(process.stderr);
  const problem = problemOf(options.subject);
  if (problem !== undefined) {
    console.error(`SKIPPED, not tested: ${options.subject}: ${problem}`);
    return 2;
  }
  view.say(`seed ${options.seed}`);
  const report = await run({
    ...options,
    subject: subjectNamed(options.subject),
    peer: options.subject === 'waybill' ? undefined : options.subject,
    view,
    signal,
  });
  const file = store(`${report.at.replaceAll(':', '-').slice(0, 19)}-${report.seed}.json`, report);
  console.log(options.json ? JSON.stringify(report) : linesOf(report).join('\n'));
  view.say(`stored as ${file}`);
  // The promises are Waybill's. What a peer does not keep is in its table.
  return report.breaches.length === 0 || options.subject !== 'waybill' ? 0 : 1;
}

async function soaked(options: Options, signal: AbortSignal): Promise<number> {
  const view = createView(process.stderr);
  const report = await soak({ ...options, subject: waybill(), view, signal });
  const file = store(`soak-${new Date().toISOString().replaceAll(':', '-').slice(0, 19)}.json`, report);
  console.log(options.json ? JSON.stringify(report) : soakLines(report).join('\n'));
  view.say(`stored as ${file}`);
  return report.isBroken ? 1 : 0;
}

/** Exit code 1 when a bug was not found. */
async function huntAll(names: readonly string[], { minutes, json }: Options): Promise<number> {
  const found: Found[] = [];
  for (const name of names) {
    found.push(await hunt(name, minutes, (line) => console.error(line)));
    if (!json) console.log(foundLine(found.at(-1)!));
  }
  if (json) console.log(JSON.stringify(found));
  return found.every(({ isFound }) => isFound) ? 0 : 1;
}

const foundLine = ({ bug, faults, isFound, promise, runs, seconds }: Found): string =>
  `${isFound ? 'found    ' : 'NOT FOUND'} ${bug} (${faults}), run ${runs}, after ${seconds} s: ${promise}`;

function store(name: string, value: unknown): string {
  mkdirSync(home, { recursive: true });
  const file = join(home, name);
  writeFileSync(file, JSON.stringify(value, null, 2));
  return file;
}

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2), Object.keys(bugs));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

process.exitCode = await main();
