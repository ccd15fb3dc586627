// `npm run sbom`: the bill of materials of the package, in CycloneDX's JSON, on stdout. It has what cyclonedx-npm finds in the lockfile, without packages
// for development, and @babel/parser, which is inside the package (dev/inline.ts). Each has the hash that the lockfile holds.
// `npm sbom --omit dev` of npm 11.19 is not used: it left out pg, nodemailer and pg-protocol, on which development packages depend too.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

type Component = {
  readonly name: string;
  readonly version: string;
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
};
type Locked = { readonly version: string; readonly integrity: string; readonly license: string };

const tool = ['@cyclonedx/cyclonedx-npm@6.0.1', '--', 'cyclonedx-npm'];
const options = ['--package-lock-only', '--omit', 'dev', '--mc-type', 'library', '--output-reproducible'];
const text = execFileSync('npm', ['exec', '--yes', '--omit=optional', '--package', ...tool, ...options], {
  encoding: 'utf8',
  maxBuffer: 67_108_864,
});
const bill = JSON.parse(text) as { readonly components: readonly Component[] };
const lockfile = new URL('../package-lock.json', import.meta.url);
const { packages } = JSON.parse(readFileSync(lockfile, 'utf8')) as { packages: Record<string, Locked> };

function hashed(component: Component): Component {
  const path = component.properties?.find(({ name }) => name === 'cdx:npm:package:path')?.value ?? '';
  const content = Buffer.from(packages[path]?.integrity.replace(/^sha512-/, '') ?? '', 'base64').toString(
    'hex',
  );
  return { ...component, hashes: [{ alg: 'SHA-512', content }] };
}

const parser = packages['node_modules/@babel/parser']!;
const inside: Component = {
  type: 'library',
  group: '@babel',
  name: 'parser',
  version: parser.version,
  'bom-ref': `@babel/parser@${parser.version}`,
  licenses: [{ license: { id: parser.license } }],
  purl: `pkg:npm/%40babel/parser@${parser.version}`,
  properties: [{ name: 'cdx:npm:package:path', value: 'node_modules/@babel/parser' }],
};
const components = [...bill.components, inside].map(hashed);
process.stdout.write(`${JSON.stringify({ ...bill, components }, null, 2)}\n`);
