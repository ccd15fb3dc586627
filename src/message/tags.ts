// Tags of a message, by which people find it (docs/search.md): what they may be, and duplicates folded.

import { WaybillError } from '../errors.ts';
import { isFlowKey } from './flow.ts';

/** Tags, by which people find a message. */
export type TagOptions = {
  /**
   * What the message is found by, such as `['tenant:acme', 'order:4711']`: at most 20 different tags, each of 1 … 200 characters, no control
   * characters.
   */
  readonly tags?: readonly string[] | undefined;
};

export const maxTags = 20;

/** The rule for tags, as error messages state it. */
export const tagsRule = `at most ${maxTags} different tags, each of 1 to 200 characters, and no control characters`;

/**
 * The same rule as in sql/0001_messages.sql.
 * @returns the tags without duplicates, in their order; undefined without any
 * @throws WaybillError `tags_invalid`
 */
export function foldedTags(tags: unknown): readonly string[] | undefined {
  if (!isTags(tags)) throw new WaybillError('tags_invalid', `a message has ${tagsRule}`);
  return tags.length === 0 ? undefined : [...new Set(tags)];
}

export function isTags(tags: unknown): tags is readonly string[] {
  return Array.isArray(tags) && tags.every(isFlowKey) && new Set(tags).size <= maxTags;
}
