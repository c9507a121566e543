/** Commands at random, retried at random, against a model of a few lines; replicas that stay byte-equal. */
import { describe, expect, test } from "bun:test";
import { fromUtf8, utf8 } from "../../../src/lib/bytes.ts";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import { type Command, encodeEnvelope } from "../../../src/raft/state/commands.ts";
import type { Result } from "../../../src/raft/state/results.ts";
import { mutated } from "../../support/mutated.ts";
import { scale } from "../../support/scale.ts";
import { FORMATION, member, Replica } from "./replica.ts";

/** What the state should be, said as simply as it can be. Leases' renewals have no clock here either. */
class Model {
  readonly map = new Map<string, { value: string; revision: number; created: number }>();
  readonly leases = new Map<string, { holder: string; token: number; renewedAt: number }>();
  revision = 0;
  token = FORMATION.tokenFloor;

  apply(index: number, command: Command): Result {
    const notFound: Result = { kind: "not-found" };
    switch (command.kind) {
      case "set":
        return this.#write(command.key, command.value);
      case "delete":
        return this.#write(command.key, null);
      case "compare-and-set": {
        const revision = this.map.get(command.key)?.revision ?? 0;
        if (revision !== command.expected) return { kind: "conflict", revision };
        return this.#write(command.key, command.value);
      }
      case "acquire-lease": {
        const { name, holder, ttlMs } = command;
        const held = this.leases.get(name);
        if (held !== undefined && held.holder !== holder) {
          return { kind: "held", holder: held.holder, token: held.token };
        }
        const token = held?.token ?? ++this.token;
        this.leases.set(name, { holder, token, renewedAt: index });
        return { kind: "leased", token, ttlMs };
      }
      case "renew-lease": {
        const held = this.leases.get(command.name);
        if (held?.token !== command.token) return notFound;
        held.renewedAt = index;
        return { kind: "leased", token: held.token, ttlMs: command.ttlMs };
      }
      case "release-lease":
      case "expire-lease": {
        const held = this.leases.get(command.name);
        if (held?.token !== command.token) return notFound;
        if (command.kind === "expire-lease" && held.renewedAt !== command.renewedAt) return notFound;
        this.leases.delete(command.name);
        return { kind: "done", revision: this.revision };
      }
      default:
        return { kind: "done", revision: this.revision };
    }
  }

  #write(key: string, value: Uint8Array | null): Result {
    const before = this.map.get(key);
    if (value === null && !this.map.delete(key)) return { kind: "not-found" };
    const revision = ++this.revision;
    if (value !== null) {
      this.map.set(key, { value: fromUtf8(value), revision, created: before?.created ?? revision });
    }
    return { kind: "done", revision };
  }
}

/** Few keys, names and tokens, so that commands meet. */
function randomCommand(random: Random, model: Model): Command {
  const pick = (count: number): number => randomBelow(random, count);
  const key = `key-${pick(8)}`, name = `lease-${pick(3)}`;
  const value = pick(5) === 0 ? null : utf8(`value-${pick(1_000)}`);
  const expected = pick(3) === 0 ? pick(50) : model.map.get(key)?.revision ?? 0;
  const held = model.leases.get(name);
  const token = pick(4) === 0 ? pick(2_000) : held?.token ?? 0;
  const renewedAt = pick(3) === 0 ? pick(100) : held?.renewedAt ?? 0;
  const commands: readonly Command[] = [
    { kind: "set", key, value: value ?? utf8("") },
    { kind: "delete", key },
    { kind: "compare-and-set", key, expected, value },
    { kind: "acquire-lease", name, holder: `holder-${pick(3)}`, ttlMs: 100 + pick(1_000) },
    { kind: "renew-lease", name, token, ttlMs: 100 + pick(1_000) },
    { kind: "release-lease", name, token },
    { kind: "expire-lease", name, token, renewedAt },
    { kind: "set-member", member: member(1 + pick(5), { status: pick(2) === 0 ? "up" : "down" }) },
  ];
  return commands[pick(commands.length)] as Command;
}

