/** Sources that do what they should not: an honest outcome each time, and nothing is left. */
import { describe, expect, test } from "bun:test";
import {
  both,
  cameTo,
  endless,
  parts,
  pattern,
  PLACES,
  SILENCE,
  Source,
  StreamWorld,
  zeros,
} from "../support/stream_world.ts";

const half = (): unknown[] => [...parts(pattern(300_000), 50_000)];

describe.each(PLACES)("a source of a stream to a client %s", (_, nodes) => {
  test.each(["plain", "sdk"])("that fails half-way rejects aborted with its error: %s", async (id) => {
    const { world, sdk } = await both(nodes);
    const failure = new Error("the disk broke");
    const source = new Source([...half(), failure]);
    const { what, cause } = await world.run(cameTo(world.a.cluster.deliverStream(id, source.readable)));
    expect(what).toBe("rejects aborted");
    expect(cause === failure).toBe(true);
    await world.sim.clock.advance(10);
    if (id === "sdk") {
      expect(sdk.streams[0]?.aborted?.code).toBe("aborted");
      expect(sdk.streams[0]?.aborted?.message).toContain("the disk broke");
    } else expect(world.b.cluster.stats().messagesOut).toBe(0);
    await world.expectNothingLeft();
  });

  test.each([
    ["more than its total", [...half(), ...half()], { totalBytes: 300_001 }],
    ["less than its total", half(), { totalBytes: 300_001 }],
    ["anything where its total is nothing", ["x"], { totalBytes: 0 }],
    ["undefined", [...half(), undefined], {}],
    ["objects", [...half(), { bytes: 5 }], {}],
    ["numbers", [5], {}],
    ["no UTF-8 as text", [...half(), new Uint8Array([0xff])], { messageType: "text" as const }],
    ["half a character as text", [new Uint8Array([0xe2, 0x82])], { messageType: "text" as const }],
  ])("that brings %s rejects malformed and is cancelled", async (_, data, options) => {
    const { world, sdk } = await both(nodes);
    for (const id of ["plain", "sdk"]) {
      const source = new Source(data);
      const call = world.a.cluster.deliverStream(id, source.readable, options);
      expect((await world.run(cameTo(call))).what).toBe("rejects malformed");
      await world.sim.clock.advance(10);
      if (!source.ended) expect(source.reason).toMatchObject({ code: "malformed" });
    }
    for (const stream of sdk.streams) expect(stream.aborted?.code).toBe("aborted");
    expect(world.b.cluster.stats().messagesOut - sdk.received.length).toBe(0);
    await world.expectNothingLeft();
  });

  test("that yields strings, empty chunks and nothing else in between is as good as any", async () => {
    const { world, sdk } = await both(nodes);
    const data = ["", "ab", new Uint8Array(0), new Uint8Array([99]), "", ""];
    for (const id of ["plain", "sdk"]) {
      const result = await world.run(world.a.cluster.deliverStream(id, new Source(data).readable));
      expect(result).toMatchObject({ bytes: 3, chunks: 1, reason: undefined });
    }
    expect(sdk.streams[0]?.parts).toEqual([new Uint8Array([97, 98, 99])]);
    await world.expectNothingLeft();
  });

  test("that falls silent ends by idleTimeoutMs, and also when it yields nothing but nothing", async () => {
    const { world, sdk } = await both(nodes);
    const silent = new Source([...half(), SILENCE]);
    const began = world.sim.clock.now();
    const options = { idleTimeoutMs: 1_000 };
    const first = await world.run(cameTo(world.a.cluster.deliverStream("sdk", silent.readable, options)));
    expect(first.what).toBe("timeout");
    expect(first.reason).toContain("brought nothing for 1000 ms");
    expect(world.sim.clock.now() - began).toBeGreaterThanOrEqual(1_000);
    expect(world.sim.clock.now() - began).toBeLessThanOrEqual(1_300);
    await world.sim.clock.advance(10);
    expect(silent.reason).toMatchObject({ code: "timeout" });
    expect(sdk.streams[0]?.aborted?.code).toBe("timeout");

    const empty = new Source(endless(world, 0));
    const call = world.a.cluster.deliverStream("plain", empty.readable, options);
    expect((await world.run(cameTo(call), 5_000)).what).toBe("timeout");
    await world.expectNothingLeft();
  });

  test("that never ends is ended by timeoutMs", async () => {
    const { world, sdk } = await both(nodes);
    const source = new Source(endless(world));
    const call = world.a.cluster.deliverStream("sdk", source.readable, { timeoutMs: 1_500 });
    const result = await world.run(call);
    expect(result.outcome).toBe("timeout");
    expect(result.ms).toBe(1_500);
    await world.sim.clock.advance(10);
    expect(source.reason).toMatchObject({ code: "timeout" });
    expect(sdk.streams[0]?.aborted?.code).toBe("timeout");
    await world.expectNothingLeft();
  });

  test("is not given up for silence while its client is what is slow", async () => {
    const world = await StreamWorld.of(nodes);
    world.b.connect("slow", 20);
    await world.ready();
    const source = new Source(zeros(6));
    const options = { idleTimeoutMs: 500, delivery: "chunks" } as const;
    expect(await world.run(world.a.cluster.routeStream("slow", source.readable, options))).toBe(true);
    await world.expectNothingLeft();
  });
});
