// Durations as people write them: `500ms`, `30s`, `5m`, `48h`, `7d`.

import type { Milliseconds } from './ports.ts';

const units: Readonly<Record<string, Milliseconds>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Undefined when the text is no duration. */
export function parseDuration(text: string): Milliseconds | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * units[match[2]!]! : undefined;
}
