// The table of processes: role, version, what runs, and when each was last seen; one that delivers is quieted and resumed from here.

import type { ProcessSeen } from '../process/heartbeat.ts';
import { actForm, mayAct } from './act-form.ts';
import { duration, number, pill, plural, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';
import { table, type Column } from './table.ts';

export const processPath = (id: string): string => `/console/fleet/${encodeURIComponent(id)}`;

const empty = markup`No process has reported yet. <code>waybill run web relay email jobs scheduler</code> starts the fleet.`;

/** Versions differ where the application's do. */
const version: Column<ProcessSeen> = {
  head: 'Version',
  cell: ({ version: ours, application }) =>
    application
      ? markup`<code>${shown(application, 40)}</code><small>Waybill ${shown(ours, 40)}</small>`
      : markup`<code>${shown(ours, 40)}</code>`,
};

const role: Column<ProcessSeen> = {
  head: 'Role',
  as: 'lead',
  cell: ({ role: its, state }) =>
    markup`<span class="${state === 'alive' ? '' : 'bad'}">${shown(its, 80)}</span>`,
};

const running: Column<ProcessSeen> = {
  head: 'Running',
  as: 'n',
  cell: ({ slots, running: its }) => (slots === 0 ? '–' : `${number(its)} / ${number(slots)}`),
};

const ofWorker = (head: string, value: (one: ProcessSeen) => number): Column<ProcessSeen> => ({
  head,
  as: 'n',
  cell: (one) => (one.slots === 0 ? '–' : number(value(one))),
});

function seen({ state, heartbeatAgeSeconds }: ProcessSeen): Markup | string {
  const age = duration(Math.max(0, heartbeatAgeSeconds));
  return state === 'alive' ? `${age} ago` : markup`<span class="bad">${state} for ${age}</span>`;
}

export function processTable(processes: readonly ProcessSeen[]): Markup {
  const columns = [role, version, running, { head: 'Seen', as: 'n', cell: seen } as const];
  return table('Processes', processes, columns, { empty, id: ({ id }) => id });
}

function stateOf({ state, stalled, quiet, isolating }: ProcessSeen): Markup {
  if (quiet !== null) {
    const { by, reason, since, until } = quiet;
    const why = reason === null ? null : markup`“${shown(reason, 160)}” · `;
    return markup`${pill('warn', 'quiet')}<small>${why}by ${shown(by, 60)} · since ${relative(since)}${until === null ? null : markup` · ends ${relative(until)}`}</small>`;
  }
  if (state !== 'alive') return pill('bad', state);
  if (stalled.length > 0) return markup`${pill('bad', 'stalled')}<small>${shown(stalled.join(', '))}</small>`;
  return isolating > 0 ? pill('warn', 'runs one alone') : pill('good', 'alive');
}

/** With all that a process reports, and its acts. */
export function wholeProcessTable(session: Session, processes: readonly ProcessSeen[]): Markup {
  const columns: readonly Column<ProcessSeen>[] = [
    role,
    { head: 'State', cell: stateOf },
    version,
    running,
    ofWorker('Prefetched', ({ prefetched }) => prefetched),
    ofWorker('Settling', ({ settling }) => settling),
    { head: 'Seen', as: 'n', cell: seen },
    { head: 'Started', as: 'n', cell: ({ startedAt }) => relative(startedAt) },
    {
      head: 'Process',
      cell: ({ id, queues }) =>
        markup`<code>${shown(id, 80)}</code>${queues.length === 0 ? null : markup`<small>${shown(queues.join(', '))}</small>`}`,
    },
    { head: '', as: 'tight', cell: (one) => (mayAct(session) ? processActs(session, one) : null) },
  ];
  return table('Processes', processes, columns, { empty, id: ({ id }) => id });
}

/** Nothing for a process that delivers nothing. */
function processActs(
  session: Session,
  { id, slots, quiet, running: its, queues }: ProcessSeen,
): Markup | null {
  if (slots === 0) return null;
  const form =
    quiet === null
      ? actForm(session, {
          to: `${processPath(id)}/quiet`,
          label: 'Quiet',
          look: 'danger',
          will: markup`It claims nothing more, and finishes its ${plural(its, 'message')}. Other processes go on.`,
          fields: markup`<input name="for" maxlength="40" placeholder="for: 30m (empty: until resumed)" aria-label="For how long" />`,
        })
      : actForm(session, {
          to: `${processPath(id)}/resume`,
          label: 'Resume',
          will: `It claims again from ${plural(queues.length, 'queue')}.`,
        });
  return markup`<div class="acts">${form}</div>`;
}
