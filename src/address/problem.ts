// The problem: what is wrong with one piece of an email, as a value. The caller makes an error of it.

export type Problem = { readonly code: string; readonly message: string };

/** Characters that JSON in Postgres or, with `oneLine`, a header field cannot hold. A line break in a header begins another header. */
export function textProblem(text: string, { oneLine }: { readonly oneLine: boolean }): Problem | undefined {
  if (text.includes('\0')) return { code: 'null_character', message: 'holds U+0000, which cannot be stored' };
  if (!text.isWellFormed())
    return { code: 'invalid_unicode', message: 'holds half of a surrogate pair, which is no character' };
  if (oneLine && /[\p{Cc}\u2028\u2029]/u.test(text))
    return { code: 'control_character', message: 'holds a control character such as a line break or a tab' };
  return undefined;
}
