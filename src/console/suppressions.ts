// The page Suppressions: addresses that get no more mail.

import { z } from 'zod';
import { listSuppressions } from '../email/suppression.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { actForm, mayAct } from './act-form.ts';
import { get, quoted } from './command.ts';
import { relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { address, parametersOf, type Look, type Page, type View } from './page.ts';
import type { Session } from './session.ts';
import { table } from './table.ts';

export const suppressionsPage: Page = { path: '/console/suppressions', place: 'suppressions', look };

const parameters = z.strictObject({
  contains: z.string().max(320).optional(),
  cursor: z.string().max(1_000).optional(),
});

async function look(asked: Look): Promise<View> {
  const { contains = '', cursor } = await parametersOf(parameters, asked);
  const { session, db } = asked;
  const wanted = contains === '' ? {} : { contains };
  const { suppressions, nextCursor } = await listSuppressions(db, { ...wanted, cursor, limit: 50 });
  const mayRead = session.role === 'admin';
  const content = markup`<h1>Suppressions</h1><p class="meta">Addresses that get no more mail. ${mayRead ? '' : 'They are masked: a key with the role admin sees them.'}</p>
    <form class="filter" action="/console/suppressions"><input name="contains" value="${contains}" placeholder="part of the address" aria-label="Part of the address" maxlength="320" /><button>Filter</button></form>
    ${mayAct(session) ? forms(session) : null}
    ${mayRead ? markup`<p><a class="button" href="/console/person">A person’s data …</a> finds and erases everything that holds an address.</p>` : null}
    ${table(
      'Suppressions',
      suppressions,
      [
        {
          head: 'Address',
          as: 'lead',
          cell: ({ address: one }) => markup`<code>${shown(mayRead ? one : maskAddresses(one), 320)}</code>`,
        },
        { head: 'Reason', cell: ({ reason }) => shown(maskAddresses(reason), 200) },
        { head: 'Since', as: 'n', cell: ({ since }) => relative(since) },
      ],
      {
        empty: markup`No address here. A hard bounce or a complaint adds one, or <code>waybill suppressions add ADDRESS</code>.`,
      },
    )}
    <nav class="pages" aria-label="Pages">${cursor ? markup`<a href="${address('/console/suppressions', wanted)}">First</a>` : null}${nextCursor === null ? null : markup`<a rel="next" href="${address('/console/suppressions', { ...wanted, cursor: nextCursor })}">Next</a>`}</nav>`;
  return {
    title: 'Suppressions',
    content,
    commands: [
      {
        cli: `waybill suppressions list${contains === '' ? '' : ` --contains ${quoted(contains)}`}`,
        http: get('/suppressions', wanted),
      },
    ],
  };
}

function forms(session: Session): Markup {
  const fields = markup`<input name="address" type="email" maxlength="320" required placeholder="address" aria-label="Address" />`;
  return markup`<div class="acts">${actForm(session, {
    to: '/console/suppressions/add',
    label: 'Add',
    will: 'Mail to this address is not sent any more.',
    fields,
  })}${actForm(session, {
    to: '/console/suppressions/remove',
    label: 'Remove',
    look: 'danger',
    will: 'Mail to this address is sent again.',
    fields,
  })}</div>`;
}
