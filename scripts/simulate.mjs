/** `npm run simulate -- --seconds N`: simulates the Raft core on the Node of node_modules; see test/raft/simulator. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { install, root, run, runtimes } from "./install.mjs";

await run(() => {
  install();
  const file = join(root, "test/raft/simulator/main.ts");
  const flags = ["--disable-warning=ExperimentalWarning"];
  const child = spawn(runtimes.node.command, [...flags, file, ...process.argv.slice(2)], {
    cwd: root,
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
});
