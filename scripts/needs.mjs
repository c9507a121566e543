/** Installs the programs that tests need, once before they run: Debian's packages, where that is possible. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root } from "./install.mjs";

/**
 * A test file that imports one of `supports` needs the program, which is in the Debian package of the same name;
 * `at` says where it is, if it cannot be asked for its version; `named` is the environment variable that may name
 * another one. `--without-...` skips what needs it.
 */
const NEEDS = [
  {
    supports: ["support/rabbitmq.ts", "support/broker_ways.ts"],
    program: "rabbitmq-server",
    at: "/usr/lib/rabbitmq/bin/rabbitmq-server",
    kind: "brokers",
  },
  {
    supports: ["support/redis.ts", "support/broker_ways.ts"],
    program: "redis-server",
    kind: "brokers",
  },
  { supports: ["support/browser.ts"], program: "chromium", named: "CHROMIUM_PATH", kind: "browser" },
];

/** How tests hear what is to be skipped. */
const VARIABLES = { brokers: "FLOTILLA_WITHOUT_BROKERS", browser: "FLOTILLA_WITHOUT_BROWSER" };

/** The options `--without-...`, for parseArgs. */
export const withoutOptions = Object.fromEntries(
  Object.keys(VARIABLES).map((kind) => [`without-${kind}`, { type: "boolean", default: false }]),
);

/** The kinds that `values` of those options leave out. */
export const leftOut = (values) => Object.keys(VARIABLES).filter((kind) => values[`without-${kind}`]);

/** The environment in which tests skip what needs `kinds`. */
export const withoutEnv = (kinds) => Object.fromEntries(kinds.map((kind) => [VARIABLES[kind], "1"]));

const runs = (program) => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;

const imports = (file, supports) => {
  const text = readFileSync(join(root, file), "utf8");
  return supports.some((support) => text.includes(`/${support}"`));
};

/** Makes sure that what `files` need is there, but for the kinds `without`. Throws an Error for people to read. */
export function installNeeded(files, without = []) {
  for (const { supports, program, at, named, kind } of NEEDS) {
    const isThere = () => at === undefined ? runs(program) : existsSync(at);
    if (without.includes(kind) || !files.some((file) => imports(file, supports))) continue;
    const skip = `skip what needs it: npm test -- --without-${kind}`;
    const other = named === undefined ? undefined : process.env[named];
    if (other !== undefined) {
      if (runs(other)) continue;
      throw new Error(`${named} names ${other}, which does not run; unset it, or ${skip}`);
    }
    if (isThere()) continue;
    const install = `apt-get update && apt-get install -y --no-install-recommends ${program}`;
    if (process.getuid?.() === 0) {
      process.stderr.write(`installing ${program} ...\n`);
      spawnSync("sh", ["-c", install], { stdio: ["ignore", "ignore", "inherit"], timeout: 600_000 });
      if (isThere()) continue;
    }
    const name = named === undefined ? "" : ` or name one that is there by ${named};`;
    throw new Error(
      `the tests need ${program}, and it could not be installed: as root, ${install};${name} or ${skip}`,
    );
  }
}
