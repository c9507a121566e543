/**
 * Wing and Gong's search with Lowe's memory ("Testing for linearizability", 2017), for one key: depth first, always
 * taking some operation that no other must precede; calls and returns stand in a doubly linked list, out of which
 * what is taken is lifted. What has been taken, with the register after it, is never tried twice.
 *
 * Three things keep it short; each leaves out only orders that another one stands for:
 * - what changes nothing is taken as soon as it fits;
 * - writes whose revisions are known come in the order of those;
 * - of unknown writes that nobody could tell apart, the earliest called is taken first, and only right before
 *   something that shows it.
 */
import { Entries } from "./entries.ts";
import type { Interval } from "./intervals.ts";
import { after, EMPTY_REGISTER, type Register, type Step } from "./register.ts";

export interface DeadEnd {
  readonly taken: readonly Interval[];
  readonly register: Register;
  /** What would have to come next. */
  readonly blocked: readonly Interval[];
}

export interface Found {
  readonly outcome: "linearizable" | "not-linearizable" | "gave-up";
  readonly states: number;
  /** The one that took the most operations. */
  readonly deadEnd: DeadEnd | undefined;
}

interface Frame {
  /** How many had been taken. */
  readonly taken: number;
  readonly register: Register;
  options: readonly number[];
  next: number;
  /** Unknown writes are thought of only when nothing else leads on. */
  widened: boolean;
}

export function search(unsorted: readonly Interval[], statesMax: number): Found {
  const list = new Entries(unsorted.toSorted((a, b) => a.from - b.from));
  const tried = new Set<string>();
  const frames: Frame[] = [];
  let deadEnd: DeadEnd | undefined;
  let fewestLeft = Infinity;
  let register: Register | undefined = EMPTY_REGISTER;
  while (register !== undefined) {
    register = takeWhatChangesNothing(list, register);
    if (list.certain === 0) return { outcome: "linearizable", states: tried.size, deadEnd: undefined };
    const state = `${registerKey(register)}/${list.key()}`;
    if (!tried.has(state)) {
      if (tried.size === statesMax) return { outcome: "gave-up", states: tried.size, deadEnd };
      tried.add(state);
      const options = certainOptions(list, register);
      if (options.length === 0 && list.certain < fewestLeft) {
        fewestLeft = list.certain;
        deadEnd = deadEndAt(list, register);
      }
      frames.push({ taken: list.taken.length, register, options, next: 0, widened: false });
    }
    register = nextBranch(list, frames);
  }
  return { outcome: "not-linearizable", states: tried.size, deadEnd };
}

/** Goes back to the last place where something else can be taken, and takes it; undefined when there is none. */
function nextBranch(list: Entries, frames: Frame[]): Register | undefined {
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    list.backTo(frame.taken);
    const index = frame.options[frame.next++];
    if (index !== undefined) {
      list.take(index);
      return after(frame.register, list.intervals[index] as Interval);
    }
    if (frame.widened) frames.pop();
    else {
      frame.widened = true;
      frame.options = uncertainOptions(list, frame.register);
      frame.next = 0;
    }
  }
  return undefined;
}

function deadEndAt(list: Entries, register: Register): DeadEnd {
  const at = (index: number): Interval => list.intervals[index] as Interval;
  const blocked = list.minimal().map(at).filter(({ to }) => to !== Infinity);
  return { taken: list.taken.map(at), register, blocked };
}

/** With the length before it, a value may be any text: no two registers have one key. */
function registerKey({ value, revision, exact, unseen }: Register): string {
  return `${revision}/${exact}/${unseen}/${value === undefined ? "" : `${value.length}/${value}`}`;
}

function takeWhatChangesNothing(list: Entries, before: Register): Register {
  let register = before;
  for (let again = true; again;) {
    again = false;
    for (const index of list.minimal()) {
      const interval = list.intervals[index] as Interval;
      const next = interval.to === Infinity ? undefined : after(register, interval);
      if (next === undefined || !isSame(next, register)) continue;
      register = next;
      list.take(index);
      // With its return out of the way, others may be called by now.
      again = true;
    }
  }
  return register;
}

function isSame(one: Register, other: Register): boolean {
  return one.value === other.value && one.revision === other.revision && one.exact === other.exact;
}

/** Writes with answers that may come next. */
function certainOptions(list: Entries, register: Register): number[] {
  return list.minimal().filter((index) => {
    const interval = list.intervals[index] as Interval;
    return interval.to !== Infinity && list.isTurnOf(index) && after(register, interval) !== undefined;
  });
}

/** Unknown writes that may have come next. */
function uncertainOptions(list: Entries, register: Register): number[] {
  const kinds = new Set<string>();
  const minimal = list.minimal().filter((index) => list.isTurnOf(index));
  return minimal.filter((index) => {
    const interval = list.intervals[index] as Interval;
    const { call, to } = interval;
    if (to !== Infinity) return false;
    const next = after(register, interval);
    if (next === undefined) return false;
    const kind = call.kind === "compare-and-set" ? `${call.kind} ${call.expected}` : call.kind;
    if (kinds.has(kind)) return false;
    kinds.add(kind);
    return minimal.some((other) =>
      other !== index && shows(register, next, list.intervals[other] as Interval)
    );
  });
}

/** Whether `step` can come right after an unknown write and tells that it happened: it could not come without. */
function shows(before: Register, written: Register, step: Step): boolean {
  const next = after(written, step);
  if (next === undefined) return false;
  return next.value === written.value || after(before, step) === undefined;
}
