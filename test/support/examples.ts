// The examples of the documentation: fenced blocks of a page, written to files, type-checked and run.
//
//   ```ts             a whole module: it is type-checked with all others
//   ```ts run         and run, with DATABASE_URL of a migrated database that the page has for itself
//   ```ts file=app/orders.ts      under this name, so that other blocks of the page can import it; without, it is app/example-LINE.ts
//   ```sql run        run on that database
//   ```text output    what the block that ran before printed, exactly
//
// Blocks run in the order of the page. `waybill` is src/index.ts here; `../src/index.ts` works from app/ as it does in this repository.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Executor } from '../../src/db/executor.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export type Example = {
  readonly page: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly role: 'shown' | 'run' | 'output';
  /** Where a `ts` block is written, from the folder of its page. */
  readonly file: string;
  readonly code: string;
};

export type Page = { readonly name: string; readonly examples: readonly Example[] };

/** The pages that users read. */
export function documentationPages(): Page[] {
  return globSync(['README.md', 'docs/**/*.md'], { cwd: root, exclude: ['docs/api/**'] }) // TypeDoc writes docs/api/
    .toSorted()
    .map((name) => ({ name, examples: examplesOf(name, readFileSync(join(root, name), 'utf8')) }));
}

/** @throws when a fence is not closed, or says something that nobody would heed */
export function examplesOf(page: string, text: string): Example[] {
  const lines = text.split('\n');
  const examples: Example[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent, language = '', info = ''] = /^(\s*)```(\w*)[ \t]*(.*)$/.exec(lines[at]!) ?? [];
    if (indent === undefined) continue;
    const end = lines.indexOf(`${indent}\`\`\``, at + 1);
    if (end === -1) throw new Error(`${page}:${at + 1}: the block is not closed`);
    const code = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
    const about = { page, line: at + 1, language, code: `${code.join('\n')}\n` };
    examples.push({ ...about, ...readInfo(about, info) });
    at = end;
  }
  return examples;
}

function readInfo(
  { page, line, language }: Pick<Example, 'page' | 'line' | 'language'>,
  info: string,
): Pick<Example, 'role' | 'file'> {
  const words = info.split(/\s+/).filter((word) => word !== '');
  const file = words.find((word) => word.startsWith('file='))?.slice('file='.length);
  const rest = words.filter((word) => !word.startsWith('file='));
  const [role = 'shown', ...more] = rest;
  const allowed: Readonly<Record<string, readonly string[]>> = {
    ts: ['run'],
    sql: ['run'],
    text: ['output'],
  };
  const known = role === 'shown' || allowed[language]?.includes(role);
  if (!known || more.length > 0 || (file !== undefined && language !== 'ts'))
    throw new Error(
      `${page}:${line}: a block can say: ts [run] [file=PATH], sql run, text output; not ${language} ${info}`,
    );
  return { role: role as Example['role'], file: file ?? `app/example-${line}.ts` };
}

export type Written = {
  readonly dir: string;
  fileOf(example: Example): string;
  /** What the type checker says; empty when all is well. */
  check(): Promise<string>;
  remove(): void;
};

/** Writes the `ts` blocks of the pages, a folder for each page, where the repository's packages are found. */
export function writeExamples(pages: readonly Page[]): Written {
  const dir = join(root, '.waybill', `examples-${randomBytes(4).toString('hex')}`);
  const fileOf = ({ page, file }: Example): string => join(dir, page.replaceAll(/[/.]/g, '-'), file);
  for (const { examples } of pages) {
    const modules = examples.filter(({ language }) => language === 'ts');
    for (const example of modules) {
      mkdirSync(dirname(fileOf(example)), { recursive: true });
      writeFileSync(fileOf(example), example.code, { flag: 'wx' });
    }
    if (modules[0])
      symlinkSync(join(root, 'src'), join(dir, modules[0].page.replaceAll(/[/.]/g, '-'), 'src'));
  }
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false };
  const files = pages.flatMap(({ examples }) => examples.filter((e) => e.language === 'ts').map(fileOf));
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: [], files };
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config));
  return {
    dir,
    fileOf,
    check: () => outputOf(join(root, 'node_modules/.bin/tsc'), ['-p', dir], {}),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Runs what the page says is run, in its order. @throws with page and line when an example fails, or prints something else */
export async function runExamples(
  page: Page,
  written: Pick<Written, 'fileOf'>,
  database: { readonly url: string; readonly db: Executor },
): Promise<void> {
  let printed: string | undefined;
  for (const example of page.examples) {
    const where = `${page.name}:${example.line}`;
    if (example.role === 'output' && example.code !== printed)
      throw new Error(
        `${where}: not what the example before it prints, which is:\n${printed ?? 'nothing: none ran'}`,
      );
    if (example.role !== 'run') continue;
    try {
      const folder = relative(root, written.fileOf(example)).slice(0, -example.file.length);
      printed = (await runExample(example, written, database)).replaceAll(folder, ''); // as where the application lives
    } catch (error) {
      const { message, stderr = '', stdout = '' } = error as Error & { stderr?: string; stdout?: string };
      throw new Error(`${where}: ${message}\n${stdout}${stderr}`, { cause: error });
    }
  }
}

async function runExample(
  example: Example,
  { fileOf }: Pick<Written, 'fileOf'>,
  { url, db }: { readonly url: string; readonly db: Executor },
): Promise<string> {
  if (example.language === 'sql') {
    await db.executeSql(example.code);
    return '';
  }
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], DATABASE_URL: url };
  const args = ['--import', 'tsx', fileOf(example)];
  return (await promisify(execFile)(process.execPath, args, { cwd: root, env, timeout: 60_000 })).stdout;
}

async function outputOf(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  try {
    const options = { cwd: root, env: { ...process.env, ...env, FORCE_COLOR: '0' }, timeout: 60_000 };
    return (await promisify(execFile)(command, [...args, '--pretty', 'false'], options)).stdout;
  } catch (error) {
    const { stdout, message } = error as Error & { stdout?: string };
    return stdout || message;
  }
}
