// The text that says which job of a source a message came from: its delivery key, or a tag where it has a key of its own. An export to pg-boss reads it.

import { createHash } from 'node:crypto';
import { isDeliveryKey } from '../message/message.ts';
import type { SourceJob, SourceName } from './source.ts';

/** The delivery key that a job has here unless its own is wanted. The same job always has the same, so it is recorded once. */
export function idKey(source: SourceName, { queue, within, made, id }: SourceJob): string {
  const text = `import:${[source, within ?? queue, ...(made === undefined ? [] : [made]), id].join(':')}`;
  if (text.length <= 200 && isDeliveryKey(text)) return text;
  return `import:${source}:sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** How the tag begins that has the key of a job of pg-boss. */
export const keyTag = 'import:key:';

type Marked = { readonly deliveryKey: string | null; readonly tags: readonly string[] };

/** The delivery key or the tag of an import from pg-boss. */
const mark = /^import:pg-boss:(.{1,200}?)(?::-?\d{1,20})?:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The job that the message was, where it came from pg-boss. */
export function originOf({ deliveryKey, tags }: Marked) {
  for (const text of [deliveryKey ?? '', ...tags]) {
    const [, queue, id] = mark.exec(text) ?? [];
    if (queue !== undefined && id !== undefined) return { queue, id };
  }
  return undefined;
}
