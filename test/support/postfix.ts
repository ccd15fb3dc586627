// Postfix itself, as a relay that takes mail for one domain of its own: each server in folders and on ports of its own, ended with the test.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/dev/free-port.ts';
import { until } from './wait.ts';
import { tied } from './tied.ts';

const command = '/usr/sbin/postfix';

/** Debian's package postfix; its master process is started by root alone. */
export const hasPostfix = existsSync(command) && process.getuid?.() === 0;

export type Postfix = {
  readonly url: string;
  /** Takes one connection at a time. */
  readonly narrowUrl: string;
  end(): Promise<void>;
};

const main = (dir: string): string => `compatibility_level = 3.6
queue_directory = ${dir}/queue
data_directory = ${dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.shop.test
mydestination = local.test
mynetworks =
local_recipient_maps = inline:{ann=x}
alias_maps =
alias_database =
smtpd_relay_restrictions = reject_unauth_destination
smtpd_helo_restrictions = reject_non_fqdn_helo_hostname
message_size_limit = 20000
maillog_file = /dev/stdout
default_transport = discard
local_transport = discard
`;

const master = (port: number, narrow: number): string => `127.0.0.1:${port} inet n - n - - smtpd
127.0.0.1:${narrow} inet n - n - - smtpd -o smtpd_client_connection_count_limit=1
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
`;

export async function startPostfix(): Promise<Postfix> {
  const dir = mkdtempSync(join(tmpdir(), 'postfix-'));
  chmodSync(dir, 0o755);
  for (const folder of ['etc', 'queue', 'data']) mkdirSync(join(dir, folder));
  execFileSync('chown', ['postfix', join(dir, 'data')]);
  const [port, narrow] = [await freePort(), await freePort()];
  writeFileSync(join(dir, 'etc/main.cf'), main(dir));
  writeFileSync(join(dir, 'etc/master.cf'), master(port, narrow));
  const child = tied(spawn(command, ['-c', join(dir, 'etc'), 'start-fg'], { stdio: 'ignore' }));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(async () => (await answers(port)) && answers(narrow), { what: 'Postfix', timeoutMs: 30_000 });
  return {
    url: `smtp://127.0.0.1:${port}`,
    narrowUrl: `smtp://127.0.0.1:${narrow}`,
    async end() {
      child.kill('SIGTERM');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      socket.end('QUIT\r\n');
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
