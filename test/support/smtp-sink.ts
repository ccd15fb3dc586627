// smtp-sink, Postfix's test server: an implementation that has nothing in common with the client that is tested.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/dev/free-port.ts';
import { until } from './wait.ts';
import { tied } from './tied.ts';

const binary = ['/usr/sbin/smtp-sink', '/usr/bin/smtp-sink'].find((path) => existsSync(path));

/** Whether Debian's package postfix is there; `.ci/run` installs it. */
export const hasSmtpSink = binary !== undefined;

export type SmtpSink = {
  readonly url: string;
  /** What it accepted, each as it came. */
  mails(): string[];
  end(): Promise<void>;
};

/** @param options of smtp-sink(1), such as `-r RCPT` */
export async function startSmtpSink(...options: readonly string[]): Promise<SmtpSink> {
  const dir = mkdtempSync(join(tmpdir(), 'smtp-sink-'));
  chmodSync(dir, 0o777);
  const port = await freePort();
  const asRoot = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const args = ['-4', '-d', `${dir}/m.`, ...options, `127.0.0.1:${port}`, '500'];
  const child = tied(spawn(binary!, args, { stdio: 'ignore', ...asRoot }));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(() => answers(port), { what: 'smtp-sink' });
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails: () => readdirSync(dir).map((file) => readFileSync(join(dir, file), 'latin1')),
    async end() {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}

/** It listens; a greeting may be what a test refuses. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
