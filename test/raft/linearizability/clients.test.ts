import { describe, expect, test } from "bun:test";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { FlotillaError } from "../../../src/lib/errors.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { SimClock } from "../../support/sim_clock.ts";
import { until } from "../../support/until.ts";
import { checkLinearizable, type Operation } from "./checker.ts";
import { Clients, type KeyValue } from "./clients.ts";
import { fateByCode, History } from "./history.ts";
import { type Faults, NO_FAULTS, RemoteMap } from "./remote_map.ts";

const fateOf = fateByCode((code) => code === "backpressure");

function start(clock: Clock, seed: number, faults: Faults): { clients: Clients; history: History } {
  const history = new History(clock, fateOf);
  const map = new RemoteMap(clock, seededRandom(seed), faults);
  const stores = Array.from({ length: 8 }, () => map);
  return {
    history,
    clients: new Clients({ clock, seed, history, stores, keys: ["x", "y", "z"], thinkMs: 5 }),
  };
}

async function simulated(seed: number, faults: Faults, runMs: number): Promise<Operation[]> {
  const clock = new SimClock();
  const { clients, history } = start(clock, seed, faults);
  await clock.advance(runMs);
  let stopped = false;
  const stopping = clients.stop().then(() => stopped = true);
  await clock.runUntil(() => stopped);
  await stopping;
  return history.operations();
}

const LOSSY: Faults = { ...NO_FAULTS, lost: 0.05, refused: 0.05 };

describe("clients in virtual time", () => {
  test("do every kind of operation, get every kind of answer, and leave a linearizable history", async () => {
    const history = await simulated(1, LOSSY, 5_000);
    const kinds = new Set(history.map(({ call, answer }) => `${call.kind}: ${answer?.kind ?? "unknown"}`));
    expect([...kinds].sort()).toEqual([
      "compare-and-set: conflict",
      "compare-and-set: done",
      "compare-and-set: refused",
      "compare-and-set: unknown",
      "delete: done",
      "delete: not-found",
      "delete: refused",
      "delete: unknown",
      "get: found",
      "get: not-found",
      "get: refused",
      "get: unknown",
      "set: done",
      "set: refused",
      "set: unknown",
    ]);
    expect(history.length).toBeGreaterThan(1_000);
    expect(checkLinearizable(history)).toMatchObject({ ok: true });
  });

  test("a seed is the same history every time", async () => {
    expect(await simulated(2, LOSSY, 500)).toEqual(await simulated(2, LOSSY, 500));
    expect(await simulated(2, LOSSY, 500)).not.toEqual(await simulated(3, LOSSY, 500));
  });

  test("have one operation outstanding each", async () => {
    const history = await simulated(4, LOSSY, 1_000);
    for (let client = 0; client < 8; client++) {
      const own = history.filter((each) => each.client === client).sort((a, b) => a.calledAt - b.calledAt);
      const overlaps = own.filter(({ calledAt }, index) => calledAt < (own[index - 1]?.returnedAt ?? -1));
      expect(overlaps).toEqual([]);
      expect(own.length).toBeGreaterThan(20);
    }
  });

  test("do nothing more once they have stopped, and leave no timer", async () => {
    const clock = new SimClock();
    const { clients, history } = start(clock, 5, NO_FAULTS);
    await clock.advance(200);
    let stopped = false;
    void clients.stop().then(() => stopped = true);
    await clock.runUntil(() => stopped);
    const before = history.operations().length;
    expect(clock.timers).toBe(0);
    await clock.advance(1_000);
    expect(history.operations()).toHaveLength(before);
  });

  test.each(
    [
      ["stale reads", { ...NO_FAULTS, staleMs: 30 }],
      ["writes that are applied twice", { ...NO_FAULTS, repeatsEvery: 20 }],
    ] satisfies [string, Faults][],
  )("find a map with %s out", async (_, faults) => {
    expect(checkLinearizable(await simulated(6, faults, 2_000))).toMatchObject({ ok: false });
  });

  test("tell, and stop with, the error that none of them should have got", async () => {
    const clock = new SimClock();
    const broken = (): Promise<never> => Promise.reject(new TypeError("a bug"));
    const store: KeyValue = { get: broken, set: broken, delete: broken, compareAndSet: broken };
    const history = new History(clock, fateOf);
    const clients = new Clients({ clock, seed: 1, history, stores: [store], keys: ["x"], thinkMs: 1 });
    await clock.runUntil(() => history.operations().length === 1);
    await clock.runUntil(() => clients.failure !== undefined);
    expect(clients.failure?.message).toBe("a bug");
    await expect(clients.stop()).rejects.toThrow("a bug");
    expect(history.operations()).toMatchObject([{ returnedAt: undefined, answer: undefined }]);
  });
});

describe("clients in real time", () => {
  test("leave a linearizable history, too", async () => {
    const { clients, history } = start(systemClock, 7, { ...LOSSY, delayMs: 2 });
    await until("300 writes", () => history.writes >= 300, 15_000);
    await clients.stop();
    expect(checkLinearizable(history.operations())).toMatchObject({ ok: true });
  }, 20_000);
});

describe("a history", () => {
  const clock = { now: () => 1_000 };

  test("gives every call and return its own moment, in their order, when the clock stands still", async () => {
    const history = new History(clock, fateOf);
    for (let number = 0; number < 3; number++) {
      await history.record(0, "k", { kind: "get" }, async () => ({ kind: "not-found" }));
    }
    const moments = history.operations().flatMap(({ calledAt, returnedAt }) => [calledAt, returnedAt ?? 0]);
    expect(new Set(moments).size).toBe(6);
    expect(moments.toSorted((a, b) => a - b)).toEqual(moments);
  });

  test("holds what has not ended as unknown", () => {
    const history = new History(clock, fateOf);
    void history.record(3, "k", { kind: "set", value: "a" }, () => new Promise(() => {}));
    expect(history.operations()).toMatchObject([{ client: 3, returnedAt: undefined, answer: undefined }]);
  });

  test.each(
    [
      ["timeout", undefined],
      ["node-lost", undefined],
      ["aborted", undefined],
      ["backpressure", { kind: "refused" }],
    ] as const,
  )("takes a write that failed with %s for what it is", async (code, answer) => {
    const history = new History(clock, fateOf);
    const told = await history.record(0, "k", { kind: "set", value: "a" }, () => {
      throw new FlotillaError(code, "failed");
    });
    expect(told).toEqual(answer);
    expect(history.operations()[0]?.answer).toEqual(answer);
    expect(history.writes).toBe(0);
  });

  test("passes an error on that it was not told of", async () => {
    const history = new History(clock, fateOf);
    const recorded = history.record(0, "k", { kind: "get" }, () => {
      throw new FlotillaError("too-large", "failed");
    });
    await expect(recorded).rejects.toThrow("failed");
  });
});
