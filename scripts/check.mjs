/** `npm run check`: types, lint, format and the rules of the house. `npm run format` formats instead. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { install, root, run, tool } from "./install.mjs";
import { TEST_TIMEOUT_MS } from "./runner.mjs";

/** What is formatted and linted; only what exists is named. */
const PLACES = ["mod.ts", "src", "transports", "test", "examples", "bench", "scripts", "docs"];
const PAPERS = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "deno.json",
  "package.json",
  "tsconfig.json",
];

const RULES = ["./test/house/imports.test.ts", "./test/house/source.test.ts"];

const there = (names) => names.filter((name) => existsSync(join(root, name)));

function step(name, command, args) {
  process.stdout.write(`${name}\n`);
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { name, isGood: done.status === 0 };
}

await run(() => {
  install();
  const deno = tool("deno");
  if (process.argv.includes("--format")) {
    return step("format", deno, ["fmt", "--quiet", ...there([...PLACES, ...PAPERS])]).isGood ? 0 : 1;
  }
  const done = [
    step("types", tool("tsc"), []),
    step("lint", deno, ["lint", "--quiet", ...there(PLACES)]),
    step("format", deno, ["fmt", "--check", "--quiet", ...there([...PLACES, ...PAPERS])]),
    step("rules", tool("bun"), ["test", `--timeout=${TEST_TIMEOUT_MS}`, ...RULES]),
  ];
  const failed = done.filter(({ isGood }) => !isGood).map(({ name }) => name);
  process.stdout.write(failed.length === 0 ? "all is well\n" : `failed: ${failed.join(", ")}\n`);
  return failed.length === 0 ? 0 : 1;
});
