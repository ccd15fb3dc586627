// The processes of a fleet, run as a platform would run them: one that ends is started again. Each start has a log and a journal of its own.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWatchdog } from '../src/dev/watchdog.ts';
import { now } from './clock.ts';
import type { ProcessSpec } from './subject.ts';

export type Launch = {
  /** `jobs-1#3`: the third start of `jobs-1`. It is the name in EHLO, too. */
  readonly name: string;
  readonly pid: number;
  readonly from: number;
  readonly journal: string;
  to?: number;
  how?: number | NodeJS.Signals;
  /** When the first SIGTERM was sent to it. */
  asked?: number;
  /** It did not end in time after SIGTERM, and was killed. */
  overdue?: true;
};

export type Member = {
  readonly spec: ProcessSpec;
  readonly launches: Launch[];
  /** The start that runs; undefined between two starts. */
  current(): Launch | undefined;
  /** Whether it works: its log says so, and it has not ended. */
  isUp(): boolean;
  signal(signal: NodeJS.Signals): void;
  ended(): Promise<void>;
  /** Variables for its next starts. */
  with(env: Readonly<Record<string, string>>): void;
};

export type Processes = {
  readonly members: readonly Member[];
  /** Resolves when all of these work. @throws when one does not within the time; with the end of its log */
  up(members: readonly Member[], timeoutMs: number): Promise<void>;
  end(): Promise<void>;
};

/** As long as a platform takes at least. */
const restartMs = 300;

/** A platform kills what still runs so long after SIGTERM: 30 s at Heroku and Render. */
export const graceMs = 30_000;

/** Without type stripping in Node, tsx does it. */
export const nodeArgs = process.features.typescript ? [] : ['--import', 'tsx'];

/** @param folder for logs and journals */
export function startProcesses(specs: readonly ProcessSpec[], cwd: string, folder: string): Processes {
  const watchdog = startWatchdog({ signal: 'TERM' });
  const ending = new AbortController();
  const watch = { launched: watchdog.watch, gone: watchdog.forget };
  const members = specs.map((spec) => member(spec, cwd, folder, ending.signal, watch));
  return {
    members,
    async up(all, timeoutMs) {
      const until = now() + timeoutMs;
      for (const one of all)
        while (!one.isUp()) {
          if (now() > until) throw new Error(`${one.spec.name} does not work:\n${tail(one, folder)}`);
          await sleep(50);
        }
    },
    async end() {
      ending.abort();
      for (const one of members) {
        one.signal('SIGCONT');
        one.signal('SIGTERM');
      }
      const late = setTimeout(() => members.forEach((one) => one.signal('SIGKILL')), 12_000);
      await Promise.all(members.map((one) => one.ended()));
      clearTimeout(late);
      await watchdog.release();
    },
  };
}

type Watch = { launched(pid: number): void; gone(pid: number): void };

function member(spec: ProcessSpec, cwd: string, folder: string, over: AbortSignal, watch: Watch): Member {
  const launches: Launch[] = [];
  let running: { child: ChildProcess; launch: Launch; closed: Promise<void> } | undefined;
  let [more, isReady]: [Readonly<Record<string, string>>, boolean] = [{}, false];

  function launch(): void {
    const name = `${spec.name}#${launches.length + 1}`;
    const journal = join(folder, `${name}.jsonl`);
    const child = begin(
      spec,
      { ...more, CHAOS_JOURNAL: journal, WAYBILL_SMTP_NAME: ehloOf(name) },
      cwd,
      logOf(folder, name),
    );
    const one: Launch = { name, pid: child.pid ?? -1, from: now(), journal };
    launches.push(one);
    isReady = false;
    watch.launched(one.pid);
    const closed = once(child, 'exit').then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
      one.to = now();
      one.how = code ?? signal ?? -1;
      watch.gone(one.pid);
      running = undefined;
      setTimeout(() => over.aborted || launch(), restartMs).unref();
    });
    running = { child, launch: one, closed };
  }

  launch();
  return {
    spec,
    launches,
    current: () => running?.launch,
    isUp() {
      if (!running) return false;
      isReady ||= readFileSync(logOf(folder, running.launch.name), 'utf8').includes(spec.ready);
      return isReady;
    },
    signal(signal) {
      if (!running) return;
      if (signal === 'SIGTERM') grace(running);
      running.child.kill(signal);
    },
    ended: async () => running?.closed,
    with: (env) => void (more = env),
  };
}

/** From the first SIGTERM on, a process has the time that a platform gives it. */
function grace({
  child,
  launch,
  closed,
}: {
  child: ChildProcess;
  launch: Launch;
  closed: Promise<void>;
}): void {
  if (launch.asked !== undefined) return;
  launch.asked = now();
  const late = setTimeout(() => {
    launch.overdue = true;
    child.kill('SIGKILL');
  }, graceMs);
  void closed.then(() => clearTimeout(late));
}

function begin(
  spec: ProcessSpec,
  more: Readonly<Record<string, string>>,
  cwd: string,
  logFile: string,
): ChildProcess {
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [...nodeArgs, ...spec.args], {
    cwd,
    env: { ...spec.env, ...more },
    stdio: ['ignore', log, log],
    detached: true, // Ctrl-C in a terminal reaches only us
  });
  closeSync(log);
  return child;
}

const logOf = (folder: string, name: string): string => join(folder, `${name}.log`);

/** A host's name in EHLO has letters, digits and dashes. */
export const ehloOf = (launch: string): string => `${launch.replace('#', '-n')}.chaos.example`;

function tail(one: Member, folder: string): string {
  const last = one.launches.at(-1);
  return last ? readFileSync(logOf(folder, last.name), 'utf8').slice(-1_500) : '';
}
