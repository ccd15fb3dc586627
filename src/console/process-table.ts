// The table of processes: role, version, what runs, and when each was last seen.

import type { ProcessSeen } from '../process/heartbeat.ts';
import { duration, number, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { table, type Column } from './table.ts';

const basic: readonly Column<ProcessSeen>[] = [
  {
    head: 'Role',
    as: 'lead',
    cell: ({ role, state }) =>
      markup`<span class="${state === 'alive' ? '' : 'bad'}">${shown(role, 80)}</span>`,
  },
  { head: 'Version', cell: ({ version }) => markup`<code>${shown(version, 40)}</code>` },
  {
    head: 'Running',
    as: 'n',
    cell: ({ slots, running }) => (slots === 0 ? '–' : `${number(running)} / ${number(slots)}`),
  },
  { head: 'Seen', as: 'n', cell: seen },
];

const more: readonly Column<ProcessSeen>[] = [
  { head: 'Prefetched', as: 'n', cell: ({ prefetched, slots }) => (slots === 0 ? '–' : number(prefetched)) },
  { head: 'Settling', as: 'n', cell: ({ settling, slots }) => (slots === 0 ? '–' : number(settling)) },
  { head: 'Queues', cell: ({ queues }) => (queues.length === 0 ? null : shown(queues.join(', '))) },
  { head: 'Started', cell: ({ startedAt }) => relative(startedAt) },
  { head: 'Process', cell: ({ id }) => markup`<code>${shown(id, 80)}</code>` },
];

function seen({ state, heartbeatAgeSeconds }: ProcessSeen): Markup | string {
  const age = duration(Math.max(0, heartbeatAgeSeconds));
  return state === 'alive' ? `${age} ago` : markup`<span class="bad">${state} for ${age}</span>`;
}

export function processTable(processes: readonly ProcessSeen[], { whole = false } = {}): Markup {
  return table('Processes', processes, whole ? [...basic, ...more] : basic, {
    empty: markup`No process has reported yet. <code>waybill run web relay email jobs scheduler</code> starts the fleet.`,
    id: ({ id }) => id,
  });
}
