// The page on which a person edits the content of a message before it is recorded as a new one.

import type { Changes } from '../acts/copy.ts';
import { WaybillError } from '../errors.ts';
import type { WholeMessage } from '../operate/read.ts';
import { visibleJson } from '../redaction/visible.ts';
import { hiddenToken } from './act-form.ts';
import { shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { quoted } from './command.ts';
import type { View } from './page.ts';
import type { Session } from './session.ts';

/** The fields as the person typed them. */
export type Typed = Readonly<Record<(typeof fields)[number], string>>;

export const fields = ['to', 'cc', 'bcc', 'subject', 'text', 'html', 'payload', 'deliveryKey'] as const;

const nothing: Typed = {
  to: '',
  cc: '',
  bcc: '',
  subject: '',
  text: '',
  html: '',
  payload: '',
  deliveryKey: '',
};

/** What the fields have at first. */
export function typedOf({ kind, payload }: Pick<WholeMessage, 'kind' | 'payload'>): Typed {
  if (kind !== 'email') return { ...nothing, payload: visibleJson(JSON.stringify(payload, null, 2)) };
  const { to, cc, bcc, subject, text, html } = (payload ?? {}) as Record<string, unknown>;
  const line = (value: unknown): string => (typeof value === 'string' ? value : '');
  return {
    ...nothing,
    to: addressLines(to),
    cc: addressLines(cc),
    bcc: addressLines(bcc),
    subject: line(subject),
    text: line(text),
    html: line(html),
  };
}

function addressLines(list: unknown): string {
  return [list ?? []].flat().map(addressLine).join('\n');
}

function addressLine(one: unknown): string {
  if (typeof one === 'string') return one;
  const { name = '', address = '' } = (one ?? {}) as { readonly name?: unknown; readonly address?: unknown };
  if (name === '') return String(address);
  return `"${String(name).replaceAll(/["\\]/g, '\\$&')}" <${String(address)}>`;
}

/**
 * What of the fields differs from the message. A browser sends the ends of lines as CRLF.
 * @throws WaybillError `invalid_payload`
 */
export function changesOf(message: Pick<WholeMessage, 'kind' | 'payload'>, typed: Typed): Changes {
  const before = typedOf(message);
  const isSame = (name: keyof Typed): boolean => unix(typed[name]) === unix(before[name]);
  const deliveryKey = typed.deliveryKey.trim();
  const key = deliveryKey === '' ? {} : { deliveryKey };
  if (message.kind !== 'email') return isSame('payload') ? key : { ...key, payload: parsed(typed.payload) };
  const addresses = (['to', 'cc', 'bcc'] as const).every(isSame)
    ? {}
    : { to: linesOf(typed.to), cc: linesOf(typed.cc), bcc: linesOf(typed.bcc) };
  const part = (name: 'text' | 'html'): object =>
    isSame(name) ? {} : { [name]: typed[name].trim() === '' ? null : unix(typed[name]) };
  // A new html with the text as it was: the text is kept, because the person saw it.
  const text = isSame('html')
    ? part('text')
    : { text: null, ...(typed.text.trim() !== '' && { text: unix(typed.text) }) };
  return {
    ...key,
    ...addresses,
    ...(!isSame('subject') && { subject: typed.subject }),
    ...part('html'),
    ...text,
  };
}

const unix = (text: string): string => text.replaceAll('\r\n', '\n');

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    throw new WaybillError('invalid_payload', `the payload is no JSON: ${(error as Error).message}`);
  }
}

/** @param problem why what was typed was not recorded */
export function editView(
  session: Session,
  message: WholeMessage,
  typed: Typed,
  problem: string | null,
): View {
  const { id, name, kind } = message;
  const isEmail = kind === 'email';
  const said =
    problem === null
      ? null
      : markup`<div class="say bad" role="alert"><strong>Nothing was recorded</strong>${shown(problem, 2_000)}</div>`;
  const content = markup`<p class="crumb"><a href="/console/messages">Messages</a> / <a href="/console/messages/${id}"><code>${id}</code></a></p>
    <h1>A new message like ${shown(name, 200)}</h1>${said}
    <form class="edit" method="post" action="/console/messages/${id}/edited">${hiddenToken(session)}
      ${isEmail ? emailFields(message, typed) : area('payload', 'Payload, as JSON', typed.payload, 20)}
      <label>Delivery key, if it shall have one<input name="deliveryKey" maxlength="200" value="${typed.deliveryKey}" /></label>
      <label>Reason, for the audit<input name="reason" maxlength="1000" /></label>
      <p><button class="main">Record the new message</button> <a class="button" href="/console/messages/${id}">Leave it</a></p>
      <small>It is due at once. The other message stays as it is.</small></form>`;
  const flag = isEmail ? `--to ${quoted('somebody@example.com')}` : `--payload ${quoted('{"…": 1}')}`;
  return {
    title: `Edit ${name}`,
    content,
    commands: [{ cli: `waybill outbox copy ${id} ${flag}`, http: null }],
    live: false,
  };
}

function emailFields({ payload }: WholeMessage, typed: Typed): Markup {
  const { attachments } = (payload ?? {}) as { readonly attachments?: unknown };
  const kept = Array.isArray(attachments) ? attachments.length : 0;
  return markup`${area('to', 'To, one address in a line', typed.to, 2)}${area('cc', 'Cc', typed.cc, 1)}${area('bcc', 'Bcc', typed.bcc, 1)}
    <label>Subject<input name="subject" value="${typed.subject}" /></label>
    ${area('text', 'Text; empty: made from the html', typed.text, 8)}${area('html', 'Html', typed.html, 12)}
    ${kept === 0 ? null : markup`<p class="soft">Its attachments (${kept}) are kept.</p>`}`;
}

/** The parser of html drops a first end of line. */
function area(name: string, label: string, text: string, rows: number): Markup {
  return markup`<label>${label}<textarea name="${name}" rows="${rows}" spellcheck="false" dir="auto">
${text}</textarea></label>`;
}
