// A project of a user, in a folder of its own inside the repository, so that its packages are found; and the command line run in it.

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { waybill, type Ended } from './command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export type Project = {
  read(file: string): string;
  has(file: string): boolean;
  write(file: string, content: string): void;
  waybill(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  /** What the type checker says of app/, strictly; empty when all is well. */
  check(): Promise<string>;
  /** The tests in app/; rejects when one fails. */
  test(): Promise<string>;
  remove(): void;
};

export function createProject(files: Readonly<Record<string, string>> = {}): Project {
  mkdirSync(join(root, '.waybill'), { recursive: true });
  const dir = mkdtempSync(join(root, '.waybill', 'project-'));
  const write = (file: string, content: string): void => {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), content);
  };
  for (const [file, content] of Object.entries(files)) write(file, content);
  symlinkSync(join(root, 'src'), join(dir, 'src'));
  const aliases = { waybill: ['./src/index.ts'], 'waybill/testing': ['./src/testing.ts'] };
  write(
    'tsconfig.json',
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { paths: aliases },
      include: ['app'],
    }),
  );
  write(
    'vitest.config.ts',
    `export default { resolve: { tsconfigPaths: true }, test: { include: ['app/**/*.test.ts'] } };\n`,
  );
  const bin = async (name: string, args: readonly string[]): Promise<string> => {
    const options = { cwd: dir, timeout: 100_000, env: { PATH: process.env['PATH'] } };
    const result = await promisify(execFile)(process.execPath, [join(root, name), ...args], options).catch(
      (error: unknown) => {
        const { message, stdout = '', stderr = '' } = error as Error & { stdout?: string; stderr?: string };
        throw new Error(`${message}\n${stdout}${stderr}`);
      },
    );
    return result.stdout;
  };
  return {
    write,
    read: (file) => readFileSync(join(dir, file), 'utf8'),
    has: (file) => existsSync(join(dir, file)),
    check: () => bin('node_modules/typescript/bin/tsc', ['-p', dir, '--pretty', 'false']),
    test: () => bin('node_modules/vitest/vitest.mjs', ['run', '--root', dir]),
    remove: () => rmSync(dir, { recursive: true, force: true }),
    waybill: (args, env = {}) => waybill(args, env, dir),
  };
}
