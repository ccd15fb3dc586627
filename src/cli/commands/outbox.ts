// `waybill outbox`: its commands, in the order of the help.

import type { Command } from 'commander';
import { addOutboxActs } from './outbox-acts.ts';
import { addOutboxDrain } from './outbox-drain.ts';
import { addOutboxErase } from './outbox-erase.ts';
import { addOutboxFailures } from './outbox-failures.ts';
import { addOutboxOperate } from './outbox-operate.ts';
import { addOutboxRead } from './outbox-read.ts';
import { addOutboxSearch } from './outbox-search.ts';

export function addOutbox(program: Command): void {
  const outbox = program.command('outbox').description('look at messages and operate on them');
  addOutboxRead(outbox);
  addOutboxSearch(outbox);
  addOutboxFailures(outbox);
  addOutboxOperate(outbox);
  addOutboxActs(outbox);
  addOutboxErase(outbox);
  addOutboxDrain(outbox);
}
