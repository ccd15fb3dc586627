// The page Running: what is in flight, the oldest first.

import { z } from 'zod';
import { listMessages } from '../operate/read.ts';
import { get } from './command.ts';
import { relative, shown } from './figures.ts';
import { markup } from './markup.ts';
import { parametersOf, type Page } from './page.ts';
import { table } from './table.ts';

const most = 200;

export const runningPage: Page = {
  path: '/console/running',
  place: 'running',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const { messages, nextCursor } = await listMessages(asked.db, { status: ['sending'], limit: most });
    const bound = nextCursor === null ? '' : `The newest ${most} of them. `;
    const content = markup`<h1>Running</h1><p class="meta">${bound}A lease that ends is taken back, and its message is due again.</p>${table(
      'Running messages',
      messages.toReversed(),
      [
        {
          head: 'Message',
          as: 'lead',
          cell: ({ id, name, kind }) =>
            markup`<a href="/console/messages/${id}">${shown(name, 120)}</a><small>${kind} · <code>${id.slice(0, 13)}…</code></small>`,
        },
        { head: 'Queue', as: 'whole', cell: ({ queue }) => markup`<code>${shown(queue, 60)}</code>` },
        {
          head: 'Attempt',
          as: 'n',
          cell: ({ attemptCount, maxAttempts }) => `${attemptCount} / ${maxAttempts}`,
        },
        { head: 'Worker', cell: ({ claimedBy }) => markup`<code>${shown(claimedBy ?? '', 100)}</code>` },
        { head: 'Lease ends', as: 'n', cell: ({ claimedUntil }) => relative(claimedUntil) },
        { head: 'Recorded', as: 'n', cell: ({ createdAt }) => relative(createdAt) },
      ],
      {
        empty: markup`Nothing is running. <code>waybill fleet</code> says which workers are there.`,
        href: ({ id }) => `/console/messages/${id}`,
        id: ({ id }) => id,
      },
    )}`;
    return {
      title: 'Running',
      content,
      commands: [
        { cli: 'waybill outbox list --status sending', http: get('/outbox', { status: 'sending' }) },
      ],
    };
  },
};
