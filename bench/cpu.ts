// Processor time of processes, from Linux's /proc: on a machine that others use too it tells more than the clock.

import { readFileSync, readdirSync } from 'node:fs';

const tickMs = 10;

function statOf(pid: number): { readonly parent: number; readonly ms: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    return { parent: fields[1]!, ms: (fields[11]! + fields[12]!) * tickMs };
  } catch {
    return undefined; // it has ended
  }
}

/** Milliseconds of processor time so far of these processes and their children; NaN where there is no /proc. */
export function cpuMs(pids: readonly number[]): number {
  try {
    let sum = 0;
    for (const pid of readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)) {
      const stat = statOf(pid);
      if (stat && (pids.includes(pid) || pids.includes(stat.parent))) sum += stat.ms;
    }
    return sum;
  } catch {
    return Number.NaN;
  }
}

/** Resident memory in megabytes; NaN where there is no /proc. */
export function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
  } catch {
    return Number.NaN;
  }
}
