// How the time of a parser grows with what it reads. A parser is linear when 1 MB takes about ten times as long as 100 kB; a quadratic one
// takes a hundred times. Sizes go up step by step, so that a bad parser is found on a small text and not waited for on a large one.

/** One text of `size` characters, made of a repeated unit. */
export type Shape = {
  readonly name: string;
  text(size: number): string;
};

const units = [
  ' ', '\n', '\r\n', '\t', '"', "'", '`', '\\', '\\"', '(', ')', '[', ']', '{', '}', '<', '>', '@', ',', ';', ':', '%', '%2', '=', '=?',
  '/', '-', '+', '.', '*', '_', '#', '&', '&#', '!', '?', '$', '0', '1,', 'a', 'A', 'ü', '\u{1F600}', '\u2028', '\u00a0', 'a ', ' a', 'a@', '@a', 'a.', 'a=', 'a:1', '/a', '/:1', ':a',
  '<a@b.test>, ', 'a@b.test,', '<b>', '</b>', '<b ', '<!--', '<![', '<pre>', '<td>', '<li>', '<a href="', '<p>x', '&amp', ' \n', '\n ', '\r', '\n\n', 'http://', 'http://a.',
  'Bearer ', 'postgres://a:b@', 'at a (/b:1:1)\n', '-a', '0-', '1.', '=?UTF-8?Q?a?= ', '=?UTF-8?B?', '"a" ', '" ', '" "', "''", '$$', '--',
] as const; // prettier-ignore

/** What may stand before and after, so that a match is begun, or fails at the very end. */
const around = [
  ['', ''],
  ['a', '!'],
  ['"', ' x'],
  ['<', '>'],
  ['a@b.test ', '\0'],
] as const;

/** Of these, each with all that may stand around it; of the others, one. */
const common = new Set<string>([' ', '\n', '\r\n', '"', '<', '@', ',', 'a', '\\', '%']);

/** A usual run takes a third of them, each time others; SHAPES=all takes all. */
const every = process.env['SHAPES'] === 'all' ? 1 : 3;
const first = Math.floor(Math.random() * every);

const all: readonly Shape[] = units.flatMap((unit, i) =>
  (common.has(unit) ? around : [around[i % around.length]!]).map(([before, after]) => ({
    name: JSON.stringify([before, unit, after].join(' … ')),
    text: (size) =>
      before +
      unit.repeat(Math.max(1, Math.floor((size - before.length - after.length) / unit.length))) +
      after,
  })),
);

export const shapes = all.filter((_, i) => i % every === first);

/** Nothing quadratic reads 1 MB in this time, so below it there is nothing to compare, whatever the machine is busy with. */
const floorMs = 1_000;
const steps = [10_000, 100_000, 1_000_000];
/** A size at which cubic time has shown. */
const seen = 100_000;
/** Linear is 10, quadratic 100; the rest is for a busy machine. */
const mostPerStep = 30;

/** @returns what is wrong; undefined: its time grows with the text and no faster */
export function growth(read: (text: string) => unknown, { text }: Shape): string | undefined {
  let before: number | undefined;
  for (const size of steps) {
    const given = text(size);
    let ms = timed(read, given);
    // Once more when it looks bad: code may have been compiled or garbage collected meanwhile.
    for (let again = 0; again < 3 && isBad(ms, before); again++) ms = Math.min(ms, timed(read, given));
    if (isBad(ms, before))
      return `${size} characters took ${Math.round(ms)} ms, a tenth of them ${Math.round(before ?? 0)} ms`;
    // Ten times as much would stay below the floor even in quadratic time: nothing could be found there.
    if (size >= seen && ms * 100 < floorMs) return undefined;
    before = ms;
  }
  return undefined;
}

function isBad(ms: number, before: number | undefined): boolean {
  return ms > floorMs && ms > Math.max(before ?? 0, floorMs / mostPerStep) * mostPerStep;
}

/** Processor time of this thread in ms: on a busy machine others have the processor meanwhile. */
function timed(read: (text: string) => unknown, text: string): number {
  const start = process.threadCpuUsage();
  try {
    read(text);
  } catch {
    // Most of these texts are refused: the time until then counts.
  }
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1_000;
}
