// Reads what Resend says in its answers (resend.com/docs/api-reference/errors).

import { z } from 'zod';
import { jsonOf, refusalOf, type Answer, type Said, type Told } from '../api/answer.ts';

export const taken = z.object({ id: z.string().regex(/^[\x21-\x7e]{1,200}$/) });
const refused = z.object({
  name: z
    .string()
    .regex(/^[a-z_]{1,64}$/)
    .optional()
    .catch(undefined),
  message: z.string().optional().catch(undefined),
});

/** Resend's id of the accepted email; undefined for any other answer. */
export function takenId(answer: Answer): string | undefined {
  return taken.safeParse(jsonOf(answer)).data?.id;
}

function saidBy(answer: Answer): Said {
  const { name: code, message } = refused.safeParse(jsonOf(answer)).data ?? {};
  return { code, message };
}

export const resendRefusal = (answer: Answer): Told => refusalOf(answer, saidBy(answer));
