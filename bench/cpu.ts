// Processor time of processes, from Linux's /proc. On a shared machine it is more reliable than the clock.

import { readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';

const tickMs = 10;

/** `ms` of its own, `endedMs` of its children that have ended. */
function statOf(
  pid: number,
): { readonly parent: number; readonly ms: number; readonly endedMs: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    return {
      parent: fields[1]!,
      ms: (fields[11]! + fields[12]!) * tickMs,
      endedMs: (fields[13]! + fields[14]!) * tickMs,
    };
  } catch {
    return undefined; // it has ended
  }
}

/** Milliseconds of processor time so far of these processes and their children, including ended children; NaN where there is no /proc. */
export function cpuMs(pids: readonly number[]): number {
  try {
    let sum = 0;
    for (const pid of readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)) {
      const stat = statOf(pid);
      if (!stat) continue;
      if (pids.includes(pid)) sum += stat.ms + stat.endedMs;
      else if (pids.includes(stat.parent)) sum += stat.ms;
    }
    return sum;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory in megabytes; NaN where there is no /proc. */
export function residentMb(pid: number): number {
  return statusMb(pid, 'VmRSS');
}

/** Peak resident memory in megabytes since the process began. */
export function peakMb(pid: number): number {
  return statusMb(pid, 'VmHWM');
}

function statusMb(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1]) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** Cores in use from now on, by each group of processes and the whole machine. `cores` is the number that the machine has. */
export function watchCores<K extends string>(
  groups: Readonly<Record<K, readonly number[]>>,
): () => Readonly<Record<K | 'machine' | 'cores', number>> {
  const names = Object.keys(groups) as K[];
  const read = () => ({
    at: performance.now(),
    busy: busyMs(),
    its: names.map((name) => cpuMs(groups[name])),
  });
  const from = read();
  return () => {
    const to = read();
    const ms = to.at - from.at;
    const each = names.map((name, i) => [name, (to.its[i]! - from.its[i]!) / ms] as const);
    const all = [
      ...each,
      ['machine', (to.busy - from.busy) / ms] as const,
      ['cores', cpus().length] as const,
    ];
    return Object.fromEntries(all) as Record<K | 'machine' | 'cores', number>;
  };
}

/** Busy time of all cores together. */
function busyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}
