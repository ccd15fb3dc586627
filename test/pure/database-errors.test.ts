import { describe, expect, it } from 'vitest';
import { contextDatabase } from '../../src/action/database.ts';
import { toExecutor } from '../../src/db/executor.ts';
import { isUnreachable, sqlState, type Transaction } from '../../src/db/transaction.ts';

const lost = (): Error => new Error('Connection terminated unexpectedly');
const failing = (make: () => Error) => ({ query: () => Promise.reject(make()) });
const thrownBy = async (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('errors of the database', () => {
  it.each([
    ['of the driver', Object.assign(new Error('no'), { code: '40001' }), '40001'],
    ['wrapped by a query builder', new Error('Failed query', { cause: { code: '40P01' } }), '40P01'],
    ['of a class with letters', { code: 'P0001' }, 'P0001'],
    ['of Node, five letters long', { code: 'EPIPE' }, undefined],
    ['of Prisma', { code: 'P2010' }, undefined],
    [
      'that has a code of its own and a cause',
      Object.assign(new Error('x', { cause: { code: '42P01' } }), { code: 'migration_failed' }),
      undefined,
    ],
    ['that is none', null, undefined],
  ])('an error %s has the SQLSTATE that it has', (_, error, state) => {
    expect(sqlState(error)).toBe(state);
  });

  it('a connection that was lost under a handler, or under an executor of another library, is told from an error of theirs', async () => {
    expect(isUnreachable(lost())).toBe(false);
    const tx = { client: failing(lost) } as unknown as Transaction;
    const ctx = contextDatabase(tx, () => undefined);
    expect(isUnreachable(await thrownBy(ctx.query('select 1')))).toBe(true);
    const wrapping = { executeSql: () => Promise.reject(new Error('Failed query', { cause: lost() })) };
    expect(isUnreachable(await thrownBy(toExecutor(wrapping).executeSql('select 1')))).toBe(true);
    const refused = { executeSql: () => Promise.reject(Object.assign(new Error('no'), { code: '23505' })) };
    expect(isUnreachable(await thrownBy(toExecutor(refused).executeSql('insert')))).toBe(false);
  });
});
