// Packages that email needs and that are not installed. The look for aws4fetch is doubled, because it is installed here; the modules of applications
// are files in a temporary folder that throw what Node throws.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { inspectMail, inspectPackages, packageProblems } from '../../src/cli/mail-inspection.ts';
import { readConfig } from '../../src/config/config.ts';
import { loadApp } from '../../src/define/load.ts';

const absent = (): string => 'the provider ses needs it: npm install aws4fetch';

const folder = mkdtempSync(join(tmpdir(), 'waybill-packages-'));
afterAll(() => rmSync(folder, { recursive: true }));

const config = readConfig({
  DATABASE_URL: 'postgres://a@localhost/b',
  WAYBILL_EMAIL_PROVIDER: 'ses',
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx',
  AWS_REGION: 'eu-west-1',
});

it('the provider ses without aws4fetch is a finding of check and doctor, and a problem of env check', async () => {
  const message = expect.stringContaining('npm install aws4fetch') as string;
  const finding = { code: 'email_package_missing', severity: 'problem', message };
  expect(inspectPackages(config, absent)).toEqual([finding]);
  expect(await inspectMail(config, null, absent)).toEqual([finding]);
  expect(packageProblems(config, absent)).toEqual([{ variable: 'WAYBILL_EMAIL_PROVIDER', message }]);
  expect(packageProblems({ emailProviders: ['smtp'] }, absent)).toEqual([]);
});

it.each([
  ['mjml', /npm install mjml$/],
  ['@react-email/render', /npm install @react-email\/render react react-dom$/],
])('an application that lacks %s says how to add it', async (name, command) => {
  const file = join(folder, `${name.replaceAll(/\W/g, '')}.mjs`);
  writeFileSync(file, `throw Object.assign(new Error("Cannot find package '${name}' imported from x"), { code: 'ERR_MODULE_NOT_FOUND' });`);
  await expect(loadApp(file)).rejects.toMatchObject({
    code: 'email_package_missing',
    message: expect.stringMatching(command) as string,
  });
}); // prettier-ignore
