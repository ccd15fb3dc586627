// The anchor of a heading, as GitHub makes it: the site uses the same, so that a link holds at both places.

/** @param heading its text without markup */
export function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
