// The end of a pause as a person writes it: `until` a time or `for` a duration.

import { parseDuration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import type { PauseEnd } from '../queues/queues.ts';
import { time } from './time.ts';

const longestMs = 366 * 86_400_000;

/**
 * @param given `until`: ISO 8601 with its zone; `for`: `30m`, `2h`, at most 366 days
 * @throws WaybillError `invalid_time`, `invalid_pause`
 */
export function readPauseEnd(given: {
  readonly until?: string | undefined;
  readonly for?: string | undefined;
}): PauseEnd {
  if (given.until !== undefined && given.for !== undefined)
    throw new WaybillError(
      'invalid_pause',
      'a pause ends at a time (until) or after a duration (for), not both',
    );
  const until = time('until', given.until);
  if (until) return { until };
  if (given.for === undefined) return {};
  const forMs = parseDuration(given.for);
  if (forMs !== undefined && forMs > 0 && forMs <= longestMs) return { forMs };
  throw new WaybillError(
    'invalid_pause',
    `${JSON.stringify(given.for.slice(0, 40))} is no duration of a pause: write 30m, 2h or 7d, at most 366d`,
  );
}
