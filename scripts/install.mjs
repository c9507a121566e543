/**
 * Makes sure that the packages of package-lock.json are in node_modules and that the three runtimes run.
 * Plain JavaScript for whatever Node is at hand (20 or later); everything else runs on what is installed here.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

const bin = (name) => join(root, "node_modules", ".bin", name);

/** The three runtimes, in the order of reports: the command and how to ask it for its version. */
export const runtimes = {
  bun: { command: bin("bun"), versionArgs: ["--version"] },
  deno: { command: bin("deno"), versionArgs: ["eval", "console.log(Deno.version.deno)"] },
  node: { command: bin("node"), versionArgs: ["--version"] },
};

/** The command of a tool from node_modules. */
export const tool = bin;

function versionIn(folder) {
  try {
    return JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

/** Packages of the lock file that are absent or of another version. Platform packages are npm's to choose. */
function outdated() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([folder, entry]) => folder !== "" && !entry.optional && versionIn(folder) !== entry.version)
    .map(([folder]) => folder);
}

function npm(args) {
  const done = spawnSync("npm", [...args, "--no-audit", "--no-fund"], {
    cwd: root,
    encoding: "utf8",
    timeout: 600_000,
  });
  return { ok: done.status === 0, output: `${done.stdout ?? ""}${done.stderr ?? ""}${done.error ?? ""}` };
}

/** The version of each runtime, asked from itself: `{ bun: "1.4.5", ... }`; throws when one does not run. */
export function runtimeVersions() {
  const versions = {};
  for (const [name, { command, versionArgs }] of Object.entries(runtimes)) {
    const asked = spawnSync(command, versionArgs, { encoding: "utf8", timeout: 60_000 });
    if (asked.status !== 0) {
      const why = asked.error?.message ?? (asked.stderr ?? "").trim().split("\n")[0];
      throw new Error(
        `${name} from node_modules does not run: ${why}. Its package installs its program by a script, so ` +
          "npm must be allowed to run scripts (no --ignore-scripts); then run: npm ci",
      );
    }
    versions[name] = asked.stdout.trim().replace(/^v/, "");
  }
  return versions;
}

/** Installs what is missing and returns the runtimes' versions. Throws an Error for people to read. */
export function install() {
  const missing = outdated();
  if (missing.length > 0) {
    process.stderr.write(`installing ${missing.length} npm packages ...\n`);
    const clean = npm(["ci"]);
    if (!clean.ok) {
      process.stderr.write("npm ci failed, trying npm install ...\n");
      const loose = npm(["install", "--no-save"]);
      if (!loose.ok) throw new Error(`npm could not install the packages:\n${clean.output}\n${loose.output}`);
    }
  }
  return runtimeVersions();
}

/** Runs `main` and exits with the code it resolves with; an error becomes one readable message and 1. */
export async function run(main) {
  try {
    process.exitCode = await main();
  } catch (thrown) {
    process.stderr.write(`${thrown instanceof Error ? thrown.message : thrown}\n`);
    process.exitCode = 1;
  }
}
