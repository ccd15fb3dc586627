// The page of one person's data: what holds an address, and its erasure after the address was typed again. Addresses are in forms alone, because URLs
// stand in logs. A walk over a large table takes several steps, and each page has what was found so far.

import { z } from 'zod';
import { erasePerson, findPerson } from '../acts/person.ts';
import { leftOf, sumOfPlaces, type PersonPage, type PlaceFound } from '../operate/person.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import type { Milliseconds } from '../ports.ts';
import { hiddenToken } from './act-form.ts';
import { post } from './command.ts';
import { read, type ConsoleAct, type Doing } from './doing.ts';
import { number, plural, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { parametersOf, type Page, type View } from './page.ts';
import type { Session } from './session.ts';
import { statusWords } from './status.ts';
import { table } from './table.ts';

const path = '/console/person';

export const personPage: Page = {
  path,
  place: 'suppressions',
  role: 'admin',
  async look(asked) {
    await parametersOf(z.strictObject({}), asked);
    const content = markup`${heading('A person’s data')}
      <p class="meta">Everything that holds an address: messages, notes, suppressions, keys and more. It is counted first, and erased only after the address was typed again. The audit has a hash of the address.</p>
      ${findForm(asked.session)}`;
    return { title: 'A person’s data', content, commands: [commandOf('find')], live: false };
  },
};

const heading = (title: string): Markup =>
  markup`<p class="crumb"><a href="/console/suppressions">Suppressions</a> / person</p><h1>${title}</h1>`;

const commandOf = (act: 'find' | 'erase'): View['commands'][number] => ({
  cli: `waybill outbox ${act} ADDRESS${act === 'erase' ? ' --dry-run' : ''}`,
  http: post(`/${act}`, { recipient: 'ADDRESS', ...(act === 'erase' && { dryRun: true }) }),
});

function findForm(session: Session): Markup {
  return markup`<form class="filter" method="post" action="${path}/find">${hiddenToken(session)}
    <input name="recipient" type="email" maxlength="320" required autocomplete="off" placeholder="ann@example.com" aria-label="Address" />
    <input name="reason" maxlength="1000" placeholder="Reason, for the audit" aria-label="Reason, for the audit" />
    <button class="main">Find</button></form>`;
}

const found = z.strictObject({
  place: z.string(),
  found: z.number(),
  atLeast: z.boolean(),
  erased: z.number(),
  byStatus: z.record(z.string(), z.number()),
  ids: z.array(z.string()),
  left: z.array(z.string()),
  note: z.string(),
});

const fields = z.strictObject({
  recipient: z.string().min(1).max(320),
  /** Where the walk goes on. */
  cursor: z.string().max(10_000).default(''),
  /** What was found before, as JSON. */
  before: z.string().max(200_000).default('[]'),
});
const eraseFields = fields.extend({ confirm: z.string().max(320).default('') });

/** A request of a walk takes at most this long. */
const withinMs: Milliseconds = 10_000;

/** @throws WaybillError `invalid_arguments`: the field was edited by hand */
async function foundBefore(before: string): Promise<PlaceFound[]> {
  const json = z.string().transform((text, at) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      at.addIssue('not what the page had');
      return z.NEVER;
    }
  });
  const { places } = await read(z.strictObject({ places: json.pipe(z.array(found).max(100)) }), {
    places: before,
  });
  return places;
}

const findAct: ConsoleAct = {
  path: `${path}/find`,
  role: 'admin',
  place: 'suppressions',
  async run({ db, actor, form, session }) {
    const { recipient, cursor, before } = await read(fields, form);
    const page = await findPerson(db, actor, recipient, { withinMs, ...(cursor !== '' && { cursor }) });
    const places = sumOfPlaces([...(await foundBefore(before)), ...page.places]);
    return { view: personView(session, { recipient, page, places, act: 'find', reason: actor.reason }) };
  },
};

const same = (a: string, b: string): boolean => a.trim().toLowerCase() === b.trim().toLowerCase();

const eraseAct: ConsoleAct = {
  path: `${path}/erase`,
  role: 'admin',
  place: 'suppressions',
  async run(doing) {
    const { recipient, cursor, before, confirm } = await read(eraseFields, doing.form);
    if (!same(confirm, recipient)) return { view: await unconfirmed(doing, recipient, before) };
    const { db, actor, session } = doing;
    const page = await erasePerson(db, actor, recipient, { withinMs, ...(cursor !== '' && { cursor }) });
    const places = sumOfPlaces([...(cursor === '' ? [] : await foundBefore(before)), ...page.places]);
    return { view: personView(session, { recipient, page, places, act: 'erase', reason: actor.reason }) };
  },
};

