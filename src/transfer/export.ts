// The export: waiting messages are handed to a receiver, in batches. Messages that leave are cancelled with a note in the transaction in which the
// receiver takes them.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { isWaybillError } from '../errors.ts';
import type { PayloadKeys } from '../message/seal.ts';
import { isSealed } from '../message/seal.ts';
import type { MessageFilter } from '../operate/filter.ts';
import {
  countWaiting,
  endExported,
  opened,
  readWaiting,
  waitingBatches,
  waitingFilter,
  type Waiting,
} from './waiting-messages.ts';

/** What a receiver did with one message. */
export type Taken =
  /** It has the message; the note says where it is. */
  { readonly id: string; readonly note: string } | Stays;

/** The message stays here, and why. */
export type Stays = { readonly id: string; readonly stays: string };

export type Receiver = {
  /** @param tx the transaction that ends the messages; undefined: they go on waiting here */
  take(messages: readonly Waiting[], tx: Executor | undefined): Promise<readonly Taken[]>;
};

export type ExportOptions = {
  readonly filter: MessageFilter;
  /** The messages leave: they are cancelled here. */
  readonly removes: boolean;
  readonly dryRun: boolean;
  /** Payloads of sensitive messages are opened. Without it they stay sealed, and `takesSealed` says whether the receiver takes them so. */
  readonly open: boolean;
  readonly takesSealed: boolean;
  readonly payloadKeys: PayloadKeys;
  readonly limit: number | undefined;
  readonly batchSize: number;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, found: number) => void;
};

export type ExportReport = {
  readonly dryRun: boolean;
  /** Messages that matched at the start. */
  readonly matched: number;
  readonly exported: number;
  /** Reason → number of messages that stay and are not exported. */
  readonly stayed: Readonly<Record<string, number>>;
  readonly end: 'done' | 'stopped' | 'limit';
};

/**
 * Exports the waiting messages that the filter matches. Messages that are being sent, or that others have locked, are left out.
 * @throws WaybillError `invalid_status`
 */
export async function exportMessages(
  db: Database,
  receiver: Receiver,
  { filter: given, ...options }: ExportOptions,
): Promise<ExportReport> {
  const filter = waitingFilter(given);
  const matched = await countWaiting(db, filter);
  const most = options.limit ?? Number.POSITIVE_INFINITY;
  const stayed: Record<string, number> = {};
  let exported = 0;
  const report = (end: ExportReport['end']): ExportReport => {
    return { dryRun: options.dryRun, matched, exported, stayed, end };
  };
  const next = waitingBatches(db, filter);
  for (;;) {
    const limit = Math.min(options.batchSize, most - exported);
    if (limit <= 0 || options.signal.aborted) return report(limit <= 0 ? 'limit' : 'stopped');
    const ids = await next(limit);
    if (ids.length === 0) return report('done');
    for (const one of await batch(db, receiver, filter, { ...options, ids }))
      if ('stays' in one) stayed[one.stays] = (stayed[one.stays] ?? 0) + 1;
      else exported += 1;
    options.onProgress(exported, matched);
  }
}

type BatchOptions = Omit<ExportOptions, 'filter' | 'limit'> & { readonly ids: readonly string[] };

async function batch(
  db: Database,
  receiver: Receiver,
  filter: MessageFilter,
  options: BatchOptions,
): Promise<readonly Taken[]> {
  const { ids, removes, dryRun } = options;
  const hand = async (from: Executor, tx: Executor | undefined): Promise<readonly Taken[]> => {
    const messages = await readWaiting(from, filter, { ids, lock: tx !== undefined });
    const ready = messages.map((message) => readied(message, options));
    const its = ready.filter((one): one is Waiting => !('stays' in one));
    const stays = ready.filter((one): one is Stays => 'stays' in one);
    return [...stays, ...(its.length > 0 ? await receiver.take(its, tx) : [])];
  };
  if (!removes || dryRun) return hand(db, undefined);
  return db.transaction(async (tx) => {
    const handed = await hand(tx, tx);
    await endExported(
      tx,
      handed.filter((one) => 'note' in one),
    );
    return handed;
  });
}

/** The message as the receiver gets it. A payload that cannot be opened keeps only its own message here. */
function readied(message: Waiting, { open, takesSealed, payloadKeys }: BatchOptions): Waiting | Stays {
  const { id, payload } = message;
  if (!open) return takesSealed || !isSealed(payload) ? message : { id, stays: 'sealed' };
  try {
    return opened(message, payloadKeys);
  } catch (error) {
    if (isWaybillError(error) && unopened.includes(error.code)) return { id, stays: error.code };
    throw error;
  }
}

const unopened = ['payload_key_missing', 'payload_unreadable'];
