// The page Queues: all of them, and pause and resume of all but some.

import { z } from 'zod';
import { readLatency } from '../operate/latency.ts';
import { readStats } from '../operate/stats.ts';
import { listQueues, type QueueView } from '../queues/queues.ts';
import { readAdvice } from '../scale/decisions.ts';
import { actForm, mayAct } from './act-form.ts';
import { get, post } from './command.ts';
import { plural, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import { queueTable } from './queue-table.ts';
import type { Session } from './session.ts';

export const queuesPage: Page = {
  path: '/console/queues',
  place: 'queues',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session } = asked;
    const queues = await listQueues(db);
    const stats = await readStats(db);
    const latency = await readLatency(db, stats.oldestDueSeconds, Date.now());
    const facts = { queues, stats, latency, advice: await readAdvice(db), session };
    return {
      title: 'Queues',
      content: markup`<h1>Queues</h1><p class="meta">A pause holds for the whole fleet, from the next claim on.</p>
        ${everyQueue(session, queues)}${queueTable(facts)}`,
      commands: [
        { cli: 'waybill queues list', http: get('/queues') },
        {
          cli: 'waybill queues pause --all --except email',
          http: post('/queues/pause', { all: true, except: ['email'] }),
        },
      ],
    };
  },
};

/** Pause all and resume all; each names how many queues it changes, and the boxes leave some out. */
export function everyQueue(session: Session, queues: readonly QueueView[]): Markup | null {
  if (!mayAct(session) || queues.length === 0) return null;
  const closed = queues.filter(({ state }) => state !== 'open');
  const waiting = (some: readonly QueueView[]): number => some.reduce((sum, queue) => sum + queue.waiting, 0);
  const pause = actForm(session, {
    to: '/console/queues/pause',
    label: 'Pause all',
    look: 'danger',
    will: markup`No message of ${plural(queues.length, 'queue')} is claimed until they are resumed; what runs ends. ${plural(waiting(queues), 'message waits', 'messages wait')} now. A queue that is added later is open.`,
    fields: markup`<input name="for" maxlength="40" placeholder="for: 2h (empty: until resumed)" aria-label="For how long" />${boxes('Leave open', queues)}`,
  });
  const resume = actForm(session, {
    to: '/console/queues/resume',
    label: 'Resume all',
    will: markup`${plural(closed.length, 'closed queue')} with ${plural(waiting(closed), 'waiting message')} may be claimed again, parked and held ones too.`,
    fields: boxes('Leave closed', closed),
  });
  return markup`<div class="acts">${pause}${closed.length === 0 ? null : resume}</div>`;
}

function boxes(label: string, queues: readonly QueueView[]): Markup {
  return markup`<fieldset class="boxes"><legend>${label}:</legend>${queues.map(
    ({ name }) =>
      markup`<label><input type="checkbox" name="except" value="${name}" /> <code>${shown(name, 60)}</code></label>`,
  )}</fieldset>`;
}
