import { describe, expect, it, test } from 'vitest';
import { contextDatabase } from '../../src/action/database.ts';
import { markError, toExecutor } from '../../src/db/executor.ts';
import { diagnose, isConflict, isPassing, isUnreachable, sqlState } from '../../src/db/diagnosis.ts';
import { Scope } from '../../src/db/scope.ts';
import type { Transaction } from '../../src/db/transaction.ts';

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
      'in one of Prisma, from its adapter',
      { code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '42P01' } } } },
      '42P01',
    ],
    ['in one of Prisma, from its engine', { code: 'P2010', meta: { code: '23505' } }, '23505'],
    [
      'that has a code of its own and a cause',
      Object.assign(new Error('x', { cause: { code: '42P01' } }), { code: 'migration_failed' }),
      undefined,
    ],
    ['that is none', null, undefined],
  ])('an error %s has the SQLSTATE that it has', (_, error, state) => {
    expect(sqlState(error)).toBe(state);
  });

  it.each([
    ['a refused row', '23505', undefined],
    ['a missing table', '42P01', undefined],
    ['a server that shuts down', '57P01', 'unreachable'],
    ['no answer', undefined, 'unreachable'],
  ])('an error of the application with a code of its own, caused by %s', (_, code, condition) => {
    const cause = markError(Object.assign(new Error('no'), { code }));
    const error = Object.assign(new Error('the order failed', { cause }), { code: 'ORDER_FAILED' });
    expect(diagnose(error)?.condition).toBe(condition);
    expect(isUnreachable(error)).toBe(condition === 'unreachable');
  });

  it('a connection that was lost under a handler, or under an executor of another library, is told from an error of theirs', async () => {
    expect(isUnreachable(lost())).toBe(false);
    const tx = { client: failing(lost) } as unknown as Transaction;
    const ctx = contextDatabase(new Scope(tx), () => undefined);
    expect(isUnreachable(await thrownBy(ctx.query('select 1')))).toBe(true);
    const wrapping = { executeSql: () => Promise.reject(new Error('Failed query', { cause: lost() })) };
    expect(isUnreachable(await thrownBy(toExecutor(wrapping).executeSql('select 1')))).toBe(true);
    const refused = { executeSql: () => Promise.reject(Object.assign(new Error('no'), { code: '23505' })) };
    expect(isUnreachable(await thrownBy(toExecutor(refused).executeSql('insert')))).toBe(false);
  });
});

/** As pg throws it on a connection of ours. */
const ours = (message: string, facts: object = {}, setting?: string): Error =>
  markError(Object.assign(new Error(message), facts), setting);

