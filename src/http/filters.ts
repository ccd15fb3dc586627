// The filter of messages in a query string or a body.

import { z } from 'zod';

const texts = z.union([z.string(), z.array(z.string())]).optional();

export const filters = {
  status: texts,
  kind: texts,
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
  /** `customer.id=7` */
  payload: texts,
  outcome: texts,
  cause: texts,
  errorContains: z.string().optional(),
  since: z.string().optional(),
  until: z.string().optional(),
  availableSince: z.string().optional(),
  availableUntil: z.string().optional(),
  deadSince: z.string().optional(),
};
