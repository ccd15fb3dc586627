// Decides what a job of a source becomes: a message that can be delivered here, or a misfit, which stays in the source.

import type { EmailMessage } from '../define/context.ts';
import { eventQueue } from '../define/event.ts';
import { emailMessage } from '../define/messages.ts';
import { decode } from '../define/payload.ts';
import type { Registry } from '../define/registry.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import { checkMessage, isDeliveryKey, type NewMessage } from '../message/message.ts';
import { isTags } from '../message/tags.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { parsePayload } from './exact-json.ts';
import { idKey, keyTag } from './import-key.ts';
import { isSkipped, rowOf, type ImportMap, type ImportRow } from './import-map.ts';
import { lineMessage } from './line-message.ts';
import type { SourceJob, SourceName } from './source.ts';

/** A job with the message that it becomes. */
export type Fit = {
  readonly job: SourceJob;
  readonly message: NewMessage & { readonly deliveryKey: string };
};

/** A job that stays in the source, and why: codes and paths, never a value of the payload. */
export type Misfit = Pick<SourceJob, 'queue' | 'within' | 'id' | 'made'> & {
  readonly code: string;
  readonly paths: readonly string[];
};

export const misfitOf = (
  { queue, within, id, made }: SourceJob,
  code: string,
  paths: readonly string[] = [],
): Misfit => ({ queue, within, id, made, code, paths: paths.slice(0, 5).map(maskAddresses) });

export type Judging = {
  readonly source: SourceName;
  readonly map: ImportMap;
  readonly registry: Registry;
  readonly maxPayloadBytes: number;
  /** The sender of emails without one; null: such emails do not fit. */
  readonly emailFrom: string | null;
};

/** Undefined: the map skips the queue. */
export async function judge(job: SourceJob, judging: Judging): Promise<Fit | Misfit | undefined> {
  const row = rowOf(judging.map, job);
  if (row === undefined || isSkipped(row)) return undefined;
  if (job.inFlow) return misfitOf(job, 'in_flow');
  try {
    const message = await messageOf(job, row, judging);
    checkMessage(message, judging.maxPayloadBytes);
    return { job, message };
  } catch (error) {
    // The words of other errors may have parts of the payload.
    if (!isWaybillError(error)) return misfitOf(job, 'schema_failed');
    const paths = error.issues.map(({ path, ...issue }) => {
      const code = 'code' in issue ? String(issue.code) : '';
      return [path, code].filter(Boolean).join(': ');
    });
    return misfitOf(job, error.code, paths.filter(Boolean));
  }
}

/** @throws WaybillError when the payload does not fit */
async function messageOf(job: SourceJob, row: ImportRow, judging: Judging): Promise<Fit['message']> {
  const { app } = judging.registry;
  if (job.exported) return lineMessage(job, job.exported, { ...judging, key: idKey(judging.source, job) });
  const payload = shaped(parsePayload(job.json), row);
  const own = row.key === 'own' && isDeliveryKey(job.key) ? job.key : undefined;
  const common = {
    deliveryKey: own ?? idKey(judging.source, job),
    availableAt: new Date(job.dueAt),
    priority: job.priority,
    ...(job.group !== undefined && { group: job.group }),
    ...(job.orderKey !== undefined && { orderKey: job.orderKey }),
    ...tagsOf(job, row, own === undefined ? keyMark(job, row, judging.source) : idKey(judging.source, job)),
  };
  const attempts = (defined: number | undefined): number | undefined =>
    row.attempts === 'definition' ? defined : Math.min(1_000, Math.max(1, job.attemptsLeft));
  if (row.kind === 'email') {
    const maxAttempts = attempts(app.email.retry.maxAttempts);
    const email = { ...(payload as EmailMessage), ...common };
    const message = emailMessage(email, { from: judging.emailFrom, maxAttempts });
    return { ...message, deliveryKey: common.deliveryKey, ...(row.queue && { queue: row.queue }) };
  }
  const { kind, name } = row as { readonly kind: 'job' | 'event'; readonly name: string };
  const { job: jobOf, event: eventOf } = judging.registry;
  const definition = kind === 'job' ? jobOf(name)! : eventOf(name)!;
  await decode({ kind, name, payload: definition.payload }, payload);
  const its =
    definition.kind === 'job'
      ? {
          queue: definition.queue,
          onDead: definition.onDead,
          maxAttempts: attempts(definition.retry.maxAttempts),
        }
      : { queue: eventQueue, maxAttempts: attempts(undefined) };
  const { sensitive, keep } = definition;
  const { queue = its.queue } = row;
  return { kind, name, payload, ...its, ...common, queue, ...(sensitive && { sensitive, keep }) };
}

/**
 * The payload with its picked and renamed fields. Anything but an object is left as it is.
 * @throws WaybillError `rename_taken`
 */
function shaped(payload: unknown, { pick, rename }: ImportRow): unknown {
  if (pick === undefined && rename === undefined) return payload;
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return payload;
  const kept = Object.entries(payload).filter(([name]) => pick === undefined || pick.includes(name));
  const newName = (name: string): string =>
    rename !== undefined && Object.hasOwn(rename, name) ? rename[name]! : name;
  const fields = new Map<string, unknown>();
  for (const [name, value] of kept) {
    const its = newName(name);
    if (fields.has(its))
      throw new WaybillError('rename_taken', `two fields of the payload would have the name ${its}`, [
        { path: its, message: 'two fields would have this name' },
      ]);
    fields.set(its, value);
  }
  return Object.fromEntries(fields);
}

/** Where the delivery key is made of the id, a tag keeps the key of a job, so that it has it again when it goes back to pg-boss. */
function keyMark({ key }: SourceJob, { tags = [] }: ImportRow, source: SourceName): string | undefined {
  const tag = `${keyTag}${key}`;
  return source === 'pg-boss' && key !== undefined && isTags([...tags, tag]) ? tag : undefined;
}

/** With its own key as delivery key, a tag tells the job's message from another one with that key. */
function tagsOf(job: SourceJob, row: ImportRow, mark: string | undefined): Pick<NewMessage, 'tags'> {
  const tags = [...(job.tags ?? []), ...(row.tags ?? []), ...(mark === undefined ? [] : [mark])];
  return tags.length > 0 ? { tags } : {};
}

/** What one order key is in the source. A queue of graphile-worker is one across tasks, and an order key of ours across the names of one queue. */
export function orderOf(source: SourceName, { queue, orderKey, exported }: SourceJob): string | undefined {
  if (orderKey === undefined) return undefined;
  return JSON.stringify([source === 'pg-boss' ? queue : (exported?.queue ?? ''), orderKey]);
}

export const isFit = (judged: Fit | Misfit): judged is Fit => 'message' in judged;
