// Registers tsx for the application's module, so that enums, decorators and tsconfig.json path aliases work.
// Only the compiled package needs this import; a process that runs the sources has a loader already.

import { register as registerCommonJs } from 'tsx/cjs/api';
import { register as registerModules } from 'tsx/esm/api';

registerCommonJs();
registerModules();
