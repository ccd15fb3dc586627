// The last step of the build: writes the texts of the migrations into dist/db/migration-text.js, and those of the console's style and script into
// dist/console/asset-text.js. Both must work in an application that was bundled into one file, without these files beside it.
// It also puts @babel/parser into dist/scaffold/parser.js, with its licence, so that it is nobody's dependency.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { assetText, type AssetName } from '../src/console/asset-text.ts';
import { migrationText } from '../src/db/migration-text.ts';

const names = readdirSync(new URL('../sql/', import.meta.url)).toSorted();
const texts = Object.fromEntries(names.map((name) => [name, migrationText(name)]));

writeFileSync(
  new URL('../dist/db/migration-text.js', import.meta.url),
  `// Made by the build from sql/.
const texts = ${JSON.stringify(texts, null, 2)};

export function migrationText(file) {
  return texts[file];
}
`,
);

const assets: Readonly<Record<AssetName, string>> = {
  'console.css': assetText('console.css'),
  'console.js': assetText('console.js'),
  'live.js': assetText('live.js'),
};

writeFileSync(
  new URL('../dist/console/asset-text.js', import.meta.url),
  `// Made by the build from src/console/assets/.
const texts = ${JSON.stringify(assets, null, 2)};

export function assetText(name) {
  return texts[name];
}
`,
);

const parser = dirname(createRequire(import.meta.url).resolve('@babel/parser/package.json'));
const { version } = JSON.parse(readFileSync(join(parser, 'package.json'), 'utf8')) as { version: string };
const licence = readFileSync(join(parser, 'LICENSE'), 'utf8').trim();
const bundled = fileURLToPath(new URL('../dist/scaffold/parser.js', import.meta.url));
buildSync({
  entryPoints: [bundled],
  outfile: bundled,
  allowOverwrite: true,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  minifySyntax: true,
  minifyWhitespace: true,
  banner: { js: `/*! It contains @babel/parser ${version}.\n\n${licence}\n*/` },
  logLevel: 'warning',
});
