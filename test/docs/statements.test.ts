import { expect, it } from 'vitest';
import { statements } from '../support/statements.ts';

it('the texts of the statements stand in docs/statements.sql, so that a review sees the SQL', async () => {
  const dedent = (sql: string): string => {
    const lines = sql.split('\n').filter((line) => line.trim() !== '');
    const margin = Math.min(...lines.slice(1).map((line) => /^ */.exec(line)![0].length));
    return lines.map((line, i) => (i === 0 ? line.trim() : line.slice(margin))).join('\n');
  };
  const text = Object.entries(statements).map(([name, { sql }]) => `-- ${name}\n${dedent(sql)};\n`);
  await expect(text.join('\n')).toMatchFileSnapshot('../../docs/statements.sql');
});
