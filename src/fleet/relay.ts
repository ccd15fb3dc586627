// The role *relay*: due messages into the queue, the sweep, the pruning.

import { relayPart } from '../relay/part.ts';
import { queueOf, type Role } from './role.ts';

export const relayRole: Role = async (host) => {
  const queue = queueOf(host);
  await queue.install();
  return relayPart(host, queue);
};
