// The answer of an endpoint as it is shown: its status and its time, and its text without secrets and without the path of the url.

import type { Milliseconds } from '../ports.ts';
import type { Answer } from './response.ts';

const shownChars = 1_024;
const prefix = 'whsec_';

/**
 * An endpoint may repeat what it got. The text is one line, so that it cannot look like more than the answer.
 * @param secrets to be hidden: secrets, and what pathsOf returns; null: the payload is sensitive, so nothing of the text is kept
 */
export function answerText(
  { status, text, location }: Answer,
  ms: Milliseconds,
  secrets: readonly string[] | null,
): string {
  const hidden =
    secrets === null ? '' : formsOf(secrets).reduce((left, one) => left.replaceAll(one, '…'), text);
  const shown = hidden.replace(/\s+/g, ' ').trim().slice(0, shownChars).toWellFormed();
  const redirect = location === undefined ? '' : `, a redirect to ${location}, which is not followed`;
  return `${status} in ${ms} ms${redirect}${shown === '' ? '' : `: ${shown}`}`;
}

/** A secret as it is, without its prefix, as JSON of other languages and HTML have it, and in a URL. The longer forms come first. */
function formsOf(secrets: readonly string[]): readonly string[] {
  const forms = secrets
    .flatMap((secret) => (secret.startsWith(prefix) ? [secret, secret.slice(prefix.length)] : [secret]))
    .flatMap((form) => [
      form.replaceAll('/', '\\/'),
      encodeURIComponent(form),
      form.replaceAll('&', '&amp;'),
      form,
      form.replace(/={1,2}$/, ''),
    ]);
  return [...new Set(forms)].filter(({ length }) => length > 1).toSorted((a, b) => b.length - a.length);
}

/** Shorter parts of a path are words, such as the version of an API. */
const shortestToken = 12;

/** The path of a url and its parts that may be a token: a receiver repeats it, such as with "Cannot POST /hooks/T0KEN". */
export function pathsOf({ pathname, search, searchParams }: URL): readonly string[] {
  const tokens = [...pathname.split('/'), ...searchParams.values()].filter(
    (one) => one.length >= shortestToken,
  );
  const paths = [`${pathname}${search}`, pathname, search].filter((one) => one.length > 1);
  return [...paths, ...tokens].flatMap((one) => [one, decoded(one)]);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
