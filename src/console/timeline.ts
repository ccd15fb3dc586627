// The timeline of a message: its recording, each attempt, notes, and what people did, in one order of time.

import type { Moment } from '../db/moment.ts';
import type { ActView } from '../operate/audit.ts';
import type { AttemptView, WholeMessage } from '../operate/read.ts';
import type { NoteView } from '../outbox/note.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { visibleText } from '../redaction/visible.ts';
import { actText } from './audit.ts';
import { clock, duration, relative, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';
import { nextOf } from './status.ts';

type Step = { readonly at: Moment | null; readonly tone: string; readonly what: Markup };

export function timeline(message: WholeMessage, acts: readonly ActView[]): Markup {
  const steps = [
    recorded(message),
    ...message.attempts.map(attempt),
    ...message.notes.map(note),
    ...acts.map(act),
    ...ended(message),
  ];
  const known = steps.toSorted((a, b) => time(a.at) - time(b.at));
  return markup`<ol class="steps">${[...known, ...next(message)].map(
    ({ at, tone, what }) => markup`<li class="${tone}">${at === null ? null : clock(at)}${what}</li>`,
  )}</ol>`;
}

/** Steps without a known time come last. */
function time(at: Moment | null): number {
  return at instanceof Date ? at.getTime() : Infinity;
}

function recorded({ createdAt, requestId, traceId, parentId }: WholeMessage): Step {
  const origins = [
    requestId === null ? null : markup`request ${shown(requestId, 80)}`,
    traceId === null || traceId === '' ? null : markup`trace ${shown(traceId, 40)}`,
    parentId === null ? null : markup`by <a href="/console/messages/${parentId}">its parent</a>`,
  ].filter((one) => one !== null);
  return {
    at: createdAt,
    tone: 'is-good',
    what: markup`<b>Recorded</b><small>${origins.map((one, i) => markup`${i > 0 ? ' · ' : ''}${one}`)}</small>`,
  };
}

const tones: Readonly<Record<string, string>> = { delivered: 'is-good', dead: 'is-bad', released: '' };

function attempt({ attempt: no, startedAt, finishedAt, worker, outcome, error, stack }: AttemptView): Step {
  const took =
    startedAt instanceof Date && finishedAt instanceof Date
      ? ` · ${duration((finishedAt.getTime() - startedAt.getTime()) / 1_000)}`
      : '';
  const by = worker === null ? null : markup` · ${shown(worker, 80)}`;
  return {
    at: finishedAt ?? startedAt,
    tone: tones[outcome] ?? 'is-warn',
    what: markup`<b>${error === null ? outcome : shown(maskAddresses(error), 600)}</b>
      <small>attempt ${no} · ${outcome}${took}${by}</small>${stack === null ? null : markup`<details><summary>Stack</summary><pre tabindex="0">${visibleText(stack)}</pre></details>`}`,
  };
}

function note({ at, type, recipient, detail, reference }: NoteView): Step {
  const facts = [
    recipient === null ? null : maskAddresses(recipient),
    detail === null ? null : maskAddresses(detail),
    reference,
  ]
    .filter((one) => one !== null)
    .join(' · ');
  const isBad = /bounce|complain|reject|refuse|fail|suppress/.test(type);
  return {
    at,
    tone: isBad ? 'is-bad' : '',
    what: markup`<b>${shown(type, 60)}</b><small>${shown(facts, 400)}</small>`,
  };
}

function act(done: ActView): Step {
  const reason = done.reason === null ? null : markup`<small>“${shown(done.reason)}”</small>`;
  return {
    at: done.at,
    tone: 'is-who',
    what: markup`<b>${shown(done.by, 60)}</b> ${actText({ ...done, target: null })} it${reason}`,
  };
}

function ended({ status, deadAt, cancelledAt, cause }: WholeMessage): Step[] {
  if (status === 'dead')
    return [
      {
        at: deadAt,
        tone: 'is-bad',
        what: markup`<b>Dead</b>${cause === null ? null : markup`<small>${cause}</small>`}`,
      },
    ];
  if (status === 'cancelled') return [{ at: cancelledAt, tone: '', what: markup`<b>Cancelled</b>` }];
  return [];
}

function next(message: WholeMessage): Step[] {
  const { status, claimedBy, claimedUntil, attemptCount, availableAt } = message;
  if (status === 'sending')
    return [
      {
        at: null,
        tone: 'is-next',
        what: markup`<b>Running</b><small>attempt ${attemptCount}${claimedBy === null ? null : markup` · ${shown(claimedBy, 80)}`}${claimedUntil === null ? null : markup` · lease ends ${relative(claimedUntil)}`}</small>`,
      },
    ];
  const wait = nextOf(message);
  if (wait === null) return [];
  return [
    {
      at: availableAt,
      tone: 'is-next',
      what: markup`<b>Attempt ${attemptCount + 1}</b><small>${wait}${message.waitsFor?.reason ? markup` · ${shown(message.waitsFor.reason)}` : null}</small>`,
    },
  ];
}
