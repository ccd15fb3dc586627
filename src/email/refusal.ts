// Turns zod's issues about an email into one WaybillError with a path for each problem.

import type { z } from 'zod';
import type { Problem } from '../address/problem.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';

/** Limits the answer: ten thousand wrong recipients would fill megabytes. */
const mostIssues = 100;

/** The known fields of the object at a path. */
type FieldsAt = (path: string) => readonly string[];

type Issue = Problem & { readonly path: string };

/** An unknown field comes first, because it often explains the other issues (`too` for `to`). */
export function refusal(found: readonly z.core.$ZodIssue[], fieldsAt: FieldsAt): WaybillError {
  const issues = found
    .slice(0, mostIssues)
    .flatMap((issue) => explain(issue, fieldsAt))
    .slice(0, mostIssues);
  const first = issues.find(({ code }) => code === 'unknown_field') ?? issues[0]!;
  const message = `the email is not valid: ${first.path === '' ? '' : `${first.path}: `}${first.message}`;
  return new WaybillError(
    first.code,
    message,
    issues.map(({ path, message: text }) => ({ path, message: text })),
  );
}

function explain(issue: z.core.$ZodIssue, fieldsAt: FieldsAt): Issue[] {
  const path = issue.path.reduce<string>(
    (text, key) => text + (typeof key === 'number' ? `[${key}]` : `${text && '.'}${String(key)}`),
    '',
  );
  switch (issue.code) {
    case 'custom':
      return [{ code: (issue.params as { code: string }).code, path, message: issue.message }];
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownField(path, key, fieldsAt(path)));
    case 'invalid_key':
      return issue.issues.flatMap((inner) => explain(inner, fieldsAt)).map((inner) => ({ ...inner, path }));
    case 'invalid_type':
      if (path === 'subject' && issue.input === undefined)
        return [{ code: 'subject_required', path, message: 'is missing' }];
      return [{ code: `must_be_${issue.expected}`, path, message: `must be ${article(issue.expected)}` }];
    default:
      return [{ code: 'invalid_email', path, message: issue.message }];
  }
}

function unknownField(path: string, key: string, known: readonly string[]): Issue {
  const shown = key.toWellFormed().replaceAll('\0', '\u2400').slice(0, 80);
  const meant = nearest(shown, known);
  const hint = meant ? `; was ${meant} meant?` : `; the fields are ${known.join(', ')}`;
  return {
    code: 'unknown_field',
    path: path === '' ? shown : `${path}.${shown}`,
    message: `is no field of an email${hint}`,
  };
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
