// All named mutants: those of SQL and of processes, which no tool makes.

import type { Mutant } from './mutant.ts';
import { path } from './named/path.ts';
import { processes } from './named/processes.ts';
import { held } from './named/queues.ts';

export const named: readonly Mutant[] = [...path, ...held, ...processes];
