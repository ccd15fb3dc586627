// The fleet of `waybill dev`: `release`, then every role in one process, and both again after each change of a source.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { nextChange } from './change.ts';
import { hasEnded, type Commands } from './commands.ts';
import type { Interrupt } from './interrupt.ts';

const roles = ['web', 'relay', 'email', 'jobs', 'scheduler'];

/** Longer than an application usually loads. */
const lateMs = 10_000;
const stillPreparing =
  '`waybill release` still loads the application or migrates the database; a change of a source file starts it again …';

export type DevFleetOptions = {
  /** Where web will listen. */
  readonly web: string;
  /** Folders that are watched, as absolute paths. */
  readonly folders: readonly string[];
  readonly interrupt: Interrupt;
  readonly say: (line: string) => void;
};

export type DevFleet = {
  /**
   * Runs until it is interrupted.
   * @param onFirst called when the fleet is ready for the first time
   */
  run(onFirst: () => Promise<void>): Promise<void>;
};

export function createDevFleet(commands: Commands, options: DevFleetOptions): DevFleet {
  const { web, folders, interrupt, say } = options;
  const { signal } = interrupt;
  let fleet: ChildProcess | undefined;
  interrupt.onHurry(() => fleet?.kill('SIGINT'));

  /** @returns whether every role is ready */
  async function start(changed: AbortSignal): Promise<boolean> {
    fleet = undefined;
    const late = setTimeout(() => say(stillPreparing), lateMs);
    const isPrepared = await commands.succeeds(['release'], changed).finally(() => clearTimeout(late));
    if (!isPrepared || changed.aborted) return false;
    const child = commands.start(['run', ...roles]);
    fleet = child;
    while (!hasEnded(child) && !changed.aborted) {
      if (await isReady(web)) return true;
      await sleep(50);
    }
    return false;
  }

  return {
    async run(onFirst) {
      let tell: (() => Promise<void>) | undefined = onFirst;
      while (!signal.aborted) {
        const changed = new AbortController();
        const change = nextChange(folders, signal).finally(() => changed.abort());
        const began = performance.now();
        if (await start(changed.signal)) {
          if (tell) await tell();
          else say(`ready after ${((performance.now() - began) / 1_000).toFixed(1)} s`);
          tell = undefined;
        }
        const ended = fleet && !hasEnded(fleet) ? once(fleet, 'close') : Promise.resolve();
        await Promise.race([change, ended]);
        if (!changed.signal.aborted) say('nothing runs; waiting for a change of a source file …');
        const path = await change;
        await commands.end(fleet);
        if (path !== undefined) say(`${path} changed: starting again`);
      }
    },
  };
}

async function isReady(web: string): Promise<boolean> {
  try {
    return (await fetch(`${web}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false; // it does not listen yet
  }
}
