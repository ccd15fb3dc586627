// What the forms of the console do. Each act is a function of src/acts, the same that HTTP and the command line call.

import { z } from 'zod';
import { cancel, retry } from '../acts/messages.ts';
import { suppressAddress, unsuppressAddress } from '../acts/suppressions.ts';
import { isWaybillError } from '../errors.ts';
import { isMessageId } from '../operate/read.ts';
import { cronActs } from './cron-act.ts';
import { fleetActs } from './fleet-act.ts';
import { bulkMoves } from './bulk-act.ts';
import { startBulkAct } from './bulk-new.ts';
import { read, type ConsoleAct } from './doing.ts';
import { plural } from './figures.ts';
import { failureActs } from './failures.ts';
import { messageActs } from './message-act.ts';
import { personActs } from './person.ts';
import { queueActs } from './queue-act.ts';
import { mostSelected } from './selected.ts';

const selection = z.strictObject({
  act: z.enum(['retry', 'cancel']),
  id: z.union([z.string(), z.array(z.string())]).transform((ids) => [ids].flat()),
});

/** One after the other, each in a transaction of its own and in the audit; what cannot be done any more is counted. */
const onSelected: ConsoleAct = {
  path: '/console/messages/selected',
  async run({ db, actor, form }) {
    const { act, id } = await read(selection, form);
    const wanted = id.filter(isMessageId).slice(0, mostSelected);
    let done = 0;
    for (const one of wanted) {
      try {
        await (act === 'retry' ? retry : cancel)(db, actor, one);
        done += 1;
      } catch (error) {
        if (!isWaybillError(error)) throw error; // it has another state now, or was pruned
      }
    }
    const left = wanted.length - done;
    const rest = left === 0 ? '' : `; ${plural(left, 'message')} could not be: the state has changed`;
    return {
      to: '/console/messages',
      said: `${plural(done, 'message')} ${act === 'retry' ? 'retried' : 'cancelled'}${rest}.`,
    };
  },
};

const addressField = z.strictObject({ address: z.string().max(320) });

const addSuppression: ConsoleAct = {
  path: '/console/suppressions/add',
  async run({ db, actor, form }) {
    const { address } = await read(addressField, form);
    const isNew = await suppressAddress(db, actor, address, actor.reason ?? 'added by an operator');
    return {
      to: '/console/suppressions',
      said: isNew ? 'The address is added.' : 'The address was there already.',
    };
  },
};

const removeSuppression: ConsoleAct = {
  path: '/console/suppressions/remove',
  async run({ db, actor, form }) {
    const { address } = await read(addressField, form);
    const was = await unsuppressAddress(db, actor, address);
    return {
      to: '/console/suppressions',
      said: was ? 'The address is removed.' : 'The address was not on the list.',
    };
  },
};

export const consoleActs: readonly ConsoleAct[] = [
  ...messageActs,
  ...failureActs,
  startBulkAct,
  ...bulkMoves,
  onSelected,
  ...queueActs,
  ...fleetActs,
  ...cronActs,
  addSuppression,
  removeSuppression,
  ...personActs,
];
