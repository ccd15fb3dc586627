// Schemas for the texts of an email: one line, or several.

import { z } from 'zod';
import { textProblem, type Problem } from '../address/problem.ts';

type Refuse = { addIssue(issue: { code: 'custom'; message: string; params: { code: string } }): void };

/** Reports a problem as a zod issue with its code. */
export function refuse(ctx: Refuse, { code, message }: Problem): void {
  ctx.addIssue({ code: 'custom', message, params: { code } });
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
