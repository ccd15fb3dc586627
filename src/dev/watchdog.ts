// A child process that ends other processes when we are gone. It reads `watch PID` and `forget PID` from its stdin. When that pipe closes,
// because we ended in any way (SIGKILL too), it ends the watched processes. Nothing in this process has to run for that.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

export type Watchdog = {
  /** From now on `pid` ends with us. */
  watch(pid: number): void;
  /** `pid` has ended, and its number may soon belong to another process. */
  forget(pid: number): void;
  /** Makes the watchdog do its work now, and waits for it. */
  release(): Promise<void>;
};

export type WatchdogOptions = {
  /** The first signal; SIGKILL follows after five seconds. INT is a fast shutdown for Postgres, TERM a graceful one for Waybill. */
  readonly signal: 'INT' | 'TERM';
  /** Files and directories to remove after the processes. */
  readonly remove?: readonly string[];
};

// A shell, not Node: it starts at once and costs hardly any memory.
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
  // A session of its own: Ctrl-C goes to the whole process group, and the watchdog must stay.
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
  stdin.on('error', () => undefined); // the watchdog was killed; the watched processes live on until their owner ends them
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
