// A process under measurement, as it would be deployed: its own Node, its output in a file.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export type Child = {
  readonly pid: number;
  /** Throws the end of its output when it has ended. */
  check(): void;
  /** Resolves when its output contains this text. */
  says(text: string): Promise<void>;
  /** Resolves when it accepts requests. */
  ready(): Promise<void>;
  ask(question: string, value?: unknown): Promise<unknown>;
  end(): Promise<void>;
};

type Answer = { readonly id: number; readonly answer?: unknown; readonly error?: string };

/** A process that does not end within this time is killed. */
const timeoutMs = 40_000;

const root = fileURLToPath(new URL('..', import.meta.url));

export function startChild(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  command = process.execPath,
): Child {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
  const file = join(folder, 'output');
  const out = openSync(file, 'w');
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', out, out, 'ipc'],
  });
  closeSync(out);
  const answers = new Map<number, Answer>();
  child.on('message', (message: Answer) => void answers.set(message.id, message));
  const ended = once(child, 'exit');
  let asked = 0;
  const output = (): string => readFileSync(file, 'utf8');
  const check = (): void => {
    const how = child.exitCode ?? child.signalCode;
    if (how !== null) throw new Error(`${args.join(' ')} ended with ${how}:\n${output().slice(-2_000)}`);
  };
  async function hear(id: number): Promise<unknown> {
    for (; !answers.has(id); await sleep(1)) check();
    const { answer, error } = answers.get(id)!;
    answers.delete(id);
    if (error !== undefined) throw new Error(`${args.join(' ')}: ${error}`);
    return answer;
  }
  return {
    pid: child.pid!,
    check,
    async says(text) {
      for (; !output().includes(text); await sleep(20)) check();
    },
    ready: async () => void (await hear(0)),
    async ask(question, value) {
      const id = ++asked;
      child.send({ id, ask: question, value });
      return hear(id);
    },
    async end() {
      if (child.exitCode === null) child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      await ended;
      clearTimeout(kill);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
