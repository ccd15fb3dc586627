// The files of deploy/, held against what Docker and Kubernetes accept, against the roles and variables that there are, and against each other.
// Real: the parsers and the schemas of Kubernetes, KEDA and the Prometheus operator, as their types and as their validators.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { validate as validateDockerfile } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { roleNames } from '../../src/cli/commands/run.ts';
import { variables } from '../../src/config/catalogue.ts';
import { readConfig } from '../../src/config/config.ts';
import { parseDuration } from '../../src/duration.ts';
import { deployFile, manifests, platforms, type Manifest } from '../support/deploy.ts';

describe.each(platforms())('$name', ({ processes, variables: set }) => {
  it('releases first, and runs every role once', () => {
    const roles = processes.filter(({ args }) => args[0] === 'run').flatMap(({ args }) => args.slice(1));
    expect(roles.toSorted()).toEqual([...roleNames].toSorted());
    expect(processes.filter(({ args }) => args.join(' ') === 'release')).toHaveLength(1);
  });

  it('leaves each process longer than it takes to end', () => {
    const { default: own } = variables.find(({ name }) => name === 'WAYBILL_SHUTDOWN_GRACE')!;
    for (const { name, grace } of processes)
      expect(grace * 1_000, name).toBeGreaterThan(parseDuration(own!)!);
  });

  it('sets only variables that are read', () => {
    const known = new Set([...variables.map(({ name }) => name), 'NODE_ENV', 'NODE_VERSION', 'PGSSLMODE']);
    expect(Object.keys(set).filter((name) => !known.has(name))).toEqual([]);
  });

  it('is a right configuration, with a database on another machine', () => {
    const filledIn = {
      DATABASE_URL: 'postgres://shop:secret@db.internal:5432/shop',
      SMTP_URL: 'smtps://shop:secret@smtp.example.com',
      WAYBILL_EMAIL_FROM: 'shop@example.com',
    };
    const written = Object.entries(set).filter((entry): entry is [string, string] => entry[1] !== null);
    const env = { ...filledIn, ...Object.fromEntries(written) };
    expect(() => readConfig(env)).not.toThrow();
  });
});

describe('the image', () => {
  const file = deployFile('docker/Dockerfile');
  const last = file.slice(file.lastIndexOf('\nFROM '));

  it('is a valid Dockerfile', () => {
    expect(validateDockerfile(file).map(({ message }) => message)).toEqual([]);
  });

  it('runs node itself as process 1, as another user than root, and says whether it is alive', () => {
    expect(last).toMatch(/^USER node$/m);
    expect(last).toMatch(/^ENTRYPOINT \["node", /m);
    expect(last).toMatch(/^HEALTHCHECK /m);
  });
});

const modules: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

/** @returns the module of a manifest's model, whose class has the name of its kind */
function moduleOf({ apiVersion, kind }: Manifest): string {
  const [group = ''] = apiVersion.split('/');
  return `${modules[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`;
}

type Model = new (given: Manifest) => { validate(): void };

describe('the manifests', () => {
  const all = manifests();

  it.each(all.map((one) => [one.kind, one.metadata.name, one] as const))(
    '%s %s is valid',
    async (_, __, one) => {
      const { [one.kind]: model } = (await import(moduleOf(one))) as Record<string, Model>;
      new model!(one).validate();
    },
  );

  it('have no field that does not exist', () => {
    const folder = mkdtempSync(fileURLToPath(new URL('../../test/.deploy-', import.meta.url)));
    try {
      const source = all
        .map((one, i) => {
          const { apiVersion: _, kind, ...rest } = one;
          return `import { ${kind} as M${i} } from '${moduleOf(one)}';\nnew M${i}(${JSON.stringify(rest)});`;
        })
        .join('\n');
      writeFileSync(`${folder}/manifests.ts`, source);
      const flags = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--module', 'nodenext'];
      const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
      const { stdout } = spawnSync(process.execPath, [tsc, ...flags, `${folder}/manifests.ts`], {
        encoding: 'utf8',
      });
      expect(stdout).toBe('');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('name one image, and secrets and settings that there are', () => {
    const text = JSON.stringify(all);
    expect(new Set(text.match(/"image":"[^"]*"/g))).toHaveLength(1);
    for (const [, name] of text.matchAll(/"(?:secretRef|configMapRef)":\{"name":"([^"]*)"/g))
      expect(all.some(({ kind, metadata }) => /Secret|ConfigMap/.test(kind) && metadata.name === name)).toBe(
        true,
      );
  });
});
