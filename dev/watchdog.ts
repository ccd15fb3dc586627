// A child that outlives us by a moment. It reads lines from its stdin (`watch PID`, `forget PID`); when that pipe closes, because
// we ended in whatever way (SIGKILL too), it ends what it still watches. Nothing in this process has to run for that.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

export type Watchdog = {
  /** From now on `pid` dies with us. */
  watch(pid: number): void;
  /** `pid` has ended: its number may belong to another process soon. */
  forget(pid: number): void;
  /** Lets the watchdog do its work now, and waits for it. */
  release(): Promise<void>;
};

export type WatchdogOptions = {
  /** What to send first; after five seconds SIGKILL follows. INT is a fast shutdown for Postgres, TERM a graceful one for Waybill. */
  readonly signal: 'INT' | 'TERM';
  /** Files and directories that go as well, after the processes. */
  readonly remove?: readonly string[];
};

// A shell and not Node: it is there at once and costs no memory worth the name.
const SCRIPT = `
trap '' INT TERM HUP
pids=" "
while read -r verb pid; do
  case $verb in
    watch) pids="$pids$pid " ;;
    forget) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -"$1" "$pid" 2>/dev/null; done
tries=0
for pid in $pids; do
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$pid" 2>/dev/null
done
shift
rm -rf -- "$@"
`;

export function startWatchdog(options: WatchdogOptions): Watchdog {
  // A session of its own: Ctrl-C in a terminal goes to the whole group, and this one must stay.
  const child = spawn(
    '/bin/sh',
    ['-c', SCRIPT, 'waybill-watchdog', options.signal, ...(options.remove ?? [])],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    },
  );
  const ended = once(child, 'exit');
  child.unref();
  const { stdin } = child;
  stdin.on('error', () => undefined); // somebody killed the watchdog: what it watched lives on, and ends by its owner's hand
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  return {
    watch: (pid) => void stdin.write(`watch ${pid}\n`),
    forget: (pid) => void stdin.write(`forget ${pid}\n`),
    async release() {
      child.ref();
      stdin.end();
      await ended;
    },
  };
}