async function unconfirmed({ actor, session }: Doing, recipient: string, before: string): Promise<View> {
  const page = { person: '', places: [], read: 0, nextCursor: null };
  const places = await foundBefore(before);
  const wrong = 'Nothing was erased: the address that was typed is another one.';
  return personView(session, { recipient, page, places, act: 'find', reason: actor.reason, wrong });
}

type Shown = {
  readonly recipient: string;
  readonly page: PersonPage;
  /** Sums of all pages until now. */
  readonly places: readonly PlaceFound[];
  readonly act: 'find' | 'erase';
  readonly reason: string | null;
  readonly wrong?: string;
};

function personView(session: Session, asked: Shown): View {
  const { recipient, page, places, act, wrong } = asked;
  const title = `${act === 'find' ? 'Found for' : 'Erased for'} ${maskAddresses(recipient)}`;
  const content = markup`${heading(title)}<p class="meta">${summary(asked)}</p>
    ${wrong === undefined ? null : markup`<div class="say bad" role="alert">${wrong}</div>`}
    ${page.nextCursor === null ? (act === 'find' && places.length > 0 ? eraseForm(session, asked) : null) : goOnForm(session, asked)}
    ${table('Places', places, act === 'find' ? columns : [...columns, erasedColumn], {
      empty: markup`Nothing holds this address${page.nextCursor === null ? '' : ', so far'}.`,
    })}<p><a href="${path}">Another address</a></p>`;
  return { title: 'A person’s data', content, commands: [commandOf(act)], live: false };
}

function summary({ page, places, act }: Shown): Markup {
  const state =
    page.nextCursor === null
      ? null
      : markup` It is not over: ${number(page.read)} rows were read in this step.`;
  const who = page.person === '' ? null : markup` The audit has <code>${shown(page.person, 80)}</code>.`;
  const sum = places.reduce((all, one) => all + (act === 'find' ? one.found : one.erased), 0);
  const left = act === 'erase' && page.nextCursor === null ? leftOf(places) : 0;
  const rest =
    left === 0
      ? null
      : markup` <b>${plural(left, 'row is', 'rows are')} left</b> for now, for the reasons below. Repeat it later.`;
  return markup`${plural(sum, 'row')} ${act === 'find' ? 'found' : 'erased'}.${state}${rest}${who}`;
}

const columns = [
  {
    head: 'Place',
    as: 'lead',
    cell: ({ place, note }: PlaceFound) => markup`${place}<small>${note}</small>`,
  },
  {
    head: 'Found',
    as: 'n',
    cell: ({ found: n, atLeast }: PlaceFound) => `${number(n)}${atLeast ? '+' : ''}`,
  },
  {
    head: 'Which',
    cell: ({ place, ids, byStatus }: PlaceFound) =>
      markup`${Object.entries(byStatus).map(([status, n]) => markup`${n} ${statusWords[status as keyof typeof statusWords] ?? status} `)}<small>${ids.slice(0, 5).map((id) => idOf(place, id))}</small>`,
  },
] as const;

function idOf(place: string, id: string): Markup {
  const code = markup`<code>${shown(id, 40)}</code>`;
  const isMessage = place === 'messages' || place === 'mentions';
  return isMessage ? markup`<a href="/console/messages/${id}">${code}</a> ` : markup`${code} `;
}

const erasedColumn = {
  head: 'Erased',
  as: 'n',
  cell: ({ erased }: PlaceFound) => number(erased),
} as const;

function hidden({ recipient, page, places, reason }: Shown): Markup {
  const fieldsOf = {
    recipient,
    cursor: page.nextCursor ?? '',
    before: JSON.stringify(places),
    reason: reason ?? '',
  };
  return markup`${Object.entries(fieldsOf).map(([name, value]) => markup`<input type="hidden" name="${name}" value="${value}" />`)}`;
}

function goOnForm(session: Session, asked: Shown): Markup {
  const confirmed = markup`<input type="hidden" name="confirm" value="${asked.recipient}" />`;
  return markup`<form class="filter" method="post" action="${path}/${asked.act}">${hiddenToken(session)}${hidden(asked)}
    ${asked.act === 'erase' ? confirmed : null}<button class="main">Go on</button></form>`;
}

function eraseForm(session: Session, asked: Shown): Markup {
  return markup`<form class="filter" method="post" action="${path}/erase">${hiddenToken(session)}${hidden(asked)}
    <input name="confirm" maxlength="320" required autocomplete="off" placeholder="Type the address to erase it" aria-label="Type the address to erase it" />
    <button class="danger">Erase for good</button></form>`;
}

export const personActs: readonly ConsoleAct[] = [findAct, eraseAct];
