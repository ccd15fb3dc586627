import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { shown, variables } from '../../src/config/catalogue.ts';
import { readConfig } from '../../src/config/config.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const names = variables.map(({ name }) => name);
const sorted = (all: Iterable<string>): string[] => [...all].toSorted((a, b) => (a < b ? -1 : 1));

it('docs/configuration.md has every variable of the catalogue, and no other, with its default', () => {
  const rows = [...page.matchAll(/^\| `([A-Z0-9_]+)` +\| (.*?) +\|/gm)].map(([, name, value]) => [
    name,
    value,
  ]);
  expect(sorted(rows.map(([name]) => name!))).toEqual(sorted(names));
  for (const [name, value] of rows) {
    const { default: standard } = variables.find((one) => one.name === name)!;
    if (standard !== null) expect(value!.replaceAll('`', ''), name).toBe(standard);
  }
});

it('the reader asks for every variable of the catalogue, and for no other', () => {
  const asked = new Set<string>();
  const env = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get(_, name) {
        asked.add(String(name));
        return name === 'DATABASE_URL' ? 'postgres://a@b/c' : undefined;
      },
    },
  );
  readConfig(env);
  expect(sorted(asked)).toEqual(sorted(names));
});

it('what is secret is not shown', () => {
  const of = (name: string) => variables.find((one) => one.name === name)!;
  expect(shown(of('WAYBILL_API_KEY'), 'geheim')).toBe('(set)');
  expect(shown(of('DATABASE_URL'), 'postgres://ann:geheim@db/shop')).toBe('postgres://ann:***@db/shop');
  expect(shown(of('SMTP_URL'), 'no url')).toBe('(set)');
  expect(shown(of('PORT'), '80')).toBe('80');
});
