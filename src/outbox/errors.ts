// The error that callers see: src/errors.ts, under the name by which most files know it.

export { isWaybillError, WaybillError } from '../errors.ts';
