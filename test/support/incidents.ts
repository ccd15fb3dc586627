// docs/incidents.md as data: its drills, the steps of each, and the blocks of each step; and how a block is run: `sh` by a shell, with `waybill` on
// its path, `sql` on the database.

import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { examplesOf, root } from './examples.ts';

export type Block = { readonly language: string; readonly code: string };

export type Incident = {
  readonly title: string;
  readonly steps: readonly { readonly text: string; readonly blocks: readonly Block[] }[];
  /** How one knows that it is over. */
  readonly over: string | undefined;
};

const page = 'docs/incidents.md';

/** The sections that have steps. */
export function incidents(): Incident[] {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = examplesOf(page, text);
  const found: { title: string; steps: { text: string; blocks: Block[] }[]; over: string | undefined }[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.startsWith('## ')) found.push({ title: line.slice(3), steps: [], over: undefined });
    const last = found.at(-1);
    if (/^\d+\. /.test(line)) last?.steps.push({ text: line, blocks: [] });
    if (line.startsWith('**Over when**')) last!.over = line;
    const block = blocks.find((one) => one.line === i + 1);
    if (block && ['sh', 'sql'].includes(block.language)) last?.steps.at(-1)?.blocks.push(block);
  }
  return found.filter(({ steps }) => steps.length > 0);
}

export type Shell = {
  /** What the commands of a block printed. @throws when one fails, with what it printed */
  run(block: Block, words: Readonly<Record<string, string>>): Promise<string>;
  end(): void;
};

/** @param url of the database that the commands act on */
export function openShell(url: string): Shell {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-drills-'));
  const command = join(folder, 'waybill');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'src/cli/main.ts')}' "$@"\n`);
  chmodSync(command, 0o755);
  const env = {
    PATH: `${folder}:${process.env['PATH']}`,
    HOME: process.env['HOME'],
    DATABASE_URL: url,
    WAYBILL_APP: join(root, 'test/support/drills-app.ts'),
    NODE_COMPILE_CACHE: join(tmpdir(), 'waybill-compile-cache'), // a command starts in half of the time
  };
  return {
    async run({ language, code }, words) {
      const written = filled(code, words);
      if (language === 'sql') return JSON.stringify(await asked(url, written));
      const { error, stdout, stderr } = await sh(written, env, folder);
      if (error) throw new Error(`${written}\n${stdout}${stderr}`, { cause: error });
      return stdout;
    },
    end: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** As psql: on a connection of its own, without a limit of time. */
async function asked(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

type Ended = { readonly error: Error | null; readonly stdout: string; readonly stderr: string };

function sh(code: string, env: NodeJS.ProcessEnv, cwd: string): Promise<Ended> {
  return new Promise((resolve) =>
    execFile('sh', ['-ec', code], { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    ),
  );
}

/** The words in capitals that stand for values of the reader. @throws for one without a value */
function filled(code: string, words: Readonly<Record<string, string>>): string {
  return code.replaceAll(/\b(?:ID|COPY|COUNT|BULK|PID)\b/g, (word) => {
    const value = words[word];
    if (value === undefined) throw new Error(`${word} has no value in ${code}`);
    return value;
  });
}