/** A node's side of a session: commands that wait for their result, and old ones that still travel. */
class Proposer {
  readonly waiting = new Map<number, { bytes: Uint8Array<ArrayBuffer>; command: Command; result?: Result }>();
  readonly late: Uint8Array<ArrayBuffer>[] = [];
  readonly session: number;
  #next = 1;

  constructor(session: number) {
    this.session = session;
  }

  propose(command: Command): number {
    const sequence = this.#next++;
    const doneBelow = Math.min(sequence, ...this.waiting.keys());
    const bytes = encodeEnvelope({ session: this.session, sequence, doneBelow, command });
    this.waiting.set(sequence, { bytes, command });
    return sequence;
  }

  answer(sequence: number): void {
    const waiting = this.waiting.get(sequence);
    if (waiting !== undefined) this.late.push(waiting.bytes);
    this.waiting.delete(sequence);
  }
}

const SEEDS = Array.from({ length: scale(6, 60) }, (_, place) => [7_000 + place] as const);

describe("the replicated state", () => {
  test.each(SEEDS)("does what the model does, once for each command (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const model = new Model();
    const replica = new Replica();
    let twin = replica.restored();
    const proposers = [11, 12, 13].map((session) => new Proposer(session));
    const both = (bytes: Uint8Array): ReturnType<Replica["take"]> => {
      const applied = replica.take(bytes);
      expect(twin.take(bytes)).toEqual(applied);
      return applied;
    };
    for (const { session } of proposers) {
      both(
        encodeEnvelope({ session: 0, sequence: 0, doneBelow: 0, command: { kind: "open-session", session } }),
      );
    }
    for (let step = 0; step < 1_500; step++) {
      const proposer = proposers[randomBelow(random, proposers.length)] as Proposer;
      const chance = random.float();
      if (chance < 0.1 && proposer.late.length > 0) {
        const applied = both(proposer.late[randomBelow(random, proposer.late.length)] as Uint8Array);
        expect([applied.repeated, applied.change, applied.leaseChange]).toEqual([true, undefined, undefined]);
      } else if (chance < 0.15) {
        const [first] = proposer.waiting.values();
        const bytes = mutated(first?.bytes ?? utf8("?"), [1 + randomBelow(random, 1e6)]);
        // Only what cannot be read: what can is another command, which the model would have to apply.
        if (bytes.byteLength > 0 && new Replica().take(bytes).envelope === undefined) both(bytes);
      } else if (chance < 0.55 && proposer.waiting.size > 0) {
        const sequences = [...proposer.waiting.keys()];
        const sequence = sequences[randomBelow(random, sequences.length)] as number;
        const waiting = proposer.waiting.get(sequence);
        if (waiting === undefined) continue;
        const applied = both(waiting.bytes);
        expect(applied.repeated).toBe(waiting.result !== undefined);
        waiting.result ??= model.apply(replica.index, waiting.command);
        expect(applied.result).toEqual(waiting.result);
        if (random.float() < 0.6) proposer.answer(sequence);
      } else if (proposer.waiting.size < 20) {
        proposer.propose(randomCommand(random, model));
      }
      if (step % 100 === 99) {
        expect(twin.equals(replica)).toBe(true);
        if (random.float() < 0.5) twin = replica.restored();
      }
    }
    const { state } = replica;
    const map = new Map([...model.map].map(([key, each]) => [key, { ...each, value: utf8(each.value) }]));
    expect(state.revision).toBe(model.revision);
    expect(new Map(state.keys("", "", 100).map((key) => [key, state.get(key)]))).toEqual(new Map(map));
    const leases = [...state.leases()].map(({ name, holder, token, renewedAt }) =>
      [name, { holder, token, renewedAt }] as const
    );
    expect(new Map(leases)).toEqual(model.leases);
    expect(model.revision).toBeGreaterThan(50);
  }, 30_000);
});
