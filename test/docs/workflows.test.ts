import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validateWorkflow } from '@action-validator/core';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

// What GitHub reads: workflows by their schema, the forms for issues, and the bill of materials that a release has.

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { scripts, version, dependencies } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  version: string;
  dependencies: Record<string, string>;
};

describe.each(readdirSync(join(root, '.github/workflows')))('the workflow %s', (file) => {
  const text = read(`.github/workflows/${file}`);

  it('fits the schema of workflows', () => {
    expect(validateWorkflow(text).errors).toEqual([]);
  });

  it('pins its actions by their major version at least, and runs scripts that there are', () => {
    const used = [...text.matchAll(/uses: (\S+)/g)].map((match) => match[1]!);
    expect(used.length).toBeGreaterThan(0);
    for (const action of used) expect(action).toMatch(/@(v\d+(\.\d+)*|[0-9a-f]{40})$/);
    for (const [, script] of text.matchAll(/npm run (?:-s )?([\w:]+)/g))
      expect(scripts).toHaveProperty([script!]);
  });

  it('has no more rights than it says', () => {
    expect(parse(text)).toHaveProperty('permissions', { contents: 'read' });
  });
});

it('a workflow that GitHub would refuse is refused here', () => {
  const text =
    'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - usess: actions/checkout@v4\n';
  expect(validateWorkflow(text).errors).not.toEqual([]);
});

it('a release is tested, has provenance, and carries its bill of materials', () => {
  const { jobs } = parse(read('.github/workflows/release.yml')) as {
    jobs: Record<string, { needs?: string; permissions?: object; steps: { run?: string }[] }>;
  };
  const { needs, permissions, steps } = jobs['publish']!;
  expect(jobs[needs!]!.steps.map(({ run }) => run)).toContain('.ci/run');
  expect(permissions).toEqual({ contents: 'write', 'id-token': 'write' });
  const runs = steps.map(({ run = '' }) => run).join('\n');
  expect(runs).toMatch(/npm publish --provenance/);
  expect(runs).toMatch(/npm run -s sbom > (\S+)[^]*gh release create .* \1/);
});

it('the bill of materials has every dependency, what is inside the package, and nothing for development', () => {
  const text = execFileSync('node', ['--import', 'tsx', 'dev/sbom.ts'], { cwd: root, encoding: 'utf8' });
  const { bomFormat, metadata, components } = JSON.parse(text) as {
    bomFormat: string;
    metadata: { component: object };
    components: { group?: string; name: string; hashes: { content: string }[]; licenses?: unknown[] }[];
  };
  expect([bomFormat, metadata.component]).toMatchObject(['CycloneDX', { name: 'waybill', version }]);
  const names = components.map(({ group, name }) => (group === undefined ? name : `${group}/${name}`));
  expect(names).toEqual(expect.arrayContaining([...Object.keys(dependencies), 'pg', 'zod', '@babel/parser']));
  for (const name of ['vitest', 'typescript', 'esbuild', 'prettier']) expect(names).not.toContain(name);
  for (const { name, hashes, licenses } of components)
    expect([name, hashes[0]?.content.length, licenses?.length]).toEqual([name, 128, 1]);
});

describe('the forms for issues', () => {
  const forms = readdirSync(join(root, '.github/ISSUE_TEMPLATE')).filter((file) => file !== 'config.yml');

  it.each(forms)('%s is complete', (file) => {
    const form = parse(read(`.github/ISSUE_TEMPLATE/${file}`)) as {
      name: string;
      description: string;
      body: { type: string; id?: string; attributes: { label?: string; value?: string } }[];
    };
    expect(Object.keys(form).toSorted()).toEqual(['body', 'description', 'labels', 'name']);
    for (const { type, attributes } of form.body) {
      expect(['markdown', 'textarea', 'input', 'dropdown', 'checkboxes']).toContain(type);
      expect(type === 'markdown' ? attributes.value : attributes.label).toMatch(/\S/);
    }
    const ids = form.body.flatMap(({ id }) => id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('leaves other questions open, and sends weaknesses elsewhere', () => {
    expect(parse(read('.github/ISSUE_TEMPLATE/config.yml'))).toMatchObject({ blank_issues_enabled: true });
    expect(read('.github/ISSUE_TEMPLATE/bug.yml')).toContain('SECURITY.md');
  });
});
