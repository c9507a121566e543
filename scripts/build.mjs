/**
 * `npm pack` runs this first: JavaScript and declarations into dist/, because Deno and Node refuse TypeScript in
 * node_modules. dist/index.js looks at the Node version before anything else of the package is evaluated.
 * dist/client.js is the SDK client alone, in one file without imports.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { install, root, run, tool } from "./install.mjs";

const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const nodeNeeded = engines.node.replace(">=", "");

const requireNode = `// Deno and Bun name a Node version too, but have what is needed.
const own = globalThis.process?.versions;
if (own?.node !== undefined && own.bun === undefined && !("Deno" in globalThis)) {
  const needed = "${nodeNeeded}".split(".").map(Number);
  const [major, minor] = own.node.split(".").map(Number);
  if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
    throw new Error(\`flotilla needs Node ${nodeNeeded} or later, and this is Node \${own.node}.\`);
  }
}
`;

const options = {
  compilerOptions: {
    noEmit: false,
    rewriteRelativeImportExtensions: true,
    allowImportingTsExtensions: false,
    // So that an old Node can read the package far enough to say that it is too old.
    target: "es2022",
    rootDir: ".",
    outDir: "dist",
    noUnusedLocals: false,
    noUnusedParameters: false,
  },
  extends: "./tsconfig.json",
  include: ["mod.ts", "src/client/mod.ts"],
};

await run(() => {
  install();
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const config = join(root, "tsconfig.build.json");
  writeFileSync(config, JSON.stringify(options));
  const built = spawnSync(tool("tsc"), ["-p", config], { cwd: root, stdio: "inherit" });
  rmSync(config);
  if (built.status !== 0) throw new Error("tsc found errors; nothing was packed");
  const client = join(root, "dist", "client.js");
  const bundled = spawnSync(tool("bun"), [join(root, "scripts/client_bundle.mjs"), client], {
    stdio: "inherit",
  });
  if (bundled.status !== 0) throw new Error("the client could not be bundled; nothing was packed");
  writeFileSync(join(root, "dist", "require-node.js"), requireNode);
  writeFileSync(join(root, "dist", "index.js"), 'import "./require-node.js";\nexport * from "./mod.js";\n');
  return process.exitCode ?? 0;
});
