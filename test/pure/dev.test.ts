// What `waybill dev` decides without I/O of its own: which changes count, how a log reads, which values fit a schema, who adds packages.

import fc from 'fast-check';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isEmailAddress } from '../../src/index.ts';
import { readDevFile, writeDevFile } from '../../src/config/dev-file.ts';
import { isSource, nextChange } from '../../src/dev/change.ts';
import { exampleCall, type Document } from '../../src/dev/example-call.ts';
import { devKeys } from '../../src/dev/keys.ts';
import { readableLine } from '../../src/dev/log-line.ts';
import { addCommand, packageManagerOf } from '../../src/dev/package-manager.ts';
import { sampleOf } from '../../src/dev/sample.ts';
import { webPort } from '../../src/dev/web-port.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'waybill-dev-'))));
afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, text = ''): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

describe('a change', () => {
  it.each([
    'app/index.ts',
    'src/db.mts',
    'lib/a.js',
    'app/sql/0001_a.sql',
    '.env',
    'app/texts.json',
    'a.tsx',
  ])('of %s counts', (path) => expect(isSource(path)).toBe(true));

  it.each([
    'app/index.test.ts',
    'app/index.spec.tsx',
    'app/types.d.ts',
    'test/support/a.ts',
    'app/.index.ts.swp',
    'app/index.ts~',
    'app/4913',
    'app/.#index.ts',
    '.git/config.json',
    'node_modules/a/index.js',
    'web/node_modules/a/index.js',
    'dist/index.js',
    '.waybill/keys.json',
    'package-lock.json',
    'README.md',
  ])('of %s does not', (path) => expect(isSource(path)).toBe(false));

  it('is waited for in folders below, and tests and packages are passed over', async () => {
    for (const path of ['app/deep/index.ts', 'node_modules/a/index.js', 'test/a.ts']) write(path);
    const stop = new AbortController();
    const change = nextChange([folder], stop.signal);
    write('test/a.ts', '1');
    write('node_modules/a/index.js', '1');
    write('app/deep/index.test.ts', '1');
    write('app/deep/index.ts', '1');
    expect(await change).toBe(join('app', 'deep', 'index.ts'));
    const none = nextChange([folder], stop.signal);
    stop.abort();
    expect(await none).toBeUndefined();
  });
});

describe('a line of the log', () => {
  const line = (fields: object): string =>
    readableLine(JSON.stringify({ level: 'info', time: new Date(2030, 0, 1, 9, 8, 7), ...fields }), {
      colour: false,
    });

  it('shows time, level, message and fields, and leaves out what every line has', () => {
    expect(
      line({ role: 'web', process: 'a:1:b', msg: 'answered', status: 200, traceId: null, path: 'a b' }),
    ).toBe('09:08:07 info  answered status=200 path="a b"');
  });

  it('shows the stack of an error below', () => {
    expect(line({ level: 'error', msg: 'failed', err: { stack: 'Error: no\n    at a.ts:1:2' } })).toBe(
      '09:08:07 info  failed\n'.replace('info ', 'error') + '         Error: no\n             at a.ts:1:2',
    );
  });

  it.each(['plain text', '{ not json', '{"a":1}', '', '{"level":1}'])('%j is shown as it is', (text) => {
    expect(readableLine(text, { colour: true })).toBe(text);
  });
});

describe('a sample', () => {
  const schemas: Record<string, z.ZodType> = {
    address: z.object({ customerEmail: z.string().refine(isEmailAddress) }),
    formats: z.object({
      email: z.email(),
      id: z.uuid(),
      url: z.url(),
      at: z.iso.datetime(),
      day: z.iso.date(),
    }),
    nested: z.object({
      items: z.array(z.object({ sku: z.string().min(5).max(6) })).min(2),
      note: z.string().optional(),
    }),
    choices: z.object({
      colour: z.enum(['red', 'blue']),
      kind: z.literal('a'),
      either: z.union([z.int(), z.string()]),
    }),
    tuple: z.tuple([z.string(), z.boolean()]),
    defaults: z.object({ limit: z.int().min(10).default(20), flag: z.boolean(), nothing: z.null() }),
  };
  it.each(Object.entries(schemas))('of %s fits its schema', (_, schema) => {
    const sample = sampleOf(z.toJSONSchema(schema, { io: 'input' }));
    expect(sample.isCertain).toBe(true);
    expect(schema.safeParse(sample.value).error).toBeUndefined();
  });

  it('of a number fits its bounds, or says that it may not', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -50, max: 50 }),
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 1, max: 9 }),
        (low, width, step) => {
          const schema = z
            .int()
            .min(low)
            .max(low + width)
            .multipleOf(step);
          const { value, isCertain } = sampleOf(z.toJSONSchema(schema));
          expect(schema.safeParse(value).success || !isCertain).toBe(true);
        },
      ),
    );
  });

  it('of a pattern is not certain', () => {
    expect(sampleOf(z.toJSONSchema(z.string().regex(/^\d{7}$/))).isCertain).toBe(false);
  });
});

