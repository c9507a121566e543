/** Calls that cannot be, and calls that are called off. */
import { describe, expect, test } from "bun:test";
import { FlotillaError } from "../../src/lib/errors.ts";
import type { StreamOptions } from "../../src/stream/contract.ts";
import { both, cameTo, endless, PLACES, Source, StreamWorld, zeros } from "../support/stream_world.ts";

const MIB = 1_048_576;

describe("a call", () => {
  const invalid: [string, StreamOptions][] = [
    ["options null", null as unknown as StreamOptions],
    ...[0, -1, 1.5, MIB + 1, NaN, "5"].map((chunkSize) => [`chunkSize ${chunkSize}`, { chunkSize }]),
    ["chunkSize 3 for text", { chunkSize: 3, messageType: "text" }],
    ...["json", 1, null].map((messageType) => [`messageType ${messageType}`, { messageType }]),
    ...["all", "", null].map((delivery) => [`delivery ${delivery}`, { delivery }]),
    ...[-1, 1.5, NaN, Infinity, "5", null].map((totalBytes) => [`totalBytes ${totalBytes}`, { totalBytes }]),
    ...["timeoutMs", "idleTimeoutMs", "stallTimeoutMs"].flatMap((name) =>
      [0, -1, NaN, Infinity, 2 ** 31, "5", null].map((value) => [`${name} ${value}`, { [name]: value }])
    ),
    ["an onProgress that is no function", { onProgress: {} }],
    ["a signal that is none", { signal: {} }],
    ["metadata that is no JSON", { metadata: () => {} }],
    ["metadata that goes in circles", { metadata: circle() }],
    ["metadata that is a bigint", { metadata: 5n }],
    ["metadata that is too long", { metadata: "€".repeat(6_000) }],
  ] as [string, StreamOptions][];

  test("with an option that cannot be is refused, and its source left alone", async () => {
    const { world } = await both(2);
    for (const [name, options] of invalid) {
      const source = new Source(["x"]);
      const { what } = await cameTo(world.a.cluster.deliverStream("plain", source.readable, options));
      expect({ name, what }).toEqual({ name, what: "rejects invalid-option" });
      expect(source.readable.locked).toBe(false);
      expect(() => world.a.cluster.openStream("plain", options)).toThrow(FlotillaError);
    }
    await world.expectNothingLeft();
  });

  test("with what is no readable, or one that somebody else reads, is refused", async () => {
    const { world } = await both(2);
    const locked = new Source(["x"]).readable;
    locked.getReader();
    for (
      const readable of [locked, undefined, null, "text", new Uint8Array(5), {}, [1], new WritableStream()]
    ) {
      const call = world.a.cluster.deliverStream("plain", readable as typeof locked);
      expect((await cameTo(call)).what).toBe("rejects invalid-option");
    }
    await world.expectNothingLeft();
  });

  test("with a signal that was aborted before sends nothing", async () => {
    const { world, sdk } = await both(2);
    const source = new Source(zeros(10));
    const reason = new Error("too late");
    const signal = AbortSignal.abort(reason);
    const call = world.a.cluster.deliverStream("sdk", source.readable, { signal });
    const { what, reason: said } = await world.run(cameTo(call));
    expect(what).toBe("timeout");
    expect(said).toContain("too late");
    await world.sim.clock.advance(10);
    expect(source.reason === reason).toBe(true);
    expect(sdk.streams.length).toBe(0);
    await world.expectNothingLeft();
  });

  test.each(PLACES)("whose signal is aborted midway ends, also %s", async (_, nodes) => {
    const { world, sdk } = await both(nodes);
    const controller = new AbortController();
    const source = new Source(endless(world));
    const call = world.a.cluster.deliverStream("sdk", source.readable, { signal: controller.signal });
    await world.until(() => (sdk.streams[0]?.bytes ?? 0) > 20_000);
    const reason = new Error("changed my mind");
    controller.abort(reason);
    const { what, reason: said } = await world.run(cameTo(call));
    expect(what).toBe("timeout");
    expect(said).toContain("changed my mind");
    await world.sim.clock.advance(10);
    expect(source.reason === reason).toBe(true);
    expect(sdk.streams[0]?.aborted?.message).toContain("changed my mind");
    await world.expectNothingLeft();
  });

  test("whose signal is aborted while it waits for room, looks for its client or closes ends at once", async () => {
    const world = await StreamWorld.of(2);
    world.b.connect("stopped", 0);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    sdk.reading = false;
    const abortAfter = async (
      ms: number,
      id: string,
      data: Iterable<unknown>,
      options: StreamOptions = {},
    ) => {
      const controller = new AbortController();
      const { signal } = controller;
      const source = new Source(data);
      const call = world.a.cluster.deliverStream(id, source.readable, { ...options, signal });
      await world.sim.clock.advance(ms);
      controller.abort(new Error("enough"));
      const began = world.sim.clock.now();
      expect((await world.run(call)).outcome).toBe("timeout");
      expect(world.sim.clock.now()).toBe(began);
      await world.sim.clock.advance(10);
      return source.cancelled;
    };
    expect(await abortAfter(100, "stopped", zeros(1_000), { delivery: "chunks" })).toBe("enough");
    // It waits for the last word of the client: the source was read to its end.
    expect(await abortAfter(100, "sdk", ["short"])).toBe(undefined);
    world.sim.hub.setFaults({ latencyMs: 1_000 });
    expect(await abortAfter(100, "sdk", zeros(10))).toBe("enough");
    expect(await abortAfter(100, "nobody", zeros(10))).toBe("enough");
    world.sim.hub.setFaults({});
    world.b.cluster.unregisterConnection("stopped");
    await world.expectNothingLeft(5_000);
  });

  test("after shutdown is refused", async () => {
    const { world } = await both(2);
    await world.run(world.a.cluster.shutdown());
    const source = new Source(["x"]);
    expect((await cameTo(world.a.cluster.deliverStream("plain", source.readable))).what)
      .toBe("rejects not-running");
    expect(() => world.a.cluster.openStream("plain")).toThrow(FlotillaError);
    expect(source.readable.locked).toBe(false);
  });
});

function circle(): unknown {
  const one: Record<string, unknown> = {};
  one["self"] = one;
  return one;
}
