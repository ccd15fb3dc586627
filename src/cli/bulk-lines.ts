// Bulk acts as lines for people: the preview, one act, and the list.

import { textOfMoment, type Moment } from '../db/moment.ts';
import type { BulkView } from '../operate/bulk.ts';
import type { BulkPreview, Share } from '../operate/bulk-preview.ts';
import { bulkKinds, type BulkAction } from '../operate/bulk-task.ts';
import { messageLines } from './commands/message-lines.ts';
import { short, table } from './print.ts';

const countText = ({ matched, atLeast }: Pick<BulkView, 'matched' | 'atLeast'>): string =>
  `${matched}${atLeast ? '+' : ''}`;

const sharesText = (shares: readonly Share[]): string =>
  shares.map(({ value, count }) => `${value} ${count}`).join(', ') || '–';

const reasonsText = (skipped: Readonly<Record<string, number>>): string =>
  Object.entries(skipped)
    .map(([reason, n]) => `${n} ${reason.replaceAll('_', ' ')}`)
    .join(', ') || 'none';

const dueText = (action: BulkAction, due: Moment | null): string =>
  due === null ? '' : ` ${action === 'hold' ? 'until' : 'to'} ${textOfMoment(due)}`;

export function previewLines(preview: BulkPreview): string[] {
  const { action, due, skipped, warnings, samples } = preview;
  const facts = [
    `${countText(preview)} messages would be ${bulkKinds[action].done}${dueText(action, due)}`,
    `by name:    ${sharesText(preview.byName)}`,
    `by queue:   ${sharesText(preview.byQueue)}`,
    `by status:  ${sharesText(preview.byStatus)}`,
    `recorded:   ${textOfMoment(preview.oldest)} to ${textOfMoment(preview.newest)}`,
    `skipped:    ${reasonsText(skipped)}`,
  ];
  if (samples.length === 0) return [`no message matches: nothing would be ${bulkKinds[action].done}`];
  return [
    ...facts,
    ...warnings.map((line) => `warning:    ${line}`),
    '',
    'the newest:',
    ...messageLines(samples),
  ];
}

export function progressLine(act: BulkView): string {
  const { state, changed, skipped, action } = act;
  const passed = Object.values(skipped).reduce((sum, n) => sum + n, 0);
  return `${state}: ${changed} of ${countText(act)} ${bulkKinds[action].done}, ${passed} skipped${act.note ? ` – ${act.note}` : ''}`;
}

export function bulkLines(act: BulkView): string[] {
  const { id, action, filter, due, rate, limit, reason, lastError, note } = act;
  const line = (name: string, value: string | null): string[] =>
    value === null ? [] : [`${`${name}:`.padEnd(10)} ${value}`];
  return [
    ...line('id', id),
    ...line('action', `${action}${dueText(action, due)}`),
    ...line('filter', JSON.stringify(filter)),
    ...line('state', act.state),
    ...line('progress', `${act.changed} of ${countText(act)} ${bulkKinds[action].done}`),
    ...line('skipped', reasonsText(act.skipped)),
    ...line('locked', act.locked > 0 ? String(act.locked) : null),
    ...line('rate', rate === null ? null : `${Number(rate.toFixed(3))}/s`),
    ...line('limit', limit === null ? null : String(limit)),
    ...line('by', `${act.by} (${act.via})`),
    ...line('reason', reason),
    ...line('started', textOfMoment(act.startedAt ?? act.createdAt)),
    ...line('ended', act.endedAt === null ? null : textOfMoment(act.endedAt)),
    ...line('error', lastError),
    ...line('note', note),
  ];
}

export function bulkTable(all: readonly BulkView[]): string[] {
  if (all.length === 0) return ['no bulk act matches'];
  return table(
    ['ID', 'ACTION', 'STATE', 'CHANGED', 'MATCHED', 'SKIPPED', 'STARTED', 'BY', 'FILTER', 'REASON'],
    all.map((act) => [
      act.id,
      act.action,
      act.state,
      String(act.changed),
      countText(act),
      String(Object.values(act.skipped).reduce((sum, n) => sum + n, 0)),
      textOfMoment(act.createdAt),
      act.by,
      short(JSON.stringify(act.filter)),
      short(act.reason),
    ]),
  );
}
