// Preloaded into a process: which of our functions run between two signals. Each SIGUSR2 writes what ran since the one before to
// PATH_COVERAGE.<number>; the first one begins to count. V8's precise coverage (inspector protocol, Profiler.startPreciseCoverage).

import { renameSync, writeFileSync } from 'node:fs';
import inspector from 'node:inspector';

const session = new inspector.Session();
session.connect();

/** The commands that are used here answer before `post` returns. */
function post(method, params) {
  let answer;
  session.post(method, params, (error, result) => {
    if (error) throw error;
    answer = result;
  });
  return answer;
}

const pathOf = (url) => /\/src\/(.*\.ts)(?:\?.*)?$/.exec(url)?.[1];

function ran() {
  const { result } = post('Profiler.takePreciseCoverage');
  return result.flatMap(({ url, functions }) => {
    const path = pathOf(url);
    if (path === undefined) return [];
    // The nameless function of a module is its loading. `__name` is the compiler's.
    return functions
      .filter(({ functionName, ranges }) => !['', '__name'].includes(functionName) && ranges[0].count > 0)
      .map(({ functionName }) => `${path} ${functionName}`);
  });
}

let written = -1;
process.on('SIGUSR2', () => {
  written += 1;
  if (written === 0) {
    post('Profiler.enable');
    post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  }
  const file = `${process.env.PATH_COVERAGE}.${written}`;
  writeFileSync(`${file}.part`, JSON.stringify(ran()));
  renameSync(`${file}.part`, file);
});
