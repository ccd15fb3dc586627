// The OpenTelemetry API, if the application has it. It is an optional peer. A static import would end every process without it, and under Yarn's
// Plug'n'Play also one that does not declare it.

import type * as OpenTelemetry from '@opentelemetry/api';
import { loadPackage } from '../packages.ts';

export type Api = typeof OpenTelemetry;

/** Undefined if the package is not installed. All copies share one registry, so an SDK that loaded another copy is found too. */
export const api: Api | undefined = loadPackage<Api>('@opentelemetry/api');
