import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fromPrisma, type PrismaTransactionLike } from 'pg-boss';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createPostgresOutbox,
  defineJob,
  defineOutboxRegistry,
  drainOutbox,
  enqueueJob,
} from '../../src/index.ts';
import { builderCases } from '../support/builder-cases.ts';
import { testDatabase } from '../support/database.ts';
import type { Builder } from '../support/query-builders.ts';

// A real client of Prisma on a real database. Prisma takes 306 MB, so it is installed into a temporary folder and is no dependency of this
// repository. Its schema engine, which it would download, is not needed to generate a client.

const schema = `
generator client {
  provider = "prisma-client"
  output = "./client"
  moduleFormat = "esm"
  importFileExtension = "ts"
}
datasource db {
  provider = "postgresql"
}
model Note {
  note String @id
  @@map("notes")
}
`;

type Client = PrismaTransactionLike & {
  readonly note: { create(input: { data: { note: string } }): Promise<unknown> };
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>;
  $transaction<T>(body: (tx: Client) => Promise<T>): Promise<T>;
  $disconnect(): Promise<void>;
};

const dir = mkdtempSync(join(tmpdir(), 'waybill-prisma-'));
let connect: (url: string) => Client;
beforeAll(async () => {
  writeFileSync(join(dir, 'package.json'), '{ "private": true, "type": "module" }');
  writeFileSync(join(dir, 'schema.prisma'), schema);
  const run = (command: string, ...args: string[]) =>
    promisify(execFile)(command, args, {
      cwd: dir,
      env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1' },
    });
  const packages = ['prisma@7.10.1', '@prisma/client@7.10.0', '@prisma/adapter-pg@7.10.1'];
  await run('npm', 'install', '--prefer-offline', '--ignore-scripts', ...packages);
  await run('npx', 'prisma', 'generate', '--schema', 'schema.prisma');
  // Names that only this folder resolves.
  const text = `import { PrismaPg } from '@prisma/adapter-pg';
    import { PrismaClient } from './client/client.ts';
    export const connect = (connectionString) => new PrismaClient({ adapter: new PrismaPg({ connectionString, max: 4 }) });`;
  writeFileSync(join(dir, 'connect.js'), text);
  ({ connect } = (await import(join(dir, 'connect.js'))) as { connect: (url: string) => Client });
}, 300_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function withPrisma(url: string): Builder {
  const prisma = connect(url);
  return {
    plain: fromPrisma(prisma),
    transaction: (body) =>
      prisma.$transaction((tx) =>
        body({
          source: fromPrisma(tx),
          insert: (note) => tx.$executeRawUnsafe('insert into notes (note) values ($1)', note),
        }),
      ),
    end: () => prisma.$disconnect(),
  };
}

describe('Prisma', () => {
  builderCases(withPrisma);

  it('a drain delivers what its transactions recorded', async () => {
    const database = await testDatabase();
    await database.db.executeSql('create table notes (note text primary key)');
    const prisma = connect(database.url);
    const seen: string[] = [];
    const tell = defineJob({
      name: 'tell',
      payload: z.object({ note: z.string() }),
      handler: async (_, { note }) => void seen.push(note),
    });
    await prisma.$transaction(async (tx) => {
      await tx.note.create({ data: { note: 'one' } });
      await enqueueJob(createPostgresOutbox(fromPrisma(tx)), tell, { note: 'one' });
    });
    const undone = prisma.$transaction(async (tx) => {
      await enqueueJob(createPostgresOutbox(fromPrisma(tx)), tell, { note: 'two' });
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    const registry = defineOutboxRegistry({ jobs: [tell] });
    const outbox = createPostgresOutbox(fromPrisma(prisma));
    expect(await drainOutbox({ outbox, registry })).toMatchObject({ claimed: 1, delivered: 1 });
    expect(seen).toEqual(['one']);
    await prisma.$disconnect();
    await database.end();
  });
});
