// The runner of all loops. A loop's body is one step that returns the delay until the next; waiting can be interrupted; an error backs off. Each loop
// records its progress, so that a stall is visible.

import type { Clock, Milliseconds, Observe } from '../ports.ts';
import { after } from '../timer.ts';

/** Interrupts a loop's waiting. A wake-up that comes while the loop is not waiting is kept for its next wait. */
export type Wake = {
  wake(): void;
  wait(ms: Milliseconds, signal: AbortSignal): Promise<void>;
};

export function createWake(): Wake {
  let woken = false;
  let release: (() => void) | undefined;
  return {
    wake() {
      woken = true;
      release?.();
    },
    async wait(ms, signal) {
      if (!woken && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = after(ms, resolve);
          release = () => {
            timer.stop();
            resolve();
          };
          signal.addEventListener('abort', release, { once: true });
        });
        if (release) signal.removeEventListener('abort', release);
        release = undefined;
      }
      woken = false;
    },
  };
}

export type Loop = {
  readonly name: string;
  /** One step; returns the delay until the next. */
  readonly step: () => Promise<Milliseconds>;
  readonly wake?: Wake;
  /** The longest time from one step to the next; a stall is judged by it (`createProgress`). Default 10 s. */
  readonly everyMs?: Milliseconds;
  /** Maximum pause between steps that fail. Default 5 s. */
  readonly longestPauseMs?: Milliseconds;
};

export type LoopState = {
  readonly name: string;
  /** Time since it last finished a step; null: never yet. */
  readonly ago: Milliseconds | null;
  /** It has finished no step for three of its intervals, not counting delays that it requested. It hangs, or each of its steps fails. */
  readonly isStalled: boolean;
  /** How long the current step has run; 0 between steps. */
  readonly stepMs: Milliseconds;
  readonly everyMs: Milliseconds;
  /** Time since the next step was due; negative while it is not. */
  readonly overdueMs: Milliseconds;
};

/** When each loop last finished a step, and when its next is due. */
export type Progress = {
  /** A loop starts. @param everyMs its interval, by which a stall is judged */
  enter(loop: string, everyMs: Milliseconds): void;
  begin(loop: string): void;
  /** A step ends. @param delay set when it succeeded: the wait that the loop requests, which is no stall */
  end(loop: string, delay?: Milliseconds): void;
  /** The wait is over, perhaps early. The next step gets a full interval, not the rest of the wait. */
  resume(loop: string): void;
  forget(loop: string): void;
  loops(): readonly LoopState[];
};

/** A loop may request its next step at once. The time that a step needs is no stall. */
const shortest: Milliseconds = 2_000;
/** One interval passes from the end of a step to the due end of the next. Two later, three have passed. */
const late = 2;

type Entry = { readonly everyMs: Milliseconds; due: Milliseconds; done?: Milliseconds; began?: Milliseconds };

export function createProgress(clock: Clock): Progress {
  const entries = new Map<string, Entry>();
  const change = (loop: string, with_: (entry: Entry) => void): void => {
    const entry = entries.get(loop);
    if (entry) with_(entry);
  };
  return {
    enter: (loop, everyMs) =>
      void entries.set(loop, { everyMs: Math.max(everyMs, shortest), due: clock.now() }),
    begin: (loop) => change(loop, (entry) => void (entry.began = clock.now())),
    end: (loop, delay) =>
      change(loop, (entry) => {
        delete entry.began;
        if (delay === undefined) return;
        entry.done = clock.now();
        entry.due = clock.now() + Math.max(0, delay);
      }),
    resume: (loop) => change(loop, (entry) => void (entry.due = clock.now())),
    forget: (loop) => void entries.delete(loop),
    loops: () =>
      [...entries].map(([name, { everyMs, due, done, began }]) => ({
        name,
        everyMs,
        ago: done === undefined ? null : clock.now() - done,
        overdueMs: clock.now() - due,
        isStalled: clock.now() - due > late * everyMs,
        stepMs: began === undefined ? 0 : clock.now() - began,
      })),
  };
}

export type LoopPorts = {
  readonly signal: AbortSignal;
  readonly onError: (loop: string, error: unknown) => void;
  readonly observe: Observe;
  readonly progress: Progress;
};

const firstPause = 250;
const longestPause = 5_000;
const usualInterval = 10_000;

/** Runs the loop until the signal aborts. A step that has started is finished. Never rejects. */
export async function runLoop(loop: Loop, ports: LoopPorts): Promise<void> {
  const { signal, onError, observe, progress } = ports;
  const wake = loop.wake ?? createWake();
  let pause = firstPause;
  progress.enter(loop.name, loop.everyMs ?? usualInterval);
  while (!signal.aborted) {
    try {
      progress.begin(loop.name);
      const delay = await loop.step();
      pause = firstPause;
      progress.end(loop.name, delay);
      if (delay > 0) {
        await wake.wait(delay, signal);
        progress.resume(loop.name);
      }
    } catch (error) {
      progress.end(loop.name); // a failed step is no progress
      onError(loop.name, error);
      await createWake().wait(Math.min(pause, loop.longestPauseMs ?? longestPause), signal); // not `wake`: wake-ups must not multiply errors
      pause = Math.min(loop.longestPauseMs ?? longestPause, pause * 2);
    }
    observe('step', { loop: loop.name });
  }
  progress.forget(loop.name);
}