describe('the example call', () => {
  const json = (schema: object) => ({ requestBody: { content: { 'application/json': { schema } } } });
  const document = (paths: object): Document => ({ paths }) as Document;

  it('takes a route of the application, in a form that a shell understands', () => {
    const schema = { type: 'object', required: ['name'], properties: { name: { const: "O'Hara" } } };
    const call = exampleCall(
      document({
        '/actions/greet': { post: { ...json(schema), security: [] } },
        '/people/{id}': {
          post: {
            ...json(schema),
            security: [],
            parameters: [{ name: 'id', in: 'path', schema: { type: 'integer' } }],
          },
        },
      }),
      'http://localhost:3000',
      'the-key',
    );
    expect(call).toBe(
      `curl 'http://localhost:3000/people/1' \\\n    -H 'authorization: Bearer the-key' \\\n    -H 'content-type: application/json' \\\n    -d '{"name":"O'\\''Hara"}'`,
    );
  });

  it('is none without an action that changes something', () => {
    expect(exampleCall(document({ '/a': { get: {} } }), 'http://localhost:3000', 'k')).toBeUndefined();
  });
});

describe('the package manager', () => {
  it.each([
    ['package-lock.json', '', 'npm'],
    ['pnpm-lock.yaml', '', 'pnpm'],
    ['yarn.lock', '', 'yarn'],
    ['bun.lock', '', 'bun'],
    ['Procfile', 'pnpm/12.1.0 npm/? node/v24.0.0 linux x64', 'pnpm'],
    ['Procfile', '', 'npm'],
  ])('of a project with %s, run by %j, is %s', (file, agent, manager) => {
    write(file);
    write('.git/HEAD'); // what lies above the repository does not count
    write('packages/shop/package.json', '{}'); // a workspace: the lockfile is above
    expect(packageManagerOf(join(folder, 'packages/shop'), agent)).toBe(manager);
  });

  it('is the one of the field packageManager, whatever lies beside it', () => {
    write('package-lock.json');
    write('package.json', '{ "packageManager": "yarn@4.18.1+sha224.abc" }');
    expect(packageManagerOf(folder)).toBe('yarn');
  });

  it.each([
    ['npm', 'npm install --save-dev a'],
    ['pnpm', 'pnpm add --dev a'],
    ['yarn', 'yarn add --dev a'],
    ['bun', 'bun add --dev a'],
  ] as const)('%s adds a package for development', (manager, command) => {
    expect(addCommand(manager, { packages: ['a'], forDevelopment: true }).join(' ')).toBe(command);
  });
});

describe('the port of web', () => {
  it('is the next one that is free, unless PORT names it', async () => {
    const taken = createServer().listen(0, 'localhost');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    expect(await webPort(port, false, 'localhost')).toBeGreaterThan(port);
    await expect(webPort(port, true, 'localhost')).rejects.toThrow(/is taken by another process/);
    taken.close();
    await once(taken, 'close');
    expect(await webPort(port, true, 'localhost')).toBe(port);
    await expect(webPort(port, true, '192.0.2.1')).rejects.toMatchObject({ code: 'host_unusable' });
  });
});

describe('.waybill/', () => {
  it('says where it may not be made', () => {
    write('file');
    expect(() => devKeys(join(folder, 'file'))).toThrowError(
      expect.objectContaining({ code: 'folder_not_writable', message: expect.stringContaining('ENOTDIR') }),
    );
  });

  it('keeps the keys, readable by their owner alone, and Git ignores them', () => {
    const keys = devKeys(folder);
    expect(Object.values(keys).every((key) => key.length >= 32)).toBe(true);
    expect(devKeys(folder)).toEqual(keys);
    expect(statSync(join(folder, '.waybill/keys.json')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, '.waybill/.gitignore'), 'utf8')).toBe('*\n');
  });

  it.each(['{', 'null', '[]', '{"WAYBILL_API_KEY":7}'])('replaces keys that were damaged: %s', (text) => {
    write('.waybill/keys.json', text);
    expect(devKeys(folder)).toEqual(devKeys(folder));
    expect(devKeys(folder).WAYBILL_API_KEY).toMatch(/^[\w-]{32}$/);
  });

  it('tells other commands of a running process, and of no other', () => {
    devKeys(folder);
    expect(readDevFile(folder)).toBeUndefined();
    const forget = writeDevFile(folder, { DATABASE_URL: 'postgres://a:b#c@127.0.0.1:1/waybill' });
    expect(readDevFile(folder)).toEqual({
      pid: process.pid,
      variables: { DATABASE_URL: 'postgres://a:b#c@127.0.0.1:1/waybill' },
    });
    write(
      '.waybill/dev.env',
      readFileSync(join(folder, '.waybill/dev.env'), 'utf8').replace(`'${process.pid}'`, `'0'`),
    );
    expect(readDevFile(folder)).toBeUndefined();
    forget();
    expect(existsSync(join(folder, '.waybill/dev.env'))).toBe(false);
  });
});
