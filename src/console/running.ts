// The page Running: what is in flight, the longest first; one is ended, or its process quieted, from here.

import { z } from 'zod';
import type { MessageView } from '../operate/read.ts';
import { listRunning, type Running } from '../operate/running.ts';
import { fleet, type ProcessSeen } from '../process/heartbeat.ts';
import { actForm, mayAct } from './act-form.ts';
import { get, post } from './command.ts';
import { endForm } from './end-form.ts';
import { duration, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import { processPath } from './process-table.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

const most = 100;

export const runningPage: Page = {
  path: '/console/running',
  place: 'running',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { db, session } = asked;
    const running = await listRunning(db, String(most));
    const processes = new Map((await fleet(db)).map((one) => [one.id, one]));
    return {
      title: 'Running',
      content: markup`<h1>Running</h1><p class="meta">${counts(running)}</p>${list(session, running.messages, processes)}`,
      commands: [
        { cli: 'waybill outbox running', http: get('/outbox/running') },
        { cli: 'waybill outbox end ID --then dead', http: post('/outbox/ID/end', { then: 'dead' }) },
      ],
    };
  },
};

function counts({ running, prefetched, messages }: Running): string {
  const bound = running > messages.length ? ` These are the ${messages.length} longest.` : '';
  const ready = prefetched === 0 ? '' : `, and ${plural(prefetched, 'is', 'are')} claimed and not begun`;
  return `${plural(running, 'message runs', 'messages run')}${ready}.${bound} A lease that ends is taken back, and its message is due again.`;
}

/** After this many seconds it stands out. */
const longSeconds = 600;

function since({ runningSince }: MessageView): Markup | string {
  if (!(runningSince instanceof Date)) return relative(runningSince);
  const seconds = Math.max(0, (Date.now() - runningSince.getTime()) / 1_000);
  const iso = runningSince.toISOString();
  return markup`<time class="${seconds > longSeconds ? 'warn' : ''}" datetime="${iso}" title="since ${iso.slice(0, 19).replace('T', ' ')} UTC">${duration(seconds)}</time>`;
}

function list(
  session: Session,
  messages: readonly MessageView[],
  processes: ReadonlyMap<string, ProcessSeen>,
): Markup {
  return table(
    'Running messages',
    messages,
    [
      {
        head: 'Message',
        as: 'lead',
        cell: ({ id, name, kind }) =>
          markup`<a href="/console/messages/${id}">${shown(name, 120)}</a><small>${kind} · <code>${id.slice(0, 13)}…</code></small>`,
      },
      { head: 'Queue', as: 'whole', cell: ({ queue }) => markup`<code>${shown(queue, 60)}</code>` },
      { head: 'Runs for', as: 'n', cell: since },
      {
        head: 'Attempt',
        as: 'n',
        cell: ({ attemptCount, maxAttempts }) => `${attemptCount} / ${maxAttempts}`,
      },
      { head: 'Lease ends', as: 'n', cell: ({ claimedUntil }) => relative(claimedUntil) },
      { head: 'Process', cell: ({ claimedBy }) => worker(claimedBy ?? '', processes.get(claimedBy ?? '')) },
      {
        head: '',
        as: 'tight',
        cell: (message) =>
          mayAct(session) ? acts(session, message, processes.get(message.claimedBy ?? '')) : null,
      },
    ],
    {
      empty: markup`Nothing is running. <code>waybill fleet</code> says which workers are there.`,
      href: ({ id }) => `/console/messages/${id}`,
      id: ({ id }) => id,
    },
  );
}

function worker(id: string, process: ProcessSeen | undefined): Markup {
  const code = markup`<code>${shown(id, 100)}</code>`;
  if (process === undefined) return markup`${code}<small class="bad">not in the fleet</small>`;
  const { role, state, quiet } = process;
  const facts = [role, ...(state === 'alive' ? [] : [state]), ...(quiet ? ['quiet'] : [])].join(' · ');
  return markup`${code}<small>${shown(facts, 100)}</small>`;
}

function acts(session: Session, { id }: MessageView, process: ProcessSeen | undefined): Markup {
  const end = actForm(session, { ...endForm, to: `/console/messages/${id}/end` });
  const canQuiet = process !== undefined && process.quiet === null && process.slots > 0;
  const quiet = canQuiet
    ? actForm(session, {
        to: `${processPath(process.id)}/quiet`,
        label: 'Quiet',
        will: markup`The process <code>${shown(process.id, 80)}</code> claims nothing more, and finishes its ${plural(process.running, 'message')}.`,
        fields: markup`<input name="for" maxlength="40" placeholder="for: 30m (empty: until resumed)" aria-label="For how long" />`,
      })
    : null;
  return markup`<div class="acts">${end}${quiet}</div>`;
}
