// An error with the stacks of all its causes, for the log and for the attempt: the same words as its reason, and every frame.

import { framesOf } from './place.ts';
import { linkOf, type Link } from './reason.ts';
import { cleanError, keptOfStack } from './redact.ts';

/** Frames of one error that are kept. */
const mostFrames = 25;

/** Undefined for what has no stack: a text that was thrown. */
export function stackOf(thrown: unknown): string | undefined {
  const link = linkOf(thrown);
  const lines = linesOf(link, '');
  return lines.some((line) => /^ +at /.test(line)) ? cleanError(lines.join('\n'), keptOfStack) : undefined;
}

function linesOf({ name, words, below, error }: Link, before: string): string[] {
  const title = words === '' || name === '' ? name + words : `${name}: ${words}`;
  const frames = framesOf((error as { stack?: unknown } | null | undefined)?.stack).slice(0, mostFrames);
  return [`${before}${title}`, ...frames, ...below.flatMap((link) => linesOf(link, 'caused by: '))];
}
