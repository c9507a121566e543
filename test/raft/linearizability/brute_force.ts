/**
 * The definition itself, for tiny histories: every order of the operations that respects time, with every revision
 * that an untold write may have had, played on one plain map. Shares no code with the checker that it is to check.
 */
import type { Operation } from "./operation.ts";

type Entries = ReadonlyMap<string, { readonly value: string; readonly revision: number }>;

export function bruteForce(history: readonly Operation[]): boolean {
  const revisions = history.flatMap(({ answer, call }) => [
    answer !== undefined && "revision" in answer ? answer.revision ?? 0 : 0,
    call.kind === "compare-and-set" ? call.expected : 0,
  ]);
  // Beyond what anybody has seen, each untold write can have one of its own.
  const revisionMax = Math.max(0, ...revisions) + history.length;
  return follows(history.filter(({ answer }) => answer?.kind !== "refused"), new Map(), 0, revisionMax);
}

function follows(left: readonly Operation[], entries: Entries, last: number, revisionMax: number): boolean {
  if (left.every(({ returnedAt }) => returnedAt === undefined)) return true;
  const firstReturn = Math.min(...left.map(({ returnedAt }) => returnedAt ?? Infinity));
  return left.some((operation) => {
    if (operation.calledAt > firstReturn) return false;
    const rest = left.filter((each) => each !== operation);
    return outcomes(operation, entries, last, revisionMax).some((after) =>
      follows(rest, after.entries, after.last, revisionMax)
    );
  });
}

/** What the map may be after `operation`; nothing when its answer does not fit. */
function outcomes(
  { key, call, answer }: Operation,
  entries: Entries,
  last: number,
  revisionMax: number,
): { entries: Entries; last: number }[] {
  const present = entries.get(key);
  const same = [{ entries, last }];
  const write = (value: string | undefined): { entries: Entries; last: number }[] => {
    if (answer !== undefined && answer.kind !== "done") return [];
    const told = answer?.revision;
    const possible = told === undefined
      ? Array.from({ length: Math.max(0, revisionMax - last) }, (_, index) => last + 1 + index)
      : told > last
      ? [told]
      : [];
    return possible.map((revision) => {
      const next = new Map(entries);
      if (value === undefined) next.delete(key);
      else next.set(key, { value, revision });
      return { entries: next, last: revision };
    });
  };
  switch (call.kind) {
    case "get": {
      if (answer?.kind === "not-found") return present === undefined ? same : [];
      if (answer?.kind !== "found") return answer === undefined ? same : [];
      const fits = present?.value === answer.value &&
        (answer.revision === undefined || present.revision === answer.revision);
      return fits ? same : [];
    }
    case "set":
      return write(call.value);
    case "delete":
      if (present !== undefined) return write(undefined);
      return answer === undefined || answer.kind === "not-found" ? same : [];
    case "compare-and-set":
      if (answer?.kind === "not-found") return present === undefined && call.expected !== 0 ? same : [];
      if ((present?.revision ?? 0) === call.expected) return write(call.value);
      return answer === undefined ||
          (answer.kind === "conflict" && answer.revision === (present?.revision ?? 0))
        ? same
        : [];
  }
}
