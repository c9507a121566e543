/** Clients that close, stop, cancel, lie or move: an honest outcome each time, and nothing is left. */
import { describe, expect, test } from "bun:test";
import { encodeCancel, encodeCredit, encodeFinished } from "../../src/client_protocol.ts";
import type { FakeSdk } from "../support/fake_sdk.ts";
import { both, cameTo, endless, PLACES, Source, StreamWorld, zeros } from "../support/stream_world.ts";

const MIB = 1_048_576;

describe.each(PLACES)("a client %s", (_, nodes) => {
  test.each(["message", "chunks", "framed"] as const)("that closes ends it closed: %s", async (delivery) => {
    const world = await StreamWorld.of(nodes);
    const sink = delivery === "framed" ? world.b.connectSdk("x", 1_000) : world.b.connect("x", 1_000);
    await world.ready();
    const source = new Source(zeros(200));
    const call = world.a.cluster.deliverStream("x", source.readable, { delivery });
    await world.until(() => source.pulledBytes > MIB / 2);
    sink.cut();
    world.b.cluster.unregisterConnection("x", sink);
    const result = await world.run(call);
    expect(result).toMatchObject({ outcome: "closed", reason: "the connection closed" });
    expect(result.bytes).toBeLessThan(13 * MIB);
    await world.sim.clock.advance(10);
    if (!source.ended) expect(source.reason).toMatchObject({ code: "closed" });
    await world.expectNothingLeft();
  });

  test.each(["message", "chunks", "framed"] as const)(
    "that is replaced ends it closed: %s",
    async (delivery) => {
      const world = await StreamWorld.of(nodes);
      const connect = () =>
        delivery === "framed" ? world.b.connectSdk("x", 1_000) : world.b.connect("x", 1_000);
      const sink = connect();
      await world.ready();
      const source = new Source(zeros(200));
      const call = world.a.cluster.deliverStream("x", source.readable, { delivery });
      await world.until(() => source.pulledBytes > MIB / 2);
      const after = connect();
      expect((await world.run(call)).outcome).toBe("closed");
      world.b.cluster.unregisterConnection("x", sink);
      expect(after.received).toEqual([]);
      expect(await world.run(world.a.cluster.routeStream("x", new Source(["new"]).readable))).toBe(true);
      await world.expectNothingLeft();
    },
  );

  test("that is closed by the application while it is slow ends it closed", async () => {
    const world = await StreamWorld.of(nodes);
    const sink = world.b.connect("x", 100);
    await world.ready();
    const source = new Source(zeros(200));
    const call = world.a.cluster.deliverStream("x", source.readable, { delivery: "chunks" });
    await world.until(() => source.pulledBytes > MIB / 2);
    expect(await world.run(world.a.cluster.closeConnection("x", 1000, "enough"))).toBe(true);
    expect((await world.run(call)).outcome).toBe("closed");
    world.b.cluster.unregisterConnection("x", sink);
    await world.expectNothingLeft();
  });

  test("of the SDK that cancels ends it closed with its reason, in the middle and at the very end", async () => {
    const { world, sdk } = await both(nodes);
    const source = new Source(endless(world));
    const call = world.a.cluster.deliverStream("sdk", source.readable);
    await world.until(() => (sdk.streams[0]?.bytes ?? 0) > 0);
    sdk.cancel(sdk.streams[0] as never, "not what I wanted");
    const result = await world.run(call);
    expect(result).toMatchObject({ outcome: "closed", reason: "the client cancelled: not what I wanted" });
    await world.until(() => source.cancelled !== undefined);
    expect(source.reason).toMatchObject({ code: "closed" });
    sdk.reading = false;
    const last = world.a.cluster.deliverStream("sdk", new Source(["short"]).readable);
    await world.until(() => sdk.streams[1]?.end !== undefined);
    sdk.cancel(sdk.streams[1] as never, "broken");
    expect((await world.run(last)).outcome).toBe("closed");
    expect(sdk.closedWith).toBe(undefined);
    await world.expectNothingLeft();
  });

  test("of the SDK that never says it has all ends it timeout", async () => {
    const { world, sdk } = await both(nodes);
    sdk.reading = false;
    const options = { stallTimeoutMs: 1_000 };
    const call = world.a.cluster.deliverStream("sdk", new Source(["short"]).readable, options);
    const result = await world.run(call);
    expect(result.outcome).toBe("timeout");
    expect(result.ms).toBeLessThanOrEqual(1_300);
    await world.expectNothingLeft();
  });

  test.each([
    ["credits more bytes than it got", (n: number) => encodeCredit(n, MIB, 1)],
    ["credits more chunks than it got", (n: number) => encodeCredit(n, 0, 1_000)],
    ["is finished before the end", (n: number) => encodeFinished(n)],
    ["sends nonsense", () => new Uint8Array([77, 1, 2])],
    ["sends an empty frame", () => new Uint8Array(0)],
    ["sends what only nodes say", () => new Uint8Array([3, 0, 0, 0, 0, 1])],
  ])("of the SDK that %s is closed for it", async (_, frame) => {
    const { world, sdk } = await both(nodes);
    const source = new Source(endless(world));
    const call = world.a.cluster.deliverStream("sdk", source.readable);
    await world.until(() => (sdk.streams[0]?.readBytes ?? 0) > 0);
    sdk.say(frame(sdk.streams[0]?.number ?? 0));
    expect(sdk.closedWith?.code).toBe(1002);
    expect((await world.run(call)).outcome).toBe("closed");
    await world.expectNothingLeft();
  });

  test("of the SDK that takes back credit is closed for it", async () => {
    const { world, sdk } = await both(nodes);
    const call = world.a.cluster.deliverStream("sdk", new Source(endless(world)).readable);
    await world.until(() => (sdk.streams[0]?.readBytes ?? 0) > 0);
    await world.sim.clock.advance(1);
    sdk.say(encodeCredit(sdk.streams[0]?.number ?? 0, 0, 0));
    expect(sdk.closedWith?.code).toBe(1002);
    expect((await world.run(call)).outcome).toBe("closed");
    await world.expectNothingLeft();
  });

  test("of the SDK may speak of streams that are over, and of thousands that never were", async () => {
    const { world, sdk } = await both(nodes);
    expect(await world.run(world.a.cluster.routeStream("sdk", new Source(["x"]).readable))).toBe(true);
    for (let stream = 0; stream < 3_000; stream++) {
      sdk.say(encodeCredit(stream, 5, 5));
      sdk.say(encodeCancel(stream, "why not"));
      sdk.say(encodeFinished(stream));
    }
    expect(sdk.closedWith).toBe(undefined);
    await world.expectNothingLeft();
  });

  test("of the SDK that credits bytes and never chunks holds nobody up for good", async () => {
    const world = await StreamWorld.of(nodes);
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    sdk.reading = false;
    let credited = 0;
    const liar = setBytesOnly(sdk, world, (bytes) => credited = bytes);
    const options = { stallTimeoutMs: 1_000, chunkSize: 100 };
    const call = world.a.cluster.deliverStream("sdk", new Source(zeros(10_000, 1_000)).readable, options);
    const result = await world.run(call, 30_000);
    liar();
    expect(credited).toBeGreaterThan(0);
    expect(result.outcome).toBe("timeout");
    await world.expectNothingLeft();
  });
});

