/** Ways to change one answer of a good history so that it cannot be good any more, whatever else happened. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import type { Answer, Operation } from "./operation.ts";

/** An operation of the history and the answer it gets instead. */
interface Change {
  readonly operation: Operation;
  readonly answer: Answer;
}

export const SPOILERS: Readonly<
  Record<string, (random: Random, history: readonly Operation[]) => Change | undefined>
> = {
  "a read of what had been replaced before its call": (random, history) =>
    oneOf(random, history, (operation) => {
      if (operation.answer?.kind !== "found") return undefined;
      const [newer, older] = doneBefore(history, operation).filter(({ key }) => key === operation.key)
        .toSorted((a, b) => revisionOf(b) - revisionOf(a)).filter(({ call }) => "value" in call);
      if (newer === undefined || older === undefined || !("value" in older.call)) return undefined;
      return { kind: "found", value: older.call.value, revision: revisionOf(older) };
    }),
  "a read of a refused write": (random, history) =>
    oneOf(random, history, ({ key, answer }) => {
      if (answer?.kind !== "found") return undefined;
      const refused = history.find((each) =>
        each.key === key && each.answer?.kind === "refused" && "value" in each.call
      );
      if (refused === undefined || !("value" in refused.call)) return undefined;
      return { kind: "found", value: refused.call.value, revision: undefined };
    }),
  "two writes of one revision": (random, history) => {
    const done = history.filter(({ answer }) => answer?.kind === "done");
    const from = done[randomBelow(random, done.length)];
    return oneOf(
      random,
      done,
      (operation) =>
        from === undefined || from === operation ? undefined : { kind: "done", revision: revisionOf(from) },
    );
  },
  "a write that gets an earlier revision than one that had returned before its call": (random, history) =>
    oneOf(random, history, (operation) => {
      const newest = Math.max(0, ...doneBefore(history, operation).map(revisionOf));
      // A half is nobody's revision.
      return operation.answer?.kind !== "done" || newest === 0
        ? undefined
        : { kind: "done", revision: newest - 0.5 };
    }),
  "a compare-and-set that succeeds although its key had changed before its call": (random, history) =>
    oneOf(random, history, (operation) => {
      const { key, call } = operation;
      if (call.kind !== "compare-and-set" || operation.answer?.kind !== "conflict") return undefined;
      const changed = doneBefore(history, operation).some((each) =>
        each.key === key && revisionOf(each) > call.expected
      );
      const revision = Math.max(...history.map(revisionOf)) + 1;
      return changed && call.expected > 0 ? { kind: "done", revision } : undefined;
    }),
};

/** The history with one answer changed by `spoiler`; undefined when it has no place for that. */
export function spoilt(
  spoiler: keyof typeof SPOILERS,
  random: Random,
  history: readonly Operation[],
): Operation[] | undefined {
  const change = SPOILERS[spoiler]?.(random, history);
  if (change === undefined) return undefined;
  return history.map((each) => each === change.operation ? { ...each, answer: change.answer } : each);
}

function revisionOf({ answer }: Operation): number {
  return answer?.kind === "done" ? answer.revision ?? 0 : 0;
}

function doneBefore(history: readonly Operation[], { calledAt }: Operation): Operation[] {
  return history.filter(({ answer, returnedAt }) =>
    answer?.kind === "done" && returnedAt !== undefined && returnedAt < calledAt
  );
}

/** From a random place on, the first operation for which there is another answer. */
function oneOf(
  random: Random,
  history: readonly Operation[],
  answerFor: (operation: Operation) => Answer | undefined,
): Change | undefined {
  const start = randomBelow(random, history.length);
  for (const operation of [...history.slice(start), ...history.slice(0, start)]) {
    const answer = answerFor(operation);
    if (answer !== undefined) return { operation, answer };
  }
  return undefined;
}
