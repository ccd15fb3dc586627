// Includes of MJML. The package is doubled, because mjml 4 reads files by default and only mjml 5 is installed: what it is given decides.

import { expect, it, vi } from 'vitest';
import { renderMjml } from '../../src/mjml.ts';

const given = vi.hoisted((): unknown[] => []);
vi.mock('mjml', () => ({
  default: (_: string, options: unknown) => {
    given.push(options);
    return { html: '<p>a</p>', errors: [] };
  },
}));

it('no file is read for <mj-include>, unless the author says so', async () => {
  await renderMjml('<mjml></mjml>');
  await renderMjml('<mjml></mjml>', { mjml: { ignoreIncludes: false } });
  expect(given).toMatchObject([
    { ignoreIncludes: true, validationLevel: 'strict' },
    { ignoreIncludes: false },
  ]);
});