/** Credits bytes as they come, and no chunk of them. */
function setBytesOnly(sdk: FakeSdk, world: StreamWorld, credited: (bytes: number) => void): () => void {
  let timer = world.sim.clock.timer(1, tick);
  function tick(): void {
    const stream = sdk.streams[0];
    if (stream !== undefined && stream.bytes > stream.readBytes && stream.aborted === undefined) {
      stream.readBytes = stream.bytes;
      sdk.say(encodeCredit(stream.number, stream.bytes, 0));
      credited(stream.bytes);
    }
    timer = world.sim.clock.timer(1, tick);
  }
  return () => timer.cancel();
}

describe("a connection", () => {
  test("that nobody has is not-found, and its source is cancelled", async () => {
    const { world } = await both(2);
    const source = new Source(zeros(100));
    const result = await world.run(world.a.cluster.deliverStream("nobody", source.readable));
    expect(result).toMatchObject({ outcome: "not-found", bytes: 0, chunks: 0, reason: undefined });
    await world.until(() => source.cancelled !== undefined);
    expect(source.reason).toMatchObject({ code: "not-found" });
    expect(source.pulledBytes).toBeLessThanOrEqual(65_536);
    await world.expectNothingLeft(2_000);
  });

  test.each([
    ["nothing", ""],
    ["a control character", "\u0000"],
    ["too long a text", "x".repeat(300)],
    ["a number", 5],
    ["undefined", undefined],
    ["an object", {}],
  ])("named by %s is nobody's", async (_, id) => {
    const { world } = await both(2);
    const source = new Source(zeros(3));
    const call = world.a.cluster.deliverStream(id as string, source.readable);
    expect((await world.run(cameTo(call))).what).toBe("not-found");
    await world.expectNothingLeft(2_000);
  });

  test("that has moved is found where it is now", async () => {
    const world = await StreamWorld.of(3);
    const first = world.b.connect("x");
    await world.ready();
    // The announcements of both nodes are on their way while the stream opens.
    world.sim.hub.setFaults({ latencyMs: 50 });
    await world.sim.clock.advance(200);
    world.b.cluster.unregisterConnection("x", first);
    const second = world.node(2).connect("x");
    const call = world.a.cluster.deliverStream("x", new Source(["hello"]).readable);
    expect(await world.run(call)).toMatchObject({ outcome: "delivered", bytes: 5 });
    expect(first.received).toEqual([]);
    expect(second.received.length).toBe(1);
    await world.expectNothingLeft(2_000);
  });
});
