// What ran at the same time as what, from the journals: more of a tenant than its limit, and settlements of claims that were not the newest.

import type { Entry } from './journal.ts';

type Span = { readonly work: string; readonly group: string; readonly from: number; readonly to: number };

/**
 * Starts of a group's messages while as many as its limit ran. Only messages that ran once count: of the others an earlier run may go on in a process that
 * stood still past its lease, which the limit does not promise to count.
 */
export function mostAtOnce(entries: readonly Entry[], limit: number): string[] {
  const over: string[] = [];
  for (const spans of Map.groupBy(spansOf(entries), ({ group }) => group).values()) {
    const running: Span[] = [];
    for (const span of spans) {
      for (let i = running.length - 1; i >= 0; i--) if (running[i]!.to <= span.from) running.splice(i, 1);
      running.push(span);
      if (running.length > limit) over.push(span.work);
    }
  }
  return over;
}

function spansOf(entries: readonly Entry[]): Span[] {
  const spans: Span[] = [];
  for (const its of Map.groupBy(entries, ({ work }) => work).values()) {
    const [began, ended] = [
      its.filter(({ what }) => what === 'began'),
      its.filter(({ what }) => what === 'ended'),
    ];
    const group = began[0]?.group;
    if (group === undefined || !group.startsWith('tenant-') || began.length !== 1 || ended.length !== 1)
      continue;
    spans.push({ work: began[0]!.work, group, from: began[0]!.at, to: ended[0]!.at });
  }
  return spans.toSorted((a, b) => a.from - b.from);
}

/** Works whose effect was committed by an attempt, although a later attempt had begun before that one ended (invariant C). */
export function staleWrites(
  entries: readonly Entry[],
  effects: ReadonlyMap<string, readonly number[]>,
): string[] {
  const byWork = Map.groupBy(entries, ({ work }) => work);
  return [...effects].flatMap(([work, attempts]) => {
    const its = byWork.get(work) ?? [];
    const isStale = attempts.some((attempt) => {
      const ended = its.find((one) => one.what === 'ended' && one.attempt === attempt);
      return (
        ended !== undefined &&
        its.some((one) => one.what === 'began' && one.attempt > attempt && one.at < ended.at)
      );
    });
    return isStale ? [work] : [];
  });
}
