// What was claimed and has not begun is given back: its attempt does not count, and it is due again at once.

import type { ClaimedMessage } from '../outbox/message.ts';
import { settle } from '../outbox/transitions.ts';
import type { AttemptPorts } from './attempt.ts';
import { givenBack } from './end.ts';
import { report, type ReleaseCause } from './report.ts';
import type { Turn } from './turn.ts';

export async function giveBack(
  message: ClaimedMessage,
  ports: AttemptPorts,
  cause: ReleaseCause,
  turn?: Turn,
): Promise<void> {
  await turn?.come(AbortSignal.abort());
  const { outcome, backoff } = givenBack;
  const settlement = settle(message, outcome, backoff, ports.random);
  const settled = await ports.settler.settle(settlement);
  ports.nudge([message.queue]);
  report({ message, settlement, settled, ms: 0, begun: false, cause }, ports.events);
}
