// The search field of the console: words and values become the filter of the admin API.

import { describe, expect, it } from 'vitest';
import { readSearch, searchText, tokens } from '../../src/console/search.ts';
import { isWaybillError } from '../../src/errors.ts';
import { parseFilter } from '../../src/operate/filter.ts';

const filterOf = (text: string): unknown => {
  const search = readSearch(text);
  return search.kind === 'filter' ? search.filter : search;
};

describe('the search of the console', () => {
  it.each([
    ['', {}],
    ['status:waiting queue:email', { status: 'pending', queue: 'email' }],
    ['status:failed', { status: 'failed' }],
    ['status:scheduled', { status: 'pending', availableSince: 'now' }],
    ['since:1h', { since: '1h' }],
    ['tag:a tag:b', { tag: ['a', 'b'] }],
    ['tag:order:4711', { tag: 'order:4711' }],
    ['error:"no route" NAME:x', { errorContains: 'no route', name: 'x' }],
    ['payload.customer.id:7', { payload: 'customer.id=7' }],
    ['payload.customer-id:"a b"', { payload: 'customer-id=a b' }],
    ['payload:customer.id=7', { payload: 'customer.id=7' }],
    ['ann@shop.example', { to: 'ann@shop.example' }],
    ['receipt-4711', { deliveryKey: 'receipt-4711' }],
    ['key:"order:1"', { deliveryKey: 'order:1' }],
    ['01980000-0000-7000-8000-00000000000A', { kind: 'message', id: '01980000-0000-7000-8000-00000000000a' }],
  ])('%s', (text, filter) => expect(filterOf(text)).toEqual(filter));

  it.each([
    ['queu:x', /did you mean queue:\? There are to: key: /],
    ['constructor:x', /there is no token "constructor"/],
    ['__proto__:x', /there is no token|^$/],
    [
      'status:foo',
      /"foo" is no state: There are waiting, scheduled, running, retrying, dead, cancelled, delivered$/,
    ],
    ['status:runing', /did you mean running\?/],
    ['name:', /name: needs a value right behind it/],
    ['error:"no end', /has no end/],
  ])('%s is refused with what to do', (text, why) => {
    const said = (() => {
      try {
        return parseFilter(filterOf(text) as object) && '';
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(said).toMatch(why);
  });

  it('a filter that is written as text is read as the same filter', () => {
    for (const text of ['status:retrying name:a-b', 'error:"a b c" cause:exhausted', 'payload:customer.id=7'])
      expect(filterOf(searchText(filterOf(text) as object))).toEqual(filterOf(text));
  });

  it('any text gives filters, or an error that can be read', () => {
    const pieces = [
      ...Object.keys(tokens),
      ':', '"', ' ', '.', '=', 'payload.', '@', '1h', '\0', '\u202e', 'é', '🙂', 'x'.repeat(300), '\\', '-', '999999d', 'scheduled',
    ]; // prettier-ignore
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    let read = 0;
    for (let i = 0; i < 5_000; i++) {
      const text = Array.from({ length: 1 + random(9) }, () => pieces[random(pieces.length)]!).join('');
      try {
        const search = readSearch(text.slice(0, 1_000));
        if (search.kind === 'filter') parseFilter(search.filter);
        read += 1;
      } catch (error) {
        expect([text, isWaybillError(error)]).toEqual([text, true]);
        expect((error as Error).message.length).toBeLessThan(800);
      }
    }
    expect(read).toBeGreaterThan(300);
  });
});
