/** Installs the servers that tests need, once before they run: Debian's packages, where that is possible. */
import { spawnSync } from "node:child_process";
import process from "node:process";

/** Test files under these folders need the server; its program is in the Debian package of the same name. */
const NEEDED = [{ folder: "test/raft/redis/", program: "redis-server" }];

function isThere(program) {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Makes sure that what `files` need is there. Throws an Error for people to read. */
export function installBrokers(files) {
  for (const { folder, program } of NEEDED) {
    if (!files.some((file) => file.startsWith(folder)) || isThere(program)) continue;
    const install = `apt-get update && apt-get install -y --no-install-recommends ${program}`;
    if (process.getuid?.() === 0) {
      process.stderr.write(`installing ${program} ...\n`);
      spawnSync("sh", ["-c", install], { stdio: ["ignore", "ignore", "inherit"], timeout: 600_000 });
      if (isThere(program)) continue;
    }
    throw new Error(
      `the tests need ${program}, and it could not be installed: as root, ${install}; or skip what needs it: ` +
        "npm test -- --without-brokers",
    );
  }
}
