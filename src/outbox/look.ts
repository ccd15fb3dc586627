// A look at the outbox: one statement that asks for the relay, the sweep and the probe whether there is anything for them to do. An idle
// relay asks nothing else.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { lanes } from './lanes.ts';
import { inFlight, lapsed, stuck } from './lapsed.ts';
import { isOpen } from './gate.ts';
import { probesDueSql } from './park.ts';
import { guard } from './transitions.ts';

export type Look = {
  /** Something waits for the relay in an open queue. */
  readonly due: boolean;
  /** A lease ran out, or a message was handed on a while ago and is claimed by nobody. */
  readonly lapsed: boolean;
  /** A parked queue may be probed. */
  readonly probes: boolean;
};

/** Milliseconds after which a message that was handed on and not claimed is looked for. */
export const lookSql = `
  with recursive ${lanes}
  select exists (select from lane cross join lateral (
             select from waybill.outbox_messages
              where relayed_at is null and cancelled_at is null and queue = lane.queue and priority = lane.priority
                and available_at <= now() order by available_at desc limit 1) w where ${isOpen('lane.queue')}) as due,
         exists (select from waybill.outbox_messages
                  where ${inFlight} and (${guard('expire')} and ${lapsed}
                     or ${guard('claim')} and (attempts >= max_attempts or relayed_at < now() - $1 * interval '1 millisecond')
                     or ${stuck})) as lapsed,
         exists (${probesDueSql}) as probes`;

/** Those who ask within `freshMs` of one another share a look. */
export function createLook(
  db: Executor,
  clock: Clock,
  { freshMs, suspectAfterMs }: { readonly freshMs: Milliseconds; readonly suspectAfterMs: Milliseconds },
): () => Promise<Look> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Promise<Look> | undefined;
  const ask = async (): Promise<Look> => (await db.executeSql<Look>(lookSql, [suspectAfterMs])).rows[0]!;
  return async () => {
    if (last === undefined || clock.now() - at >= freshMs) {
      at = clock.now();
      last = ask();
      last.catch(() => (last = undefined));
    }
    return last;
  };
}
