// Texts of an email as schemas: one line, or any lines.

import { z } from 'zod';
import { textProblem, type Problem } from '../address/problem.ts';

type Refuse = { addIssue(issue: { code: 'custom'; message: string; params: { code: string } }): void };

/** Reports a problem as a zod issue that carries our code. */
export function refuse(ctx: Refuse, { code, message }: Problem): void {
  ctx.addIssue({ code: 'custom', message, params: { code } });
}

/** html and text: any lines. Never an object, which a mail library would take for a file to read (FACTS 17). */
export const bodyText = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: false });
  if (problem) refuse(ctx, problem);
});

export const line = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: true });
  if (problem) refuse(ctx, problem);
});
