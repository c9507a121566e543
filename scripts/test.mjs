/**
 * `npm test`: every test on Bun, Deno and Node. The last line is `N passed, N failed`, over all three.
 *   --only TEXT          files whose path contains TEXT (may be repeated)
 *   --runtime NAME       bun, deno or node only (may be repeated)
 *   --without-brokers    skip what needs Redis or RabbitMQ; skips are counted
 *   --without-browser    skip what needs a browser; skips are counted
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { install, run, runtimes } from "./install.mjs";
import { installNeeded, leftOut, withoutEnv, withoutOptions } from "./needs.mjs";
import { sayFile, sumUp } from "./report.mjs";
import { isMixed, runFiles, stopOnSignals, testFiles } from "./runner.mjs";

stopOnSignals();

await run(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      runtime: { type: "string", multiple: true, default: Object.keys(runtimes) },
      ...withoutOptions,
    },
  });
  const unknown = values.runtime.find((name) => !(name in runtimes));
  if (unknown !== undefined) throw new Error(`--runtime ${unknown}: must be bun, deno or node`);
  const wanted = (file) => values.only.length === 0 || values.only.some((text) => file.includes(text));
  const files = testFiles().filter(wanted).filter((file) =>
    !isMixed(file) || values.runtime.includes("node")
  );
  if (files.length === 0) {
    throw new Error(`--only ${values.only.join(" ")}: no test file has that in its path`);
  }
  const versions = install();
  const without = leftOut(values);
  installNeeded(files, without);
  process.stdout.write(
    values.runtime.map((name) => `${name} ${versions[name]}`).join(", ") + `: ${files.length} test files\n`,
  );
  const results = await runFiles(files, values.runtime, {
    env: withoutEnv(without),
    onFile: sayFile,
  });
  const expected = files.some((file) => !isMixed(file)) ? values.runtime : ["node"];
  const { passed, failed, skipped } = sumUp(results, values.runtime, expected);
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
});
