/** `v1 l2 r3 u4`: make 1 a voter, 2 a learner, remove 3, update 4. */
import type { ConfStep } from "../../../src/raft/core/types.ts";
import { numberFrom, ScriptError } from "./script.ts";

const OPERATIONS: Readonly<Record<string, ConfStep["operation"]>> = {
  v: "add-voter",
  l: "add-learner",
  r: "remove",
  u: "update",
};

export function parseConfSteps(input: readonly string[]): ConfStep[] {
  const words = input.join(" ").split(/\s+/).filter((word) => word !== "");
  return words.map((word) => {
    if (word.length < 2) throw new ScriptError(`unknown token ${word}`);
    const operation = OPERATIONS[word[0] ?? ""];
    if (operation === undefined) throw new ScriptError(`unknown input: ${word}`);
    return { operation, id: numberFrom(word.slice(1)) };
  });
}
