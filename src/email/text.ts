// Schemas for the texts of an email: one line, or several.

import { z } from 'zod';
import { textProblem, type Problem } from '../address/problem.ts';

type Issue = { code: 'custom'; message: string; params: { code: string }; path: (string | number)[] };
type Refuse = { addIssue(issue: Issue): void };

/** Reports a problem as a zod issue with its code. @param path of the part that is wrong */
export function refuse(ctx: Refuse, { code, message }: Problem, path: (string | number)[] = []): void {
  ctx.addIssue({ code: 'custom', message, params: { code }, path });
}

/** html and text. Never an object, because a mail library could read the file that it names (FACTS 17). */
export const bodyText = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: false });
  if (problem) refuse(ctx, problem);
});

export const line = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: true });
  if (problem) refuse(ctx, problem);
});

type Check = { readonly code: string; readonly problemOf: (text: string) => string | undefined };

/** Refuses a text with the code when it has a problem. */
export function checked(schema: z.ZodString, { code, problemOf }: Check): z.ZodString {
  return schema.superRefine((text, ctx) => {
    const message = problemOf(text);
    if (message !== undefined) refuse(ctx, { code, message });
  });
}
