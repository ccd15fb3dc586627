import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/database.ts';
import {
  documentationPages,
  examplesOf,
  runExamples,
  writeExamples,
  type Page,
  type Written,
} from '../support/examples.ts';

const pages = documentationPages();

describe('the examples of the documentation', () => {
  let written: Written;
  beforeAll(() => {
    written = writeExamples(pages);
  });
  afterAll(() => written.remove());

  it('are modules that the type checker accepts', async () => {
    expect(await written.check()).toBe('');
  });

  const running = pages.filter(({ examples }) => examples.some(({ role }) => role !== 'shown'));
  it.each(running.map((page) => [page.name, page] as const))(
    '%s: those that say so run',
    async (_, page) => {
      const database = await testDatabase();
      try {
        await runExamples(page, written, database);
      } finally {
        await database.end();
      }
    },
    300_000,
  ); // a page is a dozen processes, on a machine that may be busy
});

describe('what tests the examples', () => {
  const page = (text: string): Page => ({ name: 'page.md', examples: examplesOf('page.md', text) });

  it('reads blocks with their line, their words and their indentation', () => {
    const text =
      'x\n\n```ts run file=app/a.ts\nconst a = 1;\n```\n- item\n  ```sql\n  select 1\n  ```\n```\n```ts\n```\n';
    expect(page(text).examples).toMatchObject([
      { line: 3, language: 'ts', role: 'run', file: 'app/a.ts', code: 'const a = 1;\n' },
      { line: 7, language: 'sql', role: 'shown', code: 'select 1\n' },
      { line: 10, language: '', role: 'shown', code: '```ts\n' },
    ]);
  });

  it.each(['```ts\nopen', '```ts runs\n```', '```sh run\n```', '```sql file=a\n```', '```ts run twice\n```'])(
    'refuses %j',
    (text) => {
      expect(() => page(text)).toThrow('page.md:1: ');
    },
  );

  it('finds an example that does not type-check, does not run, or prints something else', async () => {
    const wrong = page('```ts\nexport const n: number = "one";\n```\n');
    const throws = page('```ts run\nthrow new Error("no luck");\n```\n');
    const prints = page('```ts run file=app/p.ts\nconsole.log("one");\n```\n```text output\ntwo\n```\n');
    const bad = page('```sql run\nselect nonsense\n```\n');
    const all = [wrong, throws, prints];
    const written = writeExamples(
      all.map(({ examples }, i) => ({
        name: `${i}`,
        examples: examples.map((e) => ({ ...e, page: `${i}` })),
      })),
    );
    const database = await testDatabase();
    try {
      expect(await written.check()).toMatch(/example-1\.ts\(1,14\): error TS2322/);
      const inFolder = (i: number) => ({
        fileOf: (e: Parameters<Written['fileOf']>[0]) => written.fileOf({ ...e, page: `${i}` }),
      });
      await expect(runExamples(throws, inFolder(1), database)).rejects.toThrow(/^page\.md:1: [\s\S]*no luck/);
      await expect(runExamples(prints, inFolder(2), database)).rejects.toThrow(/^page\.md:4: [\s\S]*one/);
      await expect(runExamples(bad, written, database)).rejects.toThrow(/^page\.md:1: .*nonsense/);
    } finally {
      written.remove();
      await database.end();
    }
  });
});
