// Children that end with the process of their test, also when a hook failed before it could end them, and after a kill -9.

import type { ChildProcess } from 'node:child_process';
import { startWatchdog, type Watchdog } from '../../src/dev/watchdog.ts';

let watchdog: Watchdog | undefined;

/** @returns the child */
export function tied<Child extends ChildProcess>(child: Child): Child {
  const { pid } = child;
  if (pid === undefined) return child; // it did not start, and says so itself
  const its = (watchdog ??= startWatchdog({ signal: 'TERM' }));
  its.watch(pid);
  child.once('exit', () => its.forget(pid));
  return child;
}
