// The check of Node's version, imported first by everything that users import or run, so that an old Node gets a clear message.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 12))
  throw new Error(
    `Waybill needs Node 22.12 or later (package.json, engines); this is Node ${process.versions.node}. Install a newer Node, or put one beside your project: npm install --save-dev node@24`,
  );
