import { describe, expect, it } from 'vitest';
import { transactionStatement } from '../../src/db/statement.ts';

describe('what begins or ends a transaction is found', () => {
  it.each([
    ['begin', 'begin'],
    ['BEGIN', 'begin'],
    ['  begin ;', 'begin'],
    ['begin isolation level serializable', 'begin'],
    ['begin work', 'begin'],
    ['start transaction read only', 'start transaction'],
    ['start\ttransaction', 'start transaction'],
    ['start /* now */ transaction', 'start transaction'],
    ['commit', 'commit'],
    ['Commit And Chain', 'commit'],
    ['commit work', 'commit'],
    ["commit prepared 'x'", 'commit'],
    ['end', 'end'],
    ['end transaction;', 'end'],
    ['abort', 'abort'],
    ['rollback', 'rollback'],
    ['rollback work', 'rollback'],
    ['rollback transaction and chain', 'rollback'],
    ["rollback prepared 'x'", 'rollback'],
    ["prepare transaction 'x'", 'prepare transaction'],
    ['-- a comment\ncommit', 'commit'],
    ['/* one */ /* two /* nested */ */ commit', 'commit'],
    ['\n\t\r\n commit', 'commit'],
    ['\u00a0; commit', 'commit'],
    [';;commit', 'commit'],
    ['select 1; commit', 'commit'],
    ["insert into t values ('a;b'); commit; begin", 'commit'],
    ["select 'it''s'; rollback", 'rollback'],
    ["select E'it\\'s; '; commit", 'commit'],
    ["select 'c:\\'; commit", 'commit'],
    ['select $$ ; begin; $$; commit', 'commit'],
    ['select $a$ $b$ ; $b$ $a$; commit', 'commit'],
    ['select "a;b"; commit', 'commit'],
    ['select 1 -- ; nothing\n; commit', 'commit'],
    [
      'create function f() returns int language sql begin atomic select case when true then 1 end; end; commit',
      'commit',
    ],
    ['savepoint waybill_1', 'savepoint waybill_1'],
    ['savepoint "waybill_1"', 'savepoint waybill_1'],
    ['SAVEPOINT WAYBILL_1', 'savepoint waybill_1'],
    ['release savepoint waybill_1', 'release waybill_1'],
    ['release waybill_1', 'release waybill_1'],
    ['rollback to savepoint waybill_1', 'rollback to waybill_1'],
    ['rollback work to waybill_1', 'rollback to waybill_1'],
    ['rollback transaction to savepoint waybill_2', 'rollback to waybill_2'],
  ])('%j', (text, found) => {
    expect(transactionStatement(text)).toBe(found);
  });
});

describe('what only looks like it passes', () => {
  it.each([
    ['select 1'],
    [''],
    [';'],
    ["select 'commit'"],
    ["select ';commit'"],
    ["select E'\\';commit'"],
    ['select 1 -- ; commit'],
    ['select 1 /* ; commit */'],
    ['/* commit'],
    ["select '; commit"],
    ['do $$ begin perform 1; commit; end $$'],
    ['do $do$ begin perform $$ ; commit $$; end $do$'],
    ['insert into commit values (1)'],
    ['select "commit" from "begin"; select 2'],
    ['update t set "end" = 1'],
    ['select case when true then 1 end'],
    [
      'create function f() returns int language sql begin atomic select 1; select case when true then 2 end; end',
    ],
    ['create or replace procedure p() language sql begin atomic insert into t values (1); end; select 1'],
    ['create function f() returns void language plpgsql as $$ begin commit; end $$'],
    ['prepare p as select 1'],
    ['savepoint mine'],
    ['release mine'],
    ['release savepoint mine'],
    ['rollback to mine'],
    ['rollback to savepoint mine'],
    ['set transaction isolation level serializable'],
    ['committed'],
    ['select begin_at, end_at from slots'],
  ])('%j', (text) => {
    expect(transactionStatement(text)).toBeUndefined();
  });
});

it('reads a long text in a time that grows with its length alone', () => {
  for (const piece of ["'", '"', '$', '$$', '$a$', '/*', '--', ';', ' ', 'a', "e'\\", 'commit_', '\n'])
    transactionStatement(`select begin ${piece.repeat(1_000_000 / piece.length)}`);
});
