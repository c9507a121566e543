/**
 * Whether a history of calls to the replicated map is linearizable: whether each operation can have taken effect at
 * one moment between its call and its return, all of them as on a single map. A map is linearizable when each of its
 * keys is (Herlihy and Wing), so each key is searched for itself; what ties the keys together are the revisions.
 */
import { type Interval, intervalsOf } from "./intervals.ts";
import { type Operation, operationText } from "./operation.ts";
import { registerText } from "./register.ts";
import { type DeadEnd, search } from "./search.ts";

export type { Answer, Call, Operation } from "./operation.ts";

export type Verdict =
  | { readonly ok: true; readonly states: number }
  /** `why` is for people: the longest linearizable prefix, and what cannot follow it. */
  | { readonly ok: false; readonly key: string; readonly why: string }
  | { readonly ok: "gave-up"; readonly key: string; readonly states: number };

/** Each may hold a few hundred bytes. */
const STATES_MAX = 500_000;
/** How much of a linearizable prefix is shown. */
const SHOWN_OPERATIONS = 12;

/** `history`: in no order, from an empty map on; every value in it is written once. `statesMax`: for each key. */
export function checkLinearizable(history: readonly Operation[], statesMax: number = STATES_MAX): Verdict {
  const found = intervalsOf(history);
  if ("why" in found) return { ok: false, ...found };
  let states = 0;
  let gaveUp: string | undefined;
  for (const [key, intervals] of Map.groupBy(found.intervals, ({ operation }) => operation.key)) {
    const result = search(intervals, statesMax);
    states += result.states;
    if (result.outcome === "not-linearizable") return { ok: false, key, why: whyOf(result.deadEnd) };
    // Another key may still show that it is wrong.
    if (result.outcome === "gave-up") gaveUp ??= key;
  }
  return gaveUp === undefined ? { ok: true, states } : { ok: "gave-up", key: gaveUp, states };
}

/** For tests: throws, with all that is known for people to read, unless `history` is linearizable. */
export function expectLinearizable(history: readonly Operation[]): void {
  const verdict = checkLinearizable(history);
  if (verdict.ok === true) return;
  const { key } = verdict;
  throw new Error(
    verdict.ok === false
      ? `not linearizable, key ${key}: ${verdict.why}`
      : `whether key ${key} is linearizable was not found out in ${verdict.states} states`,
  );
}

function whyOf(deadEnd: DeadEnd | undefined): string {
  if (deadEnd === undefined) return "nothing can come first";
  const { taken, register, blocked } = deadEnd;
  const lines = (intervals: readonly Interval[]): string[] =>
    intervals.map(({ operation }) => `  ${operationText(operation)}`);
  return [
    `${taken.length} operations can stand in this order; the last of them:`,
    ...lines(taken.slice(-SHOWN_OPERATIONS)),
    `then the key is ${registerText(register)}, and none of these can follow:`,
    ...lines(blocked),
  ].join("\n");
}
