// The address of the repository: links to files outside of docs/ lead there.

export type Manifest = {
  readonly version: string;
  readonly description: string;
  readonly repository?: string | { readonly url: string };
};

/**
 * @param manifest the root's package.json
 * @param env of the build; GitHub's runners set GITHUB_SERVER_URL and GITHUB_REPOSITORY; DOCS_PUBLISH is set where the site is published
 * @returns an https address without a slash at its end, or undefined when none is known
 * @throws Error when the site is to be published and no address is known
 */
export function repositoryOf(
  manifest: Manifest,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { repository } = manifest;
  const written = typeof repository === 'string' ? repository : repository?.url;
  if (written !== undefined)
    return written
      .replace(/^github:/, 'https://github.com/')
      .replace(/^git\+/, '')
      .replace(/\.git$|\/$/, '');
  if (env.GITHUB_SERVER_URL && env.GITHUB_REPOSITORY)
    return `${env.GITHUB_SERVER_URL}/${env.GITHUB_REPOSITORY}`;
  if (env.DOCS_PUBLISH)
    throw new Error(
      'DOCS_PUBLISH: the address of the repository is not known, and links to its files would lead nowhere. Set "repository" in package.json',
    );
  return undefined;
}
