#!/usr/bin/env node
// The command line: `waybill COMMAND`.

import '../node-version.ts';
import { runCommand } from './program.ts';

await runCommand(process.argv);
