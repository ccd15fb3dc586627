// The filter of messages in a query string or a body.

import { z } from 'zod';
import { kinds, statuses } from '../message/message.ts';
import { deadCauses } from '../message/outcome.ts';
import { attemptOutcomes } from '../operate/filter.ts';

/** A parameter with the words that it takes, for the document: they are checked later, with a hint at the nearest. */
export const listed = <T extends z.ZodType>(schema: T, words: readonly string[]): T =>
  schema.meta({ enum: words });

/** One of the words, or several. */
export const oneOrMore = (words: readonly string[]) => {
  const word = listed(z.string(), words);
  return z.union([word, z.array(word)]).optional();
};

const texts = z.union([z.string(), z.array(z.string())]).optional();

export const filters = {
  status: oneOrMore(statuses),
  kind: oneOrMore(kinds),
  name: texts,
  queue: texts,
  deliveryKey: texts,
  keyPrefix: z.string().optional(),
  to: texts,
  tag: texts,
  group: texts,
  orderKey: texts,
  requestId: texts,
  traceId: texts,
  parentId: texts,
  claimedBy: texts,
  payload: texts.describe(
    'A path in the payload and its value, such as customer.id=7; in a URL also payload.customer.id=7. Needs the role admin',
  ),
  outcome: oneOrMore(attemptOutcomes),
  cause: oneOrMore(deadCauses),
  errorContains: z.string().optional(),
  since: z.string().optional(),
  until: z.string().optional(),
  availableSince: z.string().optional(),
  availableUntil: z.string().optional(),
  deadSince: z.string().optional(),
};
