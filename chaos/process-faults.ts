// Faults of processes: killed, stopped, ended by a deploy, with a wrong clock, and killed by a message.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, World } from './fault.ts';
import type { Member } from './processes.ts';

const startMs = 60_000;
const none = async (): Promise<void> => undefined;
/** Signals them; the result waits until each of them has ended and another one works in its place. */
function replace(world: World, members: readonly Member[], signal: NodeJS.Signals): () => Promise<void> {
  const ended = members.map((one) => one.ended());
  for (const one of members) one.signal(signal);
  return async () => {
    await Promise.all(ended);
    await world.processes.up(members, startMs);
  };
}

export const kill: Fault = {
  about: 'SIGKILL of one process',
  mayDouble: true,
  targets: 'one',
  problem: () => undefined,
  async strike(world, _, target) {
    const end = replace(world, [target], 'SIGKILL');
    return { text: `kill -9 of ${target.spec.name}`, members: [target], end };
  },
};

export const stop: Fault = {
  about: 'SIGSTOP of one process until its leases have run out, then SIGCONT',
  mayDouble: true,
  targets: 'one',
  problem: () => undefined,
  async strike({ leaseMs }, { lengthMs }, target) {
    target.signal('SIGSTOP');
    const stopped = target.current();
    // The plan's length is less than a lease, and it must be more.
    const more = Math.max(0, leaseMs * (1.2 + 0.1 * (lengthMs / 1_000)) - lengthMs);
    return {
      text: `${target.spec.name} stood still`,
      members: [target],
      async end() {
        await sleep(more);
        if (target.current() === stopped) target.signal('SIGCONT');
      },
    };
  },
};

export const term: Fault = {
  about: 'SIGTERM of one process or of all: a deploy',
  mayDouble: false,
  targets: 'one',
  problem: () => undefined,
  async strike(world, { way }, target) {
    const members = way < 0.4 ? world.processes.members : [target];
    const end = replace(world, members, 'SIGTERM');
    const text = way < 0.4 ? 'SIGTERM of every process' : `SIGTERM of ${target.spec.name}`;
    return { text, members, end };
  },
};

/** Debian's package libfaketime. */
function faketime(): string | undefined {
  const lib = '/usr/lib';
  if (!existsSync(lib)) return undefined;
  return ['', ...readdirSync(lib)]
    .map((folder) => join(lib, folder, 'faketime', 'libfaketime.so.1'))
    .find((path) => existsSync(path));
}

export const clock: Fault = {
  about: 'one process is started again with a clock that is an hour off',
  mayDouble: false,
  targets: 'one',
  problem: () =>
    process.platform !== 'linux' || faketime() === undefined
      ? 'libfaketime is not installed (Debian: apt-get install libfaketime)'
      : undefined,
  async strike(world, { way }, target) {
    const hour = way < 0.5 ? '+1h' : '-1h';
    const restart = async (env: Readonly<Record<string, string>>): Promise<void> => {
      target.with(env);
      await replace(world, [target], 'SIGTERM')();
    };
    await restart({
      LD_PRELOAD: faketime()!,
      FAKETIME: hour,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_NO_CACHE: '0',
    });
    return {
      text: `the clock of ${target.spec.name} at ${hour}`,
      members: [target],
      end: () => restart({}),
    };
  },
};

/** Its runs are found in the journal: each one kills a process. */
export const poison: Fault = {
  about: 'a message whose handler kills its process, each time',
  mayDouble: false,
  targets: 'all',
  problem: ({ subject }) => (subject.poison ? undefined : `${subject.name} has no such message`),
  async strike({ subject, db }, { who }) {
    await subject.poison!(db, `poison-${Math.floor(who * 1e9)}`).catch(() => undefined);
    return { text: 'a message that kills its process', members: [], end: none };
  },
};
