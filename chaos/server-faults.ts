// Faults around the server: a crash of Postgres, the network, the wake-ups, the disk.

import { setTimeout as sleep } from 'node:timers/promises';
import { diskProblem } from './server.ts';
import type { Fault } from './fault.ts';

export const postgres: Fault = {
  about: 'Postgres stops in immediate mode, as in a crash, and starts again',
  mayDouble: true,
  targets: 'all',
  problem: () => undefined,
  async strike({ server, processes }) {
    await server.postgres.stop('immediate');
    return {
      text: 'Postgres crashed',
      members: processes.members,
      end: () => server.postgres.start(),
    };
  },
};

export const network: Fault = {
  about: 'connections to Postgres are cut, silenced or slowed down',
  mayDouble: true,
  targets: 'all',
  problem: () => undefined,
  async strike({ wire, processes }, { way }) {
    const ms = Math.round(20 + way * 200);
    if (way < 0.34) wire.cut();
    else if (way < 0.67) wire.silence();
    else wire.slow(ms);
    const text =
      way < 0.34 ? 'connections cut' : way < 0.67 ? 'connections silenced' : `each answer ${2 * ms} ms late`;
    return { text, members: processes.members, end: async () => wire.mend() };
  },
};

export const pgboss: Fault = {
  about: 'every wake-up is deleted, again and again, or the schema of pg-boss is dropped',
  mayDouble: false,
  targets: 'all',
  problem: ({ subject }) => (subject.dropWakeUps ? undefined : `${subject.name} has no wake-ups`),
  async strike({ subject, db }, { way, lengthMs }) {
    const all = way < 0.5;
    let over = false;
    // A drop may lose a deadlock, and is then tried again.
    const drop = async (): Promise<boolean> =>
      subject.dropWakeUps!(db, all).then(
        () => true,
        () => false,
      );
    const deleting = (async () => {
      for (let tries = 0; !over && tries < lengthMs / 100; tries++) {
        if ((await drop()) && all) return;
        await sleep(100);
      }
    })();
    return {
      text: all ? 'schema pgboss dropped' : 'wake-ups deleted',
      members: [],
      async end() {
        over = true;
        await deleting;
      },
    };
  },
};

export const disk: Fault = {
  about: 'the disk of Postgres is full',
  mayDouble: true,
  targets: 'all',
  problem: ({ server }) =>
    server.disk
      ? undefined
      : (diskProblem() ?? 'mounting a tmpfs was refused: this container lacks the right'),
  async strike({ server, processes }) {
    const disk = server.disk!;
    // Postgres frees and takes space meanwhile, so it is filled again.
    disk.fill();
    const again = setInterval(disk.fill, 200);
    return {
      text: 'disk full',
      members: processes.members,
      async end() {
        clearInterval(again);
        disk.free();
        await server.heal();
      },
    };
  },
};
