// One runner runs all loops. A loop's body is one step that returns its next delay; waiting can be interrupted; an error backs off.
// Each loop stamps its progress, so that one that stands still is seen (DESIGN, promise 6).

import type { Clock, Milliseconds, Observe } from '../ports.ts';
import { after } from '../timer.ts';

/** Interrupts a loop's waiting. A wake-up that comes while nobody waits is kept for the next wait. */
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
  /** One step; gives the delay until the next. */
  readonly step: () => Promise<Milliseconds>;
  readonly wake?: Wake;
  /** From one step to the next at the most, by which a stall is judged (`createProgress`). Default 10 s. */
  readonly everyMs?: Milliseconds;
  /** Between steps that fail. Default 5 s. */
  readonly longestPauseMs?: Milliseconds;
};

/** What is known of a loop that runs. */
export type LoopState = {
  readonly name: string;
  /** Since it last finished a step; null: never yet. */
  readonly ago: Milliseconds | null;
  /** It has finished no step for three of its intervals, waits that it asked for apart: it hangs, or each of its steps fails. */
  readonly isStalled: boolean;
  /** How long its step has been under way; 0 between steps. */
  readonly stepMs: Milliseconds;
  /** From one step to the next, at the most. */
  readonly everyMs: Milliseconds;
  /** Since the next step was to begin; below 0 while it is not. */
  readonly overdueMs: Milliseconds;
};

/** When each loop last finished a step, and when it wants its next. */
export type Progress = {
  /** A loop begins. @param everyMs its interval, by which a stall is judged */
  enter(loop: string, everyMs: Milliseconds): void;
  /** A step begins. */
  begin(loop: string): void;
  /** A step is over. @param delay it went well, and the loop means to wait so long: a wait that was asked for is no stall */
  end(loop: string, delay?: Milliseconds): void;
  /** The wait is over, early perhaps: the step that follows has the usual time, not what was left of the wait. */
  resume(loop: string): void;
  forget(loop: string): void;
  loops(): readonly LoopState[];
};

/** A loop may ask for its next step at once; what the machine needs for a step is no stall. */
const shortest: Milliseconds = 2_000;
/** From the end of one step to the due end of the next is one interval: so many later, three have passed. */
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

/** Runs the loop until the signal aborts; a step that has begun is finished. Never rejects. */
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
      progress.end(loop.name); // a step that failed is no progress
      onError(loop.name, error);
      await createWake().wait(Math.min(pause, loop.longestPauseMs ?? longestPause), signal); // not the loop's own: a storm of wake-ups must not become a storm of errors
      pause = Math.min(loop.longestPauseMs ?? longestPause, pause * 2);
    }
    observe('step', { loop: loop.name });
  }
  progress.forget(loop.name);
}
