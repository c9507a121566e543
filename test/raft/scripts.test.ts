/** The project's own interaction scripts; `run_scripts.ts` runs any others. */
import { expect, test } from "bun:test";
import { filesUnder, textOf } from "../support/source.ts";
import { describeDifference, runScript } from "./scripting/run.ts";

const SCRIPTS = filesUnder(["test/raft/scripts"], [".txt"]);

test.each(SCRIPTS.map((file) => [file] as const))("%s goes as it says", (file) => {
  const difference = runScript(textOf(file));
  expect(difference && describeDifference(difference)).toBe(undefined);
});
