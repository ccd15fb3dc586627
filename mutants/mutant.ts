// A named mutant: one replacement in a file that breaks one invariant, and the tests that must notice it.

export type Mutant = {
  readonly name: string;
  /** Path in the repository. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
  /** What it breaks, as a sentence. The letter is that of docs/architecture.md. */
  readonly breaks: string;
  /** Test files; one of them must fail. */
  readonly tests: readonly string[];
  /** Part of the names of tests, as for `vitest -t`. Default: all tests of the files. */
  readonly only?: string;
};

/** @throws Error unless `from` occurs once in the text */
export function mutated(text: string, { name, file, from, to }: Mutant): string {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Error(
      `the mutant ${name} does not apply: ${file} has its text ${parts.length - 1} times. Change the mutant with the code.`,
    );
  return parts.join(to);
}
