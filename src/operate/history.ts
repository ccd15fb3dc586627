// One message with what people did to it.

import type { Executor } from '../db/executor.ts';
import { acts as allActs, listActs, type ActView } from './audit.ts';
import { showMessage, type WholeMessage } from './read.ts';

export type MessageHistory = WholeMessage & {
  /** What people did to this one message, the oldest first; the newest 500 of them. Who read its payload is in the audit only. */
  readonly acts: readonly ActView[];
};

const changing = allActs.filter((act) => act !== 'message.show');

/** @throws WaybillError `invalid_id`, `not_found` */
export async function showHistory(db: Executor, id: string): Promise<MessageHistory> {
  const message = await showMessage(db, id);
  const { acts } = await listActs(db, { act: changing, target: message.id, limit: 500 });
  return { ...message, acts: acts.toReversed() };
}

/** Something that happened to a message; `at` is null if the time is not known. */
export type Happening =
  | { readonly what: 'attempt'; readonly at: unknown; readonly attempt: MessageHistory['attempts'][number] }
  | { readonly what: 'note'; readonly at: unknown; readonly note: MessageHistory['notes'][number] }
  | { readonly what: 'act'; readonly at: unknown; readonly act: ActView };

/** Attempts by their end, notes and acts, in one order of time. */
export function timelineOf({ attempts, notes, acts }: MessageHistory): readonly Happening[] {
  const all: Happening[] = [
    ...attempts.map((attempt) => ({ what: 'attempt' as const, at: attempt.finishedAt, attempt })),
    ...notes.map((note) => ({ what: 'note' as const, at: note.at, note })),
    ...acts.map((act) => ({ what: 'act' as const, at: act.at, act })),
  ];
  const instant = ({ at }: Happening): number =>
    at instanceof Date ? at.getTime() : Number.POSITIVE_INFINITY;
  return all.toSorted((a, b) => instant(a) - instant(b) || 0);
}
