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
  /** Between steps that fail. Default 5 s. */
  readonly longestPauseMs?: Milliseconds;
};

/** When each loop last finished a step, and when it wants its next. */
export type Progress = {
  /** @param delay a step has ended, and the loop means to wait so long: a wait that was asked for is no stall */
  stamp(loop: string, delay?: Milliseconds): void;
  forget(loop: string): void;
  /** Those that run, and how long ago each last finished a step; null: never yet. */
  loops(): { readonly name: string; readonly ago: Milliseconds | null }[];
  /** Loops whose next step is overdue by more than this. */
  stalled(limit: Milliseconds): string[];
};

export function createProgress(clock: Clock): Progress {
  const due = new Map<string, Milliseconds>();
  const done = new Map<string, Milliseconds>();
  return {
    stamp(loop, delay) {
      due.set(loop, clock.now() + Math.max(0, delay ?? 0));
      if (delay !== undefined) done.set(loop, clock.now());
    },
    forget(loop) {
      due.delete(loop);
      done.delete(loop);
    },
    loops: () =>
      [...due.keys()].map((name) => ({ name, ago: done.has(name) ? clock.now() - done.get(name)! : null })),
    stalled: (limit) => [...due].filter(([, at]) => clock.now() - at > limit).map(([loop]) => loop),
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

/** Runs the loop until the signal aborts; a step that has begun is finished. Never rejects. */
export async function runLoop(loop: Loop, ports: LoopPorts): Promise<void> {
  const { signal, onError, observe, progress } = ports;
  const wake = loop.wake ?? createWake();
  let pause = firstPause;
  progress.stamp(loop.name);
  while (!signal.aborted) {
    try {
      const delay = await loop.step();
      pause = firstPause;
      progress.stamp(loop.name, delay);
      if (delay > 0) {
        await wake.wait(delay, signal);
        progress.stamp(loop.name); // woken early: the step that follows has the usual time, not what was left of the wait
      }
    } catch (error) {
      onError(loop.name, error);
      await createWake().wait(Math.min(pause, loop.longestPauseMs ?? longestPause), signal); // not the loop's own: a storm of wake-ups must not become a storm of errors
      pause = Math.min(loop.longestPauseMs ?? longestPause, pause * 2);
    }
    observe('step', { loop: loop.name });
  }
  progress.forget(loop.name);
}
