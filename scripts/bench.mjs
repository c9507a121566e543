/** `npm run bench -- NAME [options]`: runs bench/NAME/main.ts, or bench/NAME.ts, on the Node of node_modules. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { install, root, run, runtimes } from "./install.mjs";

const places = (name) => [`bench/${name}/main.ts`, `bench/${name}.ts`];
const fileOf = (name) => places(name).find((file) => existsSync(join(root, file)));

function names() {
  return readdirSync(join(root, "bench")).map((entry) => entry.replace(/\.ts$/, "")).filter(fileOf);
}

await run(() => {
  const [name = "", ...options] = process.argv.slice(2);
  const file = /^\w+$/.test(name) ? fileOf(name) : undefined;
  if (file === undefined) throw new Error(`npm run bench -- NAME: NAME is one of ${names().join(", ")}`);
  install();
  const flags = ["--disable-warning=ExperimentalWarning", "--expose-gc"];
  const child = spawn(runtimes.node.command, [...flags, file, ...options], { cwd: root, stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
});
