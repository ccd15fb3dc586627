// Which keys of Amazon SNS are kept, and for how long. The clock and the fetch are doubled.

import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { createSnsKeys } from '../../src/webhook/sns-keys.ts';

const { publicKey: key } = generateKeyPairSync('ed25519');

function counted(answer: (url: string) => typeof key | undefined = () => key) {
  const asked: string[] = [];
  const keys = createSnsKeys(async (url) => {
    asked.push(url);
    return answer(url);
  });
  return { asked, keys };
}

test('a key that a signature proved is kept; another, and that there is none, counts for a minute', async () => {
  const { asked, keys } = counted((url) => (url === 'none' ? undefined : key));
  for (const now of [0, 59_999, 60_000, 119_999])
    for (const url of ['none', 'unproven', 'proven']) {
      const found = await keys.at(url, now);
      if (url === 'proven') keys.keep(url, found!);
    }
  expect(asked).toEqual(['none', 'unproven', 'proven', 'none', 'unproven']);
});

test('a failure is not kept', async () => {
  let isAway = true;
  const { asked, keys } = counted(() => {
    if (isAway) throw new Error('away');
    return key;
  });
  await expect(keys.at('a', 0)).rejects.toThrow('away');
  isAway = false;
  expect([await keys.at('a', 1), asked.length]).toEqual([key, 2]);
});

test('a hundred unproven addresses are known at most, and the oldest makes room', async () => {
  const { asked, keys } = counted(() => undefined);
  for (let i = 0; i <= 100; i++) await keys.at(String(i), 0);
  await keys.at('100', 0);
  expect(asked).toHaveLength(101);
  await keys.at('0', 0);
  expect(asked).toHaveLength(102);
});

test('ten keys are kept at most', async () => {
  const { asked, keys } = counted();
  for (let i = 0; i <= 10; i++) keys.keep(String(i), key);
  await keys.at('10', 0);
  expect(asked).toEqual([]);
  await keys.at('0', 0);
  expect(asked).toEqual(['0']);
});
