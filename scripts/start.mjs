/** `npm start -- [options]`: runs examples/start.ts on the Node of node_modules; its exit code is ours. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { install, root, run, runtimes } from "./install.mjs";

/** A terminal's Ctrl-C also reaches npm, which passes it on: within this time it is the same one. */
const SAME_SIGNAL_MS = 500;

await run(() => {
  install();
  const child = spawn(
    runtimes.node.command,
    ["--disable-warning=ExperimentalWarning", join(root, "examples", "start.ts"), ...process.argv.slice(2)],
    { stdio: "inherit" },
  );
  let passedOnAt = -Infinity;
  const passOn = (signal) => {
    // A terminal sends Ctrl-C to the whole foreground group, so the child has its own already.
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    if (performance.now() - passedOnAt < SAME_SIGNAL_MS) return;
    passedOnAt = performance.now();
    child.kill(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => passOn(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
});
