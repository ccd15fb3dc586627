// tsx for the application's module: enums, decorators and the path aliases of its tsconfig.json work. It is on from the first
// import of this module, and an import happens once. Only the compiled package needs it: who runs these sources has a loader already.

import { register as registerCommonJs } from 'tsx/cjs/api';
import { register as registerModules } from 'tsx/esm/api';

registerCommonJs();
registerModules();