describe('what an error of the database means', () => {
  it.each([
    [
      '53300',
      'sorry, too many clients already',
      'connections_exhausted',
      /no connection left.*max_connections/,
    ],
    [
      '53300',
      'remaining connection slots are reserved for roles with the SUPERUSER attribute',
      'connections_exhausted',
      /reserved/,
    ],
    ['53300', 'too many connections for role "app"', 'connections_exhausted', /for role/],
    ['08P01', 'no more connections allowed (max_client_conn)', 'connections_exhausted', /max_client_conn/],
    ['XX000', 'MaxClientsInSessionMode: max clients reached', 'connections_exhausted', /max clients/],
    [
      '53100',
      'could not extend file: No space left on device',
      'resources_exhausted',
      /disk or memory.*No space/,
    ],
    ['57P03', 'the database system is starting up', 'starting', /starting up.*try again/],
    ['55000', 'database "shop" is not currently accepting connections', 'starting', /accepting/],
    ['57P01', 'terminating connection due to administrator command', 'unreachable', /administrator command/],
    ['08006', 'connection failure', 'unreachable', /connection failure/],
    ['25006', 'cannot execute INSERT in a read-only transaction', 'read_only', /read-only.*DATABASE_URL/],
    [
      '28P01',
      'password authentication failed for user "app"',
      'login_refused',
      /^the database refused user or password of DATABASE_URL$/,
    ],
    ['28000', 'role "ap" does not exist', 'login_refused', /role "ap" does not exist/],
    [
      '28000',
      'no pg_hba.conf entry for host "10.0.0.1", no encryption',
      'login_refused',
      /pg_hba\.conf.*sslmode in DATABASE_URL/,
    ],
    ['3D000', 'database "shop" does not exist', 'database_missing', /DATABASE_URL names does not exist/],
    ['08P01', 'no such database: shop', 'database_missing', /does not exist/],
    ['42501', 'permission denied for table orders', 'privilege_missing', /lacks a privilege.*orders.*grant/],
    ['42P01', 'relation "waybill.queues" does not exist', 'schema_missing', /waybill release/],
  ])('SQLSTATE %s, %s', (code, message, condition, words) => {
    const found = diagnose(Object.assign(new Error(message), { code }));
    expect(found).toEqual({ condition, message: expect.stringMatching(words) as string });
  });

  it.each([
    [
      'getaddrinfo ENOTFOUND db.test',
      { code: 'ENOTFOUND' },
      'unreachable',
      /host in DATABASE_URL is unknown/,
    ],
    ['connect ECONNREFUSED 127.0.0.1:1', { code: 'ECONNREFUSED' }, 'unreachable', /nobody listens/],
    ['connect ENOENT /run/x/.s.PGSQL.5432', { code: 'ENOENT' }, 'unreachable', /no socket.*PGSQL/],
    ['connect ETIMEDOUT', { code: 'ETIMEDOUT' }, 'unreachable', /cannot be reached/],
    ['Connection terminated unexpectedly', {}, 'unreachable', /terminated/],
    [
      'self-signed certificate',
      { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
      'certificate_refused',
      /TLS.*SELF_SIGNED.*sslrootcert/,
    ],
    ['The server does not support SSL connections', {}, 'certificate_refused', /TLS.*sslmode/],
    [
      'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string',
      {},
      'login_refused',
      /user or password/,
    ],
  ])('without a SQLSTATE, on a connection of ours: %s', (message, facts, condition, words) => {
    expect(diagnose(ours(message, facts))).toEqual({
      condition,
      message: expect.stringMatching(words) as string,
    });
  });

  it('says nothing of an error that is not the database’s, or that is the statement’s own', () => {
    expect(
      diagnose(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })),
    ).toBeUndefined();
    expect(diagnose(ours('duplicate key', { code: '23505' }))).toBeUndefined();
    expect(diagnose(undefined)).toBeUndefined();
  });

  it('a host with several addresses is one trouble, and its words are those of the first', () => {
    const errors = ['::1', '127.0.0.1'].map((at) =>
      Object.assign(new Error(`connect ECONNREFUSED ${at}:1`), { code: 'ECONNREFUSED' }),
    );
    const all = markError(Object.assign(new AggregateError(errors, ''), { code: 'ECONNREFUSED' }));
    expect(diagnose(all)?.message).toMatch(/nobody listens at the host and port of DATABASE_URL/);
  });

  it('names the variable whose value leads to the database', () => {
    const refused = ours('password authentication failed', { code: '28P01' }, 'QUEUE_DATABASE_URL');
    expect(diagnose(markError(refused, 'DATABASE_URL'))?.message).toContain('of QUEUE_DATABASE_URL');
  });

  it('what ends by itself is waited for, what a person must mend is not', () => {
    const waitedFor = (code: string): boolean => isPassing(diagnose({ code, message: '' })!);
    expect(['08006', '57P03', '53300', '25006', '42P01'].map(waitedFor)).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
    expect(['28P01', '3D000', '42501'].map(waitedFor)).toEqual([false, false, false]);
  });
});

test.each([
  ['40001', true],
  ['40P01', true],
  ['23505', false],
  [undefined, false],
])('an error of Postgres with the code %s is a lost conflict with another transaction: %s', (code, is) => {
  const error = Object.assign(new Error('could not serialize access'), { code, severity: 'ERROR' });
  expect([isConflict(error), isConflict(new Error('Failed query', { cause: error }))]).toEqual([is, is]);
});
