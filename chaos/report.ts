// The report of a run: one table for the terminal, the same as JSON for a file.

import { cpus, loadavg, totalmem } from 'node:os';
import type { Double } from './deliveries.ts';
import type { Again } from './recovery.ts';
import { quantile, recoveryOf } from './recovery.ts';
import type { Struck } from './strikes.ts';
import type { Breach } from './subject.ts';

export type FaultRow = {
  readonly fault: string;
  readonly times: number;
  /** Messages that the processes it hit had claimed, summed over its times. */
  readonly inFlight: number;
  readonly duplicates: number;
  /** Milliseconds from its end to the next delivery. */
  readonly recoveryP50: number | null;
  readonly recoveryWorst: number | null;
};

export type Report = {
  readonly subject: string;
  readonly about: Readonly<Record<string, string>>;
  readonly machine: Readonly<Record<string, string>>;
  readonly at: string;
  readonly seed: number;
  readonly minutes: number;
  readonly faults: readonly string[];
  readonly skipped: Readonly<Record<string, string>>;
  readonly figures: Readonly<Record<string, number | string | null>>;
  readonly byFault: readonly FaultRow[];
  readonly breaches: readonly (Breach & {
    readonly timelines: Readonly<Record<string, readonly string[]>>;
  })[];
  readonly repeat: string;
};

export function machineOf(postgres: string): Record<string, string> {
  return {
    processors: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    node: process.version,
    postgres,
    load: loadavg()
      .map((one) => one.toFixed(1))
      .join(' '),
  };
}

export function rowsOf(
  struck: readonly Struck[],
  doubles: readonly Double[],
  times: readonly number[],
): FaultRow[] {
  const groups = Map.groupBy(struck, ({ fault }) => fault);
  const rows = [...groups].map(([fault, its]): FaultRow => {
    const took = its.flatMap((one) => recoveryOf(one, times) ?? []);
    return {
      fault,
      times: its.length,
      inFlight: its.reduce((sum, one) => sum + (one.inFlight ?? 0), 0),
      duplicates: doubles.filter(({ by }) => by?.fault === fault).length,
      recoveryP50: quantile(took, 0.5),
      recoveryWorst: quantile(took, 1),
    };
  });
  const unexplained = doubles.filter(({ by }) => by === undefined).length;
  const none = { times: 0, inFlight: 0, recoveryP50: null, recoveryWorst: null };
  return unexplained === 0 ? rows : [...rows, { fault: 'no fault', duplicates: unexplained, ...none }];
}

export function againFigures(again: readonly Again[]): Record<string, number | null> {
  const alone = again.filter(({ isDisturbed }) => !isDisturbed).map(({ ms }) => ms);
  return {
    'due again after kill -9, p50 ms': rounded(quantile(alone, 0.5)),
    'due again after kill -9, worst ms': rounded(quantile(alone, 1)),
  };
}

const rounded = (ms: number | null): number | null => (ms === null ? null : Math.round(ms));
const cell = (value: number | string | null): string => (value === null ? '–' : String(value));

export function linesOf(report: Report): string[] {
  const width = Math.max(...Object.keys(report.figures).map((name) => name.length));
  const table = [
    ['fault', 'times', 'in flight', 'duplicates', 'recovery p50 ms', 'worst ms'],
    ...report.byFault.map((row) => [
      row.fault,
      row.fault === 'no fault' ? '–' : row.times,
      row.inFlight,
      row.duplicates,
      rounded(row.recoveryP50),
      rounded(row.recoveryWorst),
    ]),
  ].map((row) => row.map(cell));
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  return [
    `${report.subject} ${report.about['version'] ?? ''}, seed ${report.seed}, ${report.minutes} minutes; ${Object.values(report.machine).join(', ')}`,
    ...notStruck(report),
    ...Object.entries(report.skipped).map(([name, why]) => `SKIPPED, not tested: ${name}: ${why}`),
    '',
    ...Object.entries(report.figures).map(([name, value]) => `${name.padEnd(width)}  ${cell(value)}`),
    '',
    ...table.map((row) =>
      row
        .map((one, i) => one.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    ),
    '',
    ...report.breaches.flatMap(breachLines),
    report.breaches.length === 0
      ? 'every promise held, under the faults of this table'
      : `${report.breaches.length} promises were broken`,
    ...(report.breaches.length === 0 ? [] : [`again with: ${report.repeat}`]),
  ];
}

/** What was asked for and did not come, because the run was too short. */
function notStruck({ faults, skipped, byFault }: Report): string[] {
  const struck = new Set(byFault.map(({ fault }) => fault));
  const left = faults.filter((name) => !struck.has(name) && !(name in skipped));
  return left.length === 0 ? [] : [`NOT STRUCK, the run was too short: ${left.join(', ')}`];
}

function breachLines({ promise, text, timelines }: Report['breaches'][number]): string[] {
  return [
    `BROKEN: ${promise}: ${text}`,
    ...Object.entries(timelines).flatMap(([work, lines]) => [
      `  ${work}`,
      ...lines.map((line) => `    ${line}`),
    ]),
    '',
  ];
}
