// What a worker has in hand: each message from its claim to its recorded end, and everybody who counts it meanwhile.

import type { Executor } from '../db/executor.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { Milliseconds } from '../ports.ts';
import type { Isolation } from '../process/isolation.ts';
import type { AttemptPorts } from './attempt.ts';
import type { Limits } from './limits.ts';
import { createMarks } from './marks.ts';
import type { Mark, Slots } from './slots.ts';
import type { Turn } from './turn.ts';
import { ClaimedWork } from './work.ts';

export type HandPorts = {
  readonly slots: Slots;
  readonly limits: Limits;
  readonly isolation: Isolation;
  readonly attempts: AttemptPorts;
  readonly db: Executor;
  readonly workerId: string;
  /** Tells the workers of one process apart. */
  readonly part: string;
  /** After each end. */
  readonly ended: () => void;
};

/** @returns takes a claimed message in hand: it runs as soon as a slot is free */
export function createHand(
  ports: HandPorts,
): (message: ClaimedMessage, since: Milliseconds, turn?: Turn) => void {
  const { slots, limits, isolation, attempts } = ports;
  const marks = createMarks(ports.db, ports.workerId, ports.part);
  const mark: Mark = (works) => marks.mark(works.map((work) => (work as ClaimedWork).message));

  function ended(work: ClaimedWork): void {
    limits.ended(work.message);
    marks.ended(work.message);
    isolation.ended(work);
    ports.ended();
  }

  return (message, since, turn) => {
    limits.started(message);
    const work = new ClaimedWork(message, { since, turn, mark, attempts, ended });
    isolation.begun(work);
    slots.run(work);
  };
}
