// Batching: emails handed over in the same event-loop turn go to the provider in one request, if it takes several. Before a request, the key of
// each email is recorded, alone or in a batch. That key holds for every later attempt (invariant D):
//
//   no plan, first attempt; freed   → planned with the other emails of this turn
//   no plan, a later attempt        → alone: the earlier attempt kept no plans
//   planned in a batch              → the whole batch is sent again under its key; this email takes its own answer
//   … and the answer is known       → that answer, without a request
//   … and this one was refused; the key is too old; the batch cannot be rebuilt → alone
//   planned by another provider      → alone

import type { BatchPlans, Plan, PlannedEmail } from '../email/batch-plan.ts';
import type { EmailPayload } from '../email/email.ts';
import { EmailError } from '../email/error.ts';
import { isOf } from '../errors.ts';
import type { EmailProvider, Handover, Receipt } from '../email/provider.ts';
import { createBatchRequests, type Answers } from './batch-request.ts';
import { StoreError } from './store-error.ts';

/** Sends emails, several in one request where the provider takes that. */
export type Batching = {
  /**
   * Hands over one email, perhaps in a batch. A request for several goes on until the signals of all of them have aborted.
   * @param about its `idempotencyKey` is the message's id
   * @param attempt 1 for the first
   * @throws EmailError, StoreError
   */
  send(email: EmailPayload, about: Handover, attempt: number): Promise<Receipt>;
};

export type BatchingPorts = {
  readonly plans: BatchPlans;
  readonly emailFrom: string | null;
  /** A new UUID for each batch. */
  readonly newBatch: () => string;
};

type Entry = {
  readonly email: EmailPayload;
  readonly about: Handover;
  readonly isFirst: boolean;
  /** A batch could not send it. */
  readonly alone: boolean;
  readonly take: (receipt: Promise<Receipt>) => void;
};

/** Emails for one request. An email that goes alone has its own id as the batch. */
type Group = { readonly batch: string; readonly entries: readonly Entry[] };

/** Undefined: the provider takes only one email at a time. */
// oxlint-disable-next-line max-lines-per-function -- methods over one batch
export function batchingOf(provider: EmailProvider, ports: BatchingPorts): Batching | undefined {
  const { name, batch: batches } = provider;
  if (batches === undefined) return undefined;
  const { size } = batches;
  const { plans, emailFrom, newBatch } = ports;
  const requests = createBatchRequests({ provider: name, batches, plans, emailFrom });
  let gathered: Entry[] = [];

  function gather(entry: Omit<Entry, 'take'>): Promise<Receipt> {
    return new Promise((take) => {
      if (gathered.push({ ...entry, take }) === 1) setImmediate(() => void flush());
    });
  }

  async function flush(): Promise<void> {
    const entries = gathered;
    gathered = [];
    let [found, groups]: [ReadonlyMap<string, Plan>, readonly Group[]] = [new Map(), []];
    try {
      found = await plans.find(entries.map(idOf));
      groups = grouped(entries, found, { size, newBatch });
      if (groups.length > 0) await plans.write(groups.flatMap(planOf));
    } catch (error) {
      const failed = new StoreError('the plans of batches could not be read or written', error);
      for (const { take } of entries) take(Promise.reject(failed));
      return;
    }
    groups.forEach(begin);
    for (const entry of entries) {
      const plan = found.get(idOf(entry));
      if (plan && plan.batch !== null) entry.take(repeat(entry, plan.batch, plan));
    }
  }

  function begin({ batch, entries }: Group): void {
    const [one] = entries;
    if (one && entries.length === 1) return one.take(provider.send(one.email, one.about));
    const answers = requests.first(batch, entries);
    for (const entry of entries) entry.take(answerOf(entry, answers));
  }

  async function repeat(entry: Entry, batch: string, { young, answer, isForeign }: Plan): Promise<Receipt> {
    if (isForeign) return provider.send(entry.email, entry.about);
    if (answer?.receipt) return answer.receipt;
    if (entry.alone || answer || !young || batch === idOf(entry))
      return provider.send(entry.email, entry.about);
    return answerOf(entry, requests.again(batch, entry));
  }

  async function answerOf(entry: Entry, asked: Promise<Answers>): Promise<Receipt> {
    const answers = await asked;
    const answer = answers === 'alone' ? undefined : answers.get(idOf(entry));
    if (answer === undefined) return gather({ ...entry, alone: true });
    if (isOf(answer, EmailError)) throw answer;
    return answer;
  }

  return {
    send(email, about, attempt) {
      if (!batches.takes(email)) return provider.send(email, about);
      return gather({ email, about, isFirst: attempt === 1, alone: false });
    },
  };
}

const idOf = ({ about }: Entry): string => about.idempotencyKey;

/** Groups the emails that have no plan, or one that was freed. */
function grouped(
  entries: readonly Entry[],
  found: ReadonlyMap<string, Plan>,
  { size, newBatch }: { readonly size: number; readonly newBatch: () => string },
): Group[] {
  const without = entries.filter((entry) => (found.get(idOf(entry))?.batch ?? null) === null);
  const mayJoin = (entry: Entry): boolean => !entry.alone && (entry.isFirst || found.has(idOf(entry)));
  const joining = without.filter(mayJoin);
  const groups = Array.from({ length: Math.ceil(joining.length / size) }, (_, i) =>
    joining.slice(i * size, (i + 1) * size),
  );
  const lone = without.filter((entry) => !mayJoin(entry)).map((entry) => [entry]);
  return [...groups, ...lone].map((group) => ({
    batch: group.length === 1 ? idOf(group[0]!) : newBatch(),
    entries: group,
  }));
}

function planOf({ batch, entries }: Group): PlannedEmail[] {
  return entries.map((entry, position) => ({
    messageId: idOf(entry),
    batch,
    position,
    size: entries.length,
    recipients: entry.about.recipients,
  }));
}
