// The steps that the model may take, what each answers, and its name in a path.

import { isLive, maxAttempts, unitsUntil, waits, type Content, type State } from './state.ts';

export type Ending = 'delivered' | 'failed' | 'dead' | 'released';

export type Step =
  | { readonly do: 'record'; readonly content: Content }
  | {
      readonly do: 'claim';
      readonly worker: number;
      readonly limit: number;
      /** As in a claim request. */
      readonly begins: number | undefined;
      readonly suspects: boolean;
    }
  | { readonly do: 'end'; readonly row: number; readonly how: Ending; readonly stale: boolean }
  /** The holder renews its lease; a prefetched message begins. */
  | { readonly do: 'extend'; readonly row: number; readonly stale: boolean }
  | { readonly do: 'pass' | 'sweep' | 'pause' | 'resume' }
  | { readonly do: PersonalAct; readonly row: number };

export type PersonalAct = 'cancel' | 'retry' | 'dismiss' | 'unblock';

/** What the caller of a step learns: rows in their order, with what became of each. */
export type Answer = readonly (readonly [row: number, what: string])[];

/** Which steps a scenario has, and how many messages. */
export type Scenario = {
  readonly name: string;
  readonly contents: readonly Content[];
  readonly recordings: number;
  readonly workers: number;
  readonly claims: readonly (readonly [limit: number, begins: number | undefined])[];
  readonly ends: readonly Ending[];
  readonly people: readonly (PersonalAct | 'pause')[];
  readonly extends: boolean;
  /** Steps from the empty queue. */
  readonly depth: number;
};

/** Every step that may be next. Steps that are refused, or find nothing, are among them. */
export function stepsFrom(state: State, scenario: Scenario): Step[] {
  const { rows, now } = state;
  const steps: Step[] = [];
  if (state.recordings < scenario.recordings)
    for (const content of scenario.contents) steps.push({ do: 'record', content });
  if (rows.length === 0) return steps;
  steps.push(...claimsFrom(state, scenario));
  for (const [row, { claim, stale }] of rows.entries())
    for (const isStale of [false, true]) {
      if (isStale ? !stale : claim === null) continue;
      for (const how of scenario.ends) steps.push({ do: 'end', row, how, stale: isStale });
      if (scenario.extends) steps.push({ do: 'extend', row, stale: isStale });
    }
  const times = rows.flatMap((one) => (one.claim ? [one.claim.until] : waits(one) ? [one.due] : []));
  if (times.some((time) => unitsUntil(time, now) > 0)) steps.push({ do: 'pass' });
  if (rows.some((row) => row.claim || (isLive(row) && row.older !== null))) steps.push({ do: 'sweep' });
  return [...steps, ...actsFrom(state, scenario)];
}

function claimsFrom({ rows }: State, { workers, claims }: Scenario): Step[] {
  const isSuspect = rows.some((row) => waits(row) && row.expirations > 1);
  const steps: Step[] = [];
  for (let worker = 0; worker < workers; worker++) {
    for (const [limit, begins] of claims) steps.push({ do: 'claim', worker, limit, begins, suspects: false });
    if (isSuspect) steps.push({ do: 'claim', worker, limit: 1, begins: undefined, suspects: true });
  }
  return steps;
}

function actsFrom({ rows, paused }: State, { people }: Scenario): Step[] {
  const steps: Step[] = [];
  for (const act of people)
    if (act === 'pause') steps.push({ do: paused ? 'resume' : 'pause' });
    else for (const row of rows.keys()) steps.push({ do: act, row });
  return steps;
}

/** A step in words, as a path shows it. */
export function wordsOf(step: Step): string {
  switch (step.do) {
    case 'record': {
      const { key, order, skips } = step.content;
      const words = [
        key === 'none' ? '' : ` with the key, ${key}`,
        order && ` in order ${order}${skips ? ', skips' : ''}`,
      ];
      return `record${words.filter(Boolean).join(',')}`;
    }
    case 'claim': {
      const begins = step.begins === undefined ? '' : `, ${step.begins} begins`;
      return `worker ${step.worker} claims ${step.suspects ? 'a suspect' : `at most ${step.limit}${begins}`}`;
    }
    case 'end':
      return `message ${step.row} ends ${step.how}${step.stale ? ' under a stale token' : ''}`;
    case 'extend':
      return `the lease of message ${step.row} is renewed${step.stale ? ' under a stale token' : ''}`;
    case 'pass':
      return 'a lease of time passes';
    case 'sweep':
    case 'pause':
    case 'resume':
      return step.do;
    case 'cancel':
    case 'retry':
    case 'dismiss':
    case 'unblock':
      return `a person does ${step.do} to message ${step.row}`;
  }
}

export const mostLosses = maxAttempts + 1;
