/**
 * From operations to intervals in which each must take effect. The map's one counter tells more than the clocks of
 * the calls: a write takes effect before whatever shows its revision or a later one has returned, and not before
 * every write with an earlier revision has been called. An interval that ends before it begins breaks the order.
 */
import { mentioned, type Operation, operationText, valueOf } from "./operation.ts";
import type { Step } from "./register.ts";

export interface Interval extends Step {
  readonly operation: Operation;
  readonly from: number;
  /** Infinity: it may be left out. */
  readonly to: number;
}

/** A history that is wrong whatever the order: where, and for people, why. */
export interface Wrong {
  readonly key: string;
  readonly why: string;
}

export type Intervals = { readonly intervals: readonly Interval[] } | Wrong;

/** Who read a value first, and at which revision. */
interface Reading {
  readonly returnedAt: number;
  readonly revision: number | undefined;
}

export function intervalsOf(history: readonly Operation[]): Intervals {
  const writers = writersOf(history);
  const readings = new Map<Operation, Reading>();
  for (const operation of history) {
    const { key, answer, returnedAt } = operation;
    if (answer?.kind !== "found" || returnedAt === undefined) continue;
    const writer = writers.get(answer.value);
    const wrong = writer === undefined || writer.key !== key
      ? "nobody wrote that here"
      : writer.answer !== undefined && writer.answer.kind !== "done"
      ? `that write did not happen: ${operationText(writer)}`
      : returnedAt < writer.calledAt
      ? `that write had not been called: ${operationText(writer)}`
      : undefined;
    if (wrong !== undefined || writer === undefined) {
      return { key, why: `${operationText(operation)}\n${wrong}` };
    }
    const earlier = readings.get(writer);
    readings.set(writer, {
      returnedAt: Math.min(returnedAt, earlier?.returnedAt ?? Infinity),
      revision: earlier?.revision ?? answer.revision,
    });
  }
  const intervals: Interval[] = [];
  for (const operation of history) {
    const { call, answer, calledAt: from, returnedAt } = operation;
    const known = answer !== undefined && returnedAt !== undefined;
    if (answer?.kind === "refused" || (!known && call.kind === "get")) continue;
    const reading = readings.get(operation);
    if (known) intervals.push({ operation, call, answer, from, to: returnedAt });
    else if (reading === undefined) {
      intervals.push({ operation, call, answer: undefined, from, to: Infinity });
    } // It was read, so it did happen.
    else {
      const { revision, returnedAt: to } = reading;
      intervals.push({ operation, call, answer: { kind: "done", revision }, from, to });
    }
  }
  return tightened(intervals);
}

function writersOf(history: readonly Operation[]): Map<string, Operation> {
  const writers = new Map<string, Operation>();
  for (const operation of history) {
    const value = valueOf(operation.call);
    if (value === undefined) continue;
    const other = writers.get(value);
    if (other !== undefined) {
      throw new Error(`a history must not write ${value} twice: ${operationText(operation)}`);
    }
    writers.set(value, operation);
  }
  return writers;
}

/** The revision of a write that is known to have happened. */
export function writtenRevision({ answer }: Interval): number | undefined {
  return answer?.kind === "done" ? answer.revision : undefined;
}

/** An interval that shows a revision, and what the others of all keys leave of it. */
interface Shown {
  readonly interval: Interval;
  readonly revision: number;
  /** It made the revision; others only saw it. */
  readonly writes: boolean;
  from: number;
  to: number;
}

function tightened(intervals: readonly Interval[]): Intervals {
  const shown: Shown[] = intervals.map((interval) => ({
    interval,
    revision: mentioned(interval.answer) ?? 0,
    writes: writtenRevision(interval) !== undefined,
    from: interval.from,
    to: interval.to,
  })).filter(({ revision }) => revision > 0);
  // Of one revision, the write comes first.
  shown.sort((a, b) => a.revision - b.revision || Number(b.writes) - Number(a.writes));
  const wrong = clashOf(shown) ?? disorderOf(shown);
  if (wrong !== undefined) return wrong;
  const bounds = new Map(shown.filter(({ writes }) => writes).map((each) => [each.interval, each]));
  return {
    intervals: intervals.map((interval) => {
      const { from, to } = bounds.get(interval) ?? interval;
      return { ...interval, from, to };
    }),
  };
}

/** One revision that stands for two writes. */
function clashOf(shown: readonly Shown[]): Wrong | undefined {
  for (const [index, one] of shown.entries()) {
    const other = shown[index + 1];
    if (other?.revision !== one.revision) continue;
    const keys = [one, other].map(({ interval }) => interval.operation.key);
    if (!other.writes && keys[0] === keys[1]) continue;
    const why = `${other.writes ? "two writes" : "two keys"} of one revision:\n${textOf(one)}\n${
      textOf(other)
    }`;
    return { key: other.interval.operation.key, why };
  }
  return undefined;
}

/** Tightens the bounds of the writes; says so when nothing is left of one. */
function disorderOf(shown: readonly Shown[]): Wrong | undefined {
  let latestCall: Shown | undefined, earliestReturn: Shown | undefined;
  for (const each of shown) {
    if (!each.writes) continue;
    each.from = Math.max(each.from, latestCall?.from ?? -Infinity);
    latestCall = each;
  }
  for (const each of shown.toReversed()) {
    if (earliestReturn === undefined || each.to < earliestReturn.to) earliestReturn = each;
    if (!each.writes) continue;
    each.to = earliestReturn.to;
    if (each.from <= each.to) continue;
    const late = shown.find(({ writes, interval }) => writes && interval.from === each.from) ?? each;
    const why = "revisions against time: the second was called after the first had returned\n" +
      `${textOf(earliestReturn)}\n${textOf(late)}`;
    return { key: late.interval.operation.key, why };
  }
  return undefined;
}

function textOf({ interval: { operation } }: Shown): string {
  return `${operation.key}: ${operationText(operation)}`;
}
