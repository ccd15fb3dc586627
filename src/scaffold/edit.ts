// Edits: texts to insert at offsets of a source. Nothing is removed or moved.

import { children, type Node, type Source } from './source.ts';

export type Edit = { readonly at: number; readonly insert: string };

/** Edits at the same offset keep their order. */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits
    .map((edit, order) => ({ ...edit, order }))
    .toSorted((a, b) => b.at - a.at || b.order - a.order)
    .reduce((now, { at, insert }) => now.slice(0, at) + insert + now.slice(at), text);
}

export function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

/** The white space at the start of the line. */
export function indentAt(text: string, at: number): string {
  const from = text.lastIndexOf('\n', at - 1) + 1;
  return /^[ \t]*/.exec(text.slice(from))![0];
}

/** The offset after `at` and after the comments that follow it on the same line. */
export function lineEnd({ text, comments }: Source, at: number): number {
  const next = comments.find(({ start }) => start >= at && /^[ \t]*$/.test(text.slice(at, start)));
  return next ? lineEnd({ text, comments } as Source, next.end) : at;
}

/** Appends an element to an array or a property to an object; it gets its own line if the others have theirs. */
export function append(source: Source, list: Node, insert: string): Edit[] {
  const { text } = source;
  const close = list.end - 1;
  const field = list.type === 'ArrayExpression' ? 'elements' : 'properties';
  const all = children(list, field).filter((one) => one !== null);
  const first = all[0];
  const last = all.at(-1);
  if (!first || !last) return [{ at: close, insert: emptied(text, list, insert) }];
  const comma = (list as { extra?: { trailingComma?: number } }).extra?.trailingComma;
  const linesApart = text.slice(list.start, first.start).includes('\n');
  if (!linesApart) return [{ at: last.end, insert: `, ${insert}` }];
  const line = `${newlineOf(text)}${indentAt(text, last.start)}${insert}`;
  if (comma !== undefined) return [{ at: lineEnd(source, comma + 1), insert: `${line},` }];
  return [
    { at: last.end, insert: ',' },
    { at: lineEnd(source, last.end), insert: line },
  ];
}

/** Into empty brackets, which may hold a comment or a line break. */
function emptied(text: string, list: Node, insert: string): string {
  const within = text.slice(list.start + 1, list.end - 1);
  const braced = list.type === 'ObjectExpression';
  if (within.includes('\n')) {
    const outer = indentAt(text, list.end - 1);
    return `  ${insert},${newlineOf(text)}${outer}`;
  }
  return within === '' && braced
    ? ` ${insert} `
    : within === '' || within.endsWith(' ')
      ? insert
      : ` ${insert}`;
}
