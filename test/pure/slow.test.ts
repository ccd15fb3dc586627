// What is said of a statement that reached its time limit or got no lock.

import { expect, it } from 'vitest';
import { endingOf } from '../../src/cli/exit.ts';
import { problemOf } from '../../src/http/problems.ts';
import { toldSlow } from '../../src/http/slow.ts';

const ofPostgres = (code: string): Error =>
  Object.assign(new Error('canceling statement due to …'), { code });

it.each(['57014', '55P03'])(
  '%s is told as a slow statement or a lock, not in the words of the driver',
  (code) => {
    const error = ofPostgres(code);
    const ending = endingOf(error, true);
    expect(ending.code).toBe(1);
    expect(ending.message).toMatch(/changed nothing\. Try again.*--since.*\(database_slow\)$/);
    expect(endingOf(error, false).message).not.toContain('--since');
    const told = ['GET', 'POST'].map((method) => problemOf(toldSlow(error, method)));
    expect(told).toMatchObject([
      {
        status: 503,
        code: 'database_slow',
        detail: expect.stringMatching(/longer than 2 s: narrow/) as string,
      },
      { status: 503, code: 'database_slow', detail: expect.stringMatching(/changed nothing/) as string },
    ]);
    for (const { detail } of [...told, problemOf(error)]) expect(detail).not.toContain('canceling');
  },
);

it('a deadlock is no slow statement', () => {
  const error = ofPostgres('40P01');
  expect(toldSlow(error, 'GET')).toBe(error);
  expect(problemOf(error)).toMatchObject({ status: 503, code: 'database_busy' });
});
