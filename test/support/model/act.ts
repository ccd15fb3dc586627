// Performs a step of the model on an outbox through its port. Both worlds share it, so that each answer is read in one way.

import type { NewMessage } from '../../../src/message/message.ts';
import type { Settlement } from '../../../src/message/outcome.ts';
import type { OutboxPort } from '../../../src/outbox/port.ts';
import { workerName } from './seen.ts';
import { maxAttempts, maxWait, unit, type Content } from './state.ts';
import type { Answer, PersonalAct, Step } from './step.ts';

/** Of one message. Where a token is stale, the first one is. */
export type ClaimTokens = { readonly first: string; readonly last: string };

/** What the port does not say, and the world knows. */
export type Actors = {
  readonly port: OutboxPort;
  readonly queue: string;
  readonly recordings: number;
  readonly ids: string[];
  token(row: number, isStale: boolean): string;
  /** Of every message of a claim. */
  claimed(row: number, token: string): void;
  /** What the port cannot do. True: done; false: refused. */
  person(act: PersonalAct, id: string): Promise<boolean>;
  pause(isPaused: boolean): Promise<void>;
};

export function messageOf({ key, order, skips }: Content, queue: string, payload: number): NewMessage {
  return {
    kind: 'job',
    name: queue,
    queue,
    payload,
    maxAttempts,
    ...(order !== null && { orderKey: order, onDead: skips ? 'skip' : 'block' }),
    ...(key !== 'none' && { deliveryKey: queue }),
    ...(key === 'replace' && { onDuplicate: 'replace' }),
    ...(key === 'debounce' && { debounce: unit, maxWait }),
  };
}

export async function act(actors: Actors, step: Step): Promise<Answer> {
  const { port, queue, ids } = actors;
  switch (step.do) {
    case 'record': {
      const message = messageOf(step.content, queue, actors.recordings);
      const { id, duplicate, replaced } = await port.enqueue(message);
      if (!duplicate) ids.push(id);
      return [[ids.indexOf(id), replaced ? 'replaced' : duplicate ? 'kept' : 'recorded']];
    }
    case 'claim':
      return claim(actors, step);
    case 'end': {
      const settled = await port.settle([settlementOf(actors, step)]);
      return settled.map(({ id, status }) => [ids.indexOf(id), status] as const);
    }
    case 'extend': {
      const claims = [{ id: ids[step.row]!, claimToken: actors.token(step.row, step.stale) }];
      return (await port.extend(claims, unit)).map((id) => [ids.indexOf(id), 'renewed'] as const);
    }
    case 'sweep': {
      const ended = (await port.expire(100)).filter(({ name }) => name === queue);
      return ended.map(({ id, status }) => [ids.indexOf(id), status] as const).toSorted(([a], [b]) => a - b);
    }
    case 'pass':
      return [];
    case 'pause':
    case 'resume':
      await actors.pause(step.do === 'pause');
      return [];
    case 'cancel':
    case 'retry':
    case 'dismiss':
    case 'unblock': {
      const isDone = await actors.person(step.do, ids[step.row]!);
      return isDone ? [[step.row, step.do]] : [];
    }
  }
}

async function claim(actors: Actors, step: Extract<Step, { do: 'claim' }>): Promise<Answer> {
  const { worker, limit, begins, suspects } = step;
  const { queue, ids } = actors;
  const workerId = `${queue} ${workerName(worker)}`;
  const request = { limit, leaseMs: unit, workerId, queues: [queue], begins, suspects };
  const claimed = await actors.port.claimBatch(request);
  return claimed.map(({ id, attempt, prefetched, payload, claimToken }) => {
    actors.claimed(ids.indexOf(id), claimToken);
    const words = `attempt ${attempt}${prefetched ? ', prefetched' : ''}, payload ${payload as number}`;
    return [ids.indexOf(id), words];
  });
}

function settlementOf(actors: Actors, { row, how, stale }: Extract<Step, { do: 'end' }>): Settlement {
  const base = { id: actors.ids[row]!, claimToken: actors.token(row, stale) };
  switch (how) {
    case 'delivered':
      return { ...base, to: how, then: [] };
    case 'failed':
      return { ...base, to: how, error: 'no', delay: unit, ambiguous: false };
    case 'dead':
      return { ...base, to: how, error: 'no', ambiguous: false };
    case 'released':
      return { ...base, to: how, error: null, delay: 0 };
  }
}
