/** Random histories of a map that is linearizable, and ways to spoil them. For the tests of the checker. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import { AtomicMap } from "./atomic_map.ts";
import type { Answer, Call, Operation } from "./operation.ts";

export interface Shape {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Shares of the calls, 0 to 1. */
  readonly unknown: number;
  readonly refused: number;
}

interface Pending {
  readonly client: number;
  readonly key: string;
  readonly call: Call;
  readonly calledAt: number;
  readonly fate: "answered" | "unknown" | "refused";
  answer: Answer | undefined;
}

/** Of the writes that are unknown, some take effect long after. */
const LATE_CHANCE = 0.02;
/** Steps that take no time, so that calls and returns meet at one instant. */
const SAME_INSTANT_CHANCE = 0.2;

export function randomHistory(random: Random, shape: Shape): Operation[] {
  const map = new AtomicMap();
  const history: Operation[] = [];
  const clients: (Pending | undefined)[] = Array.from({ length: shape.clients }, () => undefined);
  const limbo: Pending[] = [];
  let now = 0, called = 0;
  const end = (pending: Pending): void => {
    const { client, key, call, calledAt, fate } = pending;
    clients[client] = undefined;
    const answer: Answer | undefined = fate === "refused" ? { kind: "refused" } : pending.answer;
    const returned = fate === "unknown" ? {} : { returnedAt: now, answer };
    history.push({ client, key, call, calledAt, returnedAt: undefined, answer: undefined, ...returned });
  };
  while (called < shape.operations || clients.some((each) => each !== undefined)) {
    if (random.float() >= SAME_INSTANT_CHANCE) now++;
    if (limbo.length > 0 && random.float() < LATE_CHANCE) {
      const [late] = limbo.splice(randomBelow(random, limbo.length), 1);
      if (late !== undefined) map.apply(late.key, late.call);
    }
    const client = randomBelow(random, shape.clients);
    const pending = clients[client];
    if (pending === undefined) {
      if (called >= shape.operations) continue;
      const key = `k${randomBelow(random, shape.keys)}`;
      const lot = random.float();
      clients[client] = {
        client,
        key,
        call: randomCall(random, map.get(key)?.revision ?? 0, `v${called++}`),
        calledAt: now,
        fate: lot < shape.unknown ? "unknown" : lot < shape.unknown + shape.refused ? "refused" : "answered",
        answer: undefined,
      };
    } else if (pending.fate === "answered" && pending.answer === undefined) {
      pending.answer = map.apply(pending.key, pending.call);
    } else {
      // An unknown write: at once, perhaps later, or never.
      if (pending.fate === "unknown") {
        if (random.float() < 0.4) map.apply(pending.key, pending.call);
        else limbo.push(pending);
      }
      end(pending);
    }
  }
  return history;
}

function randomCall(random: Random, revision: number, value: string): Call {
  const lot = random.float();
  if (lot < 0.35) return { kind: "get" };
  if (lot < 0.65) return { kind: "set", value };
  if (lot < 0.78) return { kind: "delete" };
  const expected = random.float() < 0.2 ? 0 : Math.max(0, revision - (random.float() < 0.2 ? 1 : 0));
  return { kind: "compare-and-set", expected, value };
}

/** One answer changed at random; the history may be good all the same. */
export function withAnotherAnswer(random: Random, history: readonly Operation[]): Operation[] {
  const answered = history.filter(({ answer }) => answer !== undefined && answer.kind !== "refused");
  const victim = answered[randomBelow(random, answered.length)];
  if (victim === undefined) return [...history];
  const revision = randomBelow(random, history.length + 1);
  const values = history.flatMap(({ call }) => "value" in call ? [call.value] : []);
  const value = values[randomBelow(random, values.length)];
  const others: Answer[] = [{ kind: "not-found" }];
  if (victim.call.kind === "get" && value !== undefined) {
    const writer = history.find(({ call }) => "value" in call && call.value === value)?.answer;
    const right = writer !== undefined && "revision" in writer ? writer.revision : revision;
    others.push({ kind: "found", value, revision }, { kind: "found", value, revision: right });
  } else if (victim.call.kind === "compare-and-set") {
    others.push({ kind: "conflict", revision }, { kind: "done", revision: revision + 1 });
  } else others.push({ kind: "done", revision: revision + 1 });
  if (victim.call.kind === "set") others.shift();
  const answer = others[randomBelow(random, others.length)];
  return history.map((each) => each === victim ? { ...each, answer } : each);
}

/** Answers without their revisions, but for those that compare-and-set is about. */
export function withoutRevisions(history: readonly Operation[]): Operation[] {
  return history.map((each) =>
    each.answer?.kind === "found" || each.answer?.kind === "done"
      ? { ...each, answer: { ...each.answer, revision: undefined } }
      : each
  );
}
