// `npm run dev`: runs the same fleet and restarts it when a source file changes.

import { watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadEnvFile } from '../src/config/env-loading.ts';
import { consoleLink } from '../src/console/link.ts';
import { startFleet, type Fleet } from './fleet.ts';
import { onInterrupt } from '../src/dev/interrupt.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const watched = ['src', 'app', 'workers', 'sql'];
/** Editors save in several steps, and several files at once. */
const settleMs = 200;

const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  loadEnvFile(process.env);
  const interrupt = onInterrupt();
  try {
    const fleet = await startFleet({ say, emailProvider: 'inbox', signal: interrupt.signal });
    interrupt.onHurry(fleet.kill);
    try {
      say(`API ${fleet.api}   key ${fleet.apiKey}`);
      say(`admin ${fleet.api}/admin/outbox   key ${fleet.adminKey}`);
      say(`console ${consoleLink(fleet.api, fleet.adminKey)}   (signs you in, once)`);
      if (fleet.inbox !== null) say(`mails ${fleet.inbox}`);
      say(`logs ${fleet.logDir}   database ${fleet.databaseUrl}`);
      await restartOnChange(fleet, interrupt.signal);
    } finally {
      await fleet.stop();
    }
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) return 0;
    console.error((error as Error).message);
    return 1;
  } finally {
    interrupt.end();
  }
}

async function restartOnChange(fleet: Fleet, signal: AbortSignal): Promise<void> {
  let changed = Promise.withResolvers<string>();
  const watchers = watched.map((dir) =>
    watch(join(PROJECT, dir), { recursive: true, signal }, (_, file) =>
      changed.resolve(join(dir, file ?? '')),
    ),
  );
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined));
  });
  for (;;) {
    const file = await Promise.race([changed.promise, aborted]);
    if (file === undefined) break;
    await sleep(settleMs);
    changed = Promise.withResolvers<string>();
    say(`${file} changed: starting the fleet again`);
    // An error in the new code must not end this loop: the next change may fix it.
    await fleet.restart().then(
      () => say('ready'),
      (error: unknown) => say((error as Error).message),
    );
  }
  for (const watcher of watchers) watcher.close();
}

process.exitCode = await main();
