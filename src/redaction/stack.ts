// An error with the stacks of all its causes, for the log and the attempt. It has the same words as the reason, and every frame.

import { framesOf } from './place.ts';
import { linkOf, type Link } from './reason.ts';
import { cleanError, keptOfStack } from './redact.ts';

/** Maximum number of frames kept for one error. */
const mostFrames = 25;

/** Undefined for a value without a stack, such as a thrown text. */
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
