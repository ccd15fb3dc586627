// The first import of everything that users import or run: on a Node that is too old, one sentence instead of an error from the depths.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 12))
  throw new Error(
    `Waybill needs Node 22.12 or later (package.json, engines); this is Node ${process.versions.node}. Install a newer Node, or put one beside your project: npm install --save-dev node@24`,
  );
