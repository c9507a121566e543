import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import type { Logger } from "../../src/lib/logger.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { PACKET, PROTOCOL_VERSION } from "../../src/link/packet.ts";
import { met, numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";

function recordingLogger(lines: string[]): Logger {
  const record = (message: string, fields: object = {}): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { debug: record, info: record, warn: record, error: record };
}

describe("the handshake", () => {
  test("a wrong secret, cluster name or version is refused with its reason in both logs, and counted", async () => {
    for (
      const [reason, options] of [
        ["wrong-secret", { secret: "another" }],
        ["wrong-cluster", { clusterName: "another" }],
      ] as const
    ) {
      const sim = new SimLinks(1);
      const lines: Record<string, string[]> = { a: [], b: [] };
      const a = sim.node("a", {}, recordingLogger(lines["a"] as string[]));
      const b = sim.node("b", options, recordingLogger(lines["b"] as string[]));
      await sim.start(a, b);
      await sim.clock.advance(10_000);
      expect([...a.links.sessions(), ...b.links.sessions()]).toEqual([]);
      expect(a.links.stats().refused[reason] + b.links.stats().refused[reason]).toBeGreaterThan(0);
      for (const side of ["a", "b"]) {
        expect((lines[side] as string[]).some((line) => line.includes(reason))).toBe(true);
      }
      await sim.stop();
    }
  });

  test("a packet of another protocol version is refused as such, and both versions are in the log", async () => {
    const sim = new SimLinks(2);
    const lines: string[] = [];
    const a = sim.node("a", {}, recordingLogger(lines));
    await sim.start(a);
    const answers: Bytes[] = [];
    sim.hub.tap(({ to, packet }) => void (to === "z" && answers.push(packet)));
    const other = new Uint8Array(100);
    other[0] = PACKET.handshake;
    other[1] = 99;
    sim.hub.inject("z", "a", other);
    await sim.clock.advance(10);
    expect(a.links.stats().refused["wrong-version"]).toBe(1);
    const versions = `"itsVersion":99,"ourVersion":${PROTOCOL_VERSION}`;
    expect(lines.filter((line) => line.startsWith("refused") && line.includes(versions))).toHaveLength(1);
    expect(answers.some((packet) => packet[0] === PACKET.refuse)).toBe(true);
    await sim.stop();
  });

  test("a second node with a living node's id is refused and told why; the living one is undisturbed", async () => {
    const sim = new SimLinks(3);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const impostor = sim.node("b");
    await sim.start(impostor);
    await sim.clock.runUntil(() => impostor.fatal !== undefined, 10_000);
    expect(impostor.fatal?.code).toBe("id-in-use");
    await impostor.links.stop();
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(5));
    await sim.clock.advance(1_000);
    expect(b.frames().map(numberOf)).toEqual([5]);
    expect([a.count("down"), b.count("down")]).toEqual([0, 0]);
    expect(a.links.stats().refused["id-in-use"]).toBeGreaterThan(0);
    await sim.stop();
  });

  test("a node that died and came back under its id replaces its old incarnation after one missed probe", async () => {
    const sim = new SimLinks(4);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    b.clock.pause();
    const again = sim.node("b");
    await sim.start(again);
    await sim.clock.runUntil(() => a.count("up") === 2, 3_000);
    expect(
      a.heard.filter(({ kind }) => kind === "down").map((event) => event.kind === "down" && event.reason),
    ).toEqual(["restarted"]);
    expect(a.links.peer("b")?.incarnation).toBe(again.links.incarnation);
    await sim.stop();
  });

  test("crossing handshakes settle on one session", async () => {
    for (let seed = 100; seed < 120; seed++) {
      const sim = new SimLinks(seed, {
        faults: { latencyMs: 60, jitterMs: 60, lossProbability: 0.2, duplicationProbability: 0.2 },
      });
      const [a, b] = [sim.node("a"), sim.node("b")];
      await sim.meet(a, b);
      await sim.clock.advance(10_000);
      expect(met([a, b])).toBe(true);
      expect(a.links.session("b")?.id).toBe(b.links.session("a")?.id as string);
      await sim.stop();
    }
  });

  test("nothing recorded, replayed, reflected or altered changes anything", async () => {
    const sim = new SimLinks(5);
    const [a, b] = [sim.node("a"), sim.node("b")];
    const recorded: { from: string; to: string; packet: Bytes }[] = [];
    const stopRecording = sim.hub.tap(({ from, to, packet }) =>
      void recorded.push({ from, to, packet: packet.slice() })
    );
    await sim.meet(a, b);
    for (let index = 0; index < 20; index++) a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(index));
    await sim.clock.advance(2_000);
    stopRecording();
    const [session, peer] = [a.links.session("b"), b.links.session("a")];
    const before = b.count("frame");
    for (const { from, to, packet } of recorded) {
      sim.hub.inject(from, to, packet);
      sim.hub.inject(to, from, packet);
      for (let at = 0; at < packet.byteLength; at += 7) {
        const altered = packet.slice();
        altered[at] = (altered[at] as number) ^ (1 << (at % 8));
        sim.hub.inject(from, to, altered);
      }
      sim.hub.inject(from, to, packet.slice(0, packet.byteLength - 1));
      await sim.clock.advance(100);
    }
    await sim.clock.advance(3_000);
    expect(b.count("frame")).toBe(before);
    expect([a.links.session("b"), b.links.session("a")]).toEqual([session, peer]);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(99));
    await sim.clock.advance(100);
    expect(numberOf(b.frames().at(-1) as Bytes)).toBe(99);
    await sim.stop();
  });

  test("garbage of any length is counted and ignored", async () => {
    const sim = new SimLinks(6);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    for (let type = 0; type < 256; type++) {
      for (const length of [0, 1, 11, 12, 40, 200, 5_000]) {
        const packet = new Uint8Array(length).fill(type);
        sim.hub.inject("b", "a", packet);
        sim.hub.inject("stranger", "a", packet);
      }
    }
    await sim.clock.advance(100);
    expect(a.links.stats().dropped.malformed).toBeGreaterThan(1_000);
    expect(a.links.session("b")?.live).toBe(true);
    expect(a.links.peers().map(({ nodeId }) => nodeId)).toEqual(["b"]);
    await sim.stop();
  });

  test("a key is rolled long before it wears out, and both sides follow", async () => {
    const { SealedProtection } = await import("../../src/link/protection.ts");
    const [one, two] = [
      crypto.getRandomValues(new Uint8Array(32)),
      crypto.getRandomValues(new Uint8Array(32)),
    ];
    const sender = new SealedProtection(one, two, 10);
    const receiver = new SealedProtection(two, one, 10);
    const plan = { ack: undefined, ping: true, end: undefined, datagrams: [], fragments: [] };
    const sealed: Bytes[] = [];
    for (let number = 0; number < 45; number++) sealed.push(await sender.seal(1, number, plan));
    expect(sealed.map((packet) => packet[1])).toEqual(
      Array.from({ length: 45 }, (_, index) => Math.floor(index / 10)),
    );
    for (const packet of sealed) expect(await receiver.open(packet)).toEqual(Uint8Array.of(2));
    // A straggler of the phase before still opens; older ones and forged phases do not.
    expect(await receiver.open(sealed[39] as Bytes)).toEqual(Uint8Array.of(2));
    expect(await receiver.open(sealed[0] as Bytes)).toBeUndefined();
    const forged = (sealed[44] as Bytes).slice();
    forged[1] = 5;
    expect(await receiver.open(forged)).toBeUndefined();
    expect(await receiver.open(sealed[44] as Bytes)).toEqual(Uint8Array.of(2));
  });
});
