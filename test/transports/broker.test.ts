/** What all transports over a broker share, over a broker in virtual time. */
import { describe, expect, test } from "bun:test";
import { type Bytes, utf8 } from "../../src/lib/bytes.ts";
import type { Logger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { TransportSink } from "../../src/transport.ts";
import { BrokerTransport } from "../../transports/broker.ts";
import { transportConformance } from "../support/conformance.ts";
import { FakeBroker } from "../support/fake_broker.ts";
import { pendingCrypto } from "../support/pending_crypto.ts";
import { SimClock } from "../support/sim_clock.ts";
import { simWorld } from "../support/sim_world.ts";

const newClock = (): SimClock => new SimClock({ pending: pendingCrypto });

transportConformance("a broker in virtual time", {
  features: [],
  announcesStops: false,
  make() {
    const clock = newClock();
    const random = seededRandom(5);
    const broker = new FakeBroker(clock);
    const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
    const options = { clusterName: "one", secret: "s", allowInsecure: false };
    return Promise.resolve(simWorld(
      clock,
      (nodeId) =>
        Promise.resolve(new BrokerTransport(broker.brokers(), options, { nodeId, clock, random, logger })),
    ));
  },
});

let seed = 1;

class Station implements TransportSink {
  readonly lines: string[] = [];
  readonly said: string[] = [];
  readonly transport: BrokerTransport;

  constructor(
    world: { broker: FakeBroker; clock: SimClock },
    nodeId: string,
    options: { clusterName?: string; secret?: string | undefined; allowInsecure?: boolean } = {},
  ) {
    const note = (message: string, fields: object = {}): void =>
      void this.said.push(`${message} ${"reason" in fields ? fields.reason : ""}`.trim());
    this.transport = new BrokerTransport(
      world.broker.brokers(),
      { clusterName: "one", secret: "s", allowInsecure: false, ...options },
      {
        nodeId,
        clock: world.clock,
        random: seededRandom(seed++),
        logger: { debug() {}, info: note, warn: note, error: note },
      },
    );
  }

  packet(from: string, packet: Bytes): void {
    this.lines.push(`${from}: ${new TextDecoder().decode(packet)}`);
  }

  peerSeen(nodeId: string): void {
    this.lines.push(`seen ${nodeId}`);
  }

  peerGone(nodeId: string): void {
    this.lines.push(`gone ${nodeId}`);
  }

  hears(line: string): boolean {
    return this.lines.includes(line);
  }
}

async function two(): Promise<{ clock: SimClock; broker: FakeBroker; a: Station; b: Station }> {
  const clock = newClock();
  const broker = new FakeBroker(clock);
  const a = new Station({ broker, clock }, "a"), b = new Station({ broker, clock }, "b");
  for (const station of [a, b]) {
    void station.transport.start(station);
    await clock.advance(100);
  }
  await clock.runUntil(() => a.hears("seen b") && b.hears("seen a"), 1_000);
  return { clock, broker, a, b };
}

describe("a transport over a broker", () => {
  test("needs a secret, or allowInsecure", () => {
    const world = { clock: newClock(), broker: new FakeBroker(newClock()) };
    expect(() => new Station(world, "a", { secret: undefined })).toThrow("needs a secret");
    expect(() => new Station(world, "a", { secret: undefined, allowInsecure: true })).not.toThrow();
  });

  test.each([
    ["name", { clusterName: "other" }],
    ["secret", { secret: "other" }],
  ])("never meets a cluster of another %s", async (_what, options) => {
    const { clock, broker, a } = await two();
    const other = new Station({ broker, clock }, "c", options);
    void other.transport.start(other);
    await clock.advance(20_000);
    expect([a.hears("seen c"), other.lines]).toEqual([false, []]);
  });

  test("waits for a broker that is not there, says so once, and says when it is", async () => {
    const clock = newClock();
    const broker = new FakeBroker(clock);
    broker.state = "refuses";
    const a = new Station({ broker, clock }, "a");
    await a.transport.start(a);
    await clock.advance(120_000);
    expect(a.said).toEqual(["the broker is not reached; trying until it is there nobody is there"]);
    const pauses = broker.attempts.slice(1).map((at, index) => at - (broker.attempts[index] ?? 0));
    expect([Math.max(...pauses) < 3_000, Math.min(...pauses.slice(8)) >= 1_000]).toEqual([true, true]);
    broker.state = "up";
    await clock.advance(10_000);
    expect([a.said[1], a.said.length, broker.open]).toEqual(["the broker is reached again", 2, 1]);
  });

  test("gives up an attempt that does not end", async () => {
    const clock = newClock();
    const broker = new FakeBroker(clock);
    broker.state = "hangs";
    const a = new Station({ broker, clock }, "a");
    await a.transport.start(a);
    await clock.advance(11_000);
    expect([a.said.length, broker.attempts.length]).toEqual([1, 2]);
    await a.transport.stop();
    expect([broker.open, clock.timers]).toEqual([0, 0]);
  });

  test("connects again when it hears nothing of itself, also when others are quiet", async () => {
    const { clock, broker, a } = await two();
    await clock.advance(30_000);
    expect(broker.attempts.length).toBe(2);
    broker.mute = true;
    await clock.advance(6_000);
    expect(broker.attempts.length >= 4).toBe(true);
    expect(a.said[0]).toContain("the broker was lost; trying until it is there heard nothing for");
    broker.mute = false;
    await clock.advance(10_000);
    expect(a.said.at(-1)).toBe("the broker is reached again");
    a.transport.send("b", utf8("again"));
    await clock.advance(10);
    const before = broker.attempts.length;
    await clock.advance(60_000);
    expect(broker.attempts.length).toBe(before);
  });

  test("connects again when nothing it publishes is taken, and bounds what waits meanwhile", async () => {
    const { clock, broker, a } = await two();
    broker.publishing = "stuck";
    const packet = new Uint8Array(131_072);
    for (let count = 0; count < 1_000; count++) a.transport.send("b", packet);
    expect(a.transport.queuedBytes("b") <= 32 * 1_048_576).toBe(true);
    expect(a.transport.counters()["queue-full"] > 700).toBe(true);
    await clock.advance(4_000);
    expect(a.said[0]).toContain("it took nothing for");
    broker.publishing = "taken";
    await clock.advance(10_000);
    expect(a.transport.queuedBytes("b")).toBe(0);
    a.transport.send("b", utf8("again"));
  });

  test("goes on when the broker refuses what is published, counts it, and tells why when it is lost", async () => {
    const { clock, broker, a } = await two();
    broker.publishing = "refused";
    a.transport.send("b", utf8("one"));
    await clock.advance(500);
    expect([a.transport.counters().refused >= 1, broker.attempts.length]).toEqual([true, 2]);
    await clock.advance(6_000);
    expect(a.said[0]).toContain("too many requests");
  });

  test("drops and counts what is sent while there is no broker", async () => {
    const { clock, broker, a, b } = await two();
    broker.state = "refuses";
    broker.cut();
    a.transport.send("b", utf8("lost"));
    await clock.advance(20_000);
    broker.state = "up";
    await clock.advance(10_000);
    a.transport.send("b", utf8("found"));
    await clock.advance(10);
    expect([b.hears("a: lost"), b.hears("a: found")]).toEqual([false, true]);
    expect(a.transport.counters().disconnected).toBe(1);
  });

  test("asks an address it does not know who is there", async () => {
    const { clock, broker, a } = await two();
    const again = new Station({ broker, clock }, "b");
    broker.mute = true;
    await again.transport.start(again);
    await clock.advance(5);
    broker.mute = false;
    // The new process missed everybody's introduction, and a's packet is the first it hears.
    a.transport.send("b", utf8("who?"));
    await clock.runUntil(() => again.hears("seen a"), 100);
    a.transport.send("b", utf8("it is me"));
    await clock.advance(10);
    expect(again.hears("a: it is me")).toBe(true);
    expect(again.transport.counters()["unknown-sender"]).toBe(1);
  });

  test("hints that a peer is gone when the broker says that nobody listens", async () => {
    const { clock, a, b } = await two();
    await b.transport.stop();
    a.transport.send("b", utf8("anybody?"));
    await clock.advance(10);
    expect(a.lines.at(-1)).toBe("gone b");
  });

  test("says once that another process runs under its id", async () => {
    const { clock, broker, a } = await two();
    const rival = new Station({ broker, clock }, "a");
    await rival.transport.start(rival);
    await clock.advance(100);
    rival.transport.broadcast(utf8("me"));
    rival.transport.broadcast(utf8("me too"));
    await clock.advance(100);
    expect(a.said).toEqual(["another process uses, or has just used, this node's id"]);
    expect(a.transport.counters()["own-id"]).toBe(3);
    expect(a.hears("a: me")).toBe(false);
  });

  test("believes no introduction that was made up or altered, and looks at a thousand a second", async () => {
    const { clock, broker, a } = await two();
    const discovery = broker.published.find(({ message }) => message[0] === 0x12)?.channel;
    const note = broker.published.findLast(({ channel, message }) =>
      channel === discovery && message[0] === 0x12
    );
    a.lines.length = 0;
    for (let at = 1; at < (note?.message.byteLength ?? 0); at++) {
      const altered = note?.message.slice() ?? new Uint8Array(0);
      altered[at] = (altered[at] ?? 0) ^ 1;
      broker.publish(note?.channel ?? "", altered);
    }
    await clock.advance(10);
    expect(a.lines).toEqual([]);
    expect(a.transport.counters().forged >= 40).toBe(true);
    await clock.advance(2_000);
    for (let count = 0; count < 3_000; count++) {
      broker.publish(note?.channel ?? "", new Uint8Array(17).fill(0x12));
    }
    await clock.advance(10);
    expect(a.transport.counters().flood >= 1_900).toBe(true);
  });

  test("answers whoever asks a few times a second, whatever is repeated", async () => {
    const { clock, broker, a } = await two();
    const asking = broker.published.find(({ message }) => message[0] === 0x12);
    await clock.advance(2_000);
    const before = broker.published.length;
    for (let count = 0; count < 500; count++) broker.publish(asking?.channel ?? "", asking?.message as Bytes);
    await clock.advance(500);
    expect(broker.published.length - before - 500 <= 8).toBe(true);
    expect(a.transport.counters().forged).toBe(0);
  });

  test("does not wait for ever, when it stops, for a connection that does not close", async () => {
    const { clock, broker, a, b } = await two();
    broker.holds = true;
    let stopped = false;
    void a.transport.stop().then(() => stopped = true);
    await clock.advance(4_900);
    expect(stopped).toBe(false);
    await clock.advance(200);
    expect([stopped, a.said.at(-1)]).toEqual([true, "a connection to the broker does not close"]);
    await clock.advance(0);
    broker.holds = false;
    await b.transport.stop();
    expect(clock.timers).toBe(0);
  });

  test("holds nothing after its stop", async () => {
    const { clock, broker, a, b } = await two();
    await Promise.all([a.transport.stop(), b.transport.stop()]);
    expect([broker.open, clock.timers]).toEqual([0, 0]);
  });
});
