/** An outsider without the secret hears every packet and may send anything in anybody's name, at any moment. */
import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import { viewOf } from "../../src/lib/bytes.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { ClusterKeys } from "../../src/link/cluster_keys.ts";
import { encodeCore, sealHandshake } from "../../src/link/handshake_wire.ts";
import { PACKET } from "../../src/link/packet.ts";
import { cryptoOperations } from "../support/pending_crypto.ts";
import { scale } from "../support/scale.ts";
import { met, numbered, numberOf, SimLinks, type SimNode, TEST_PORT } from "../support/sim_links.ts";

interface Recorded {
  readonly from: string;
  readonly to: string;
  readonly packet: Bytes;
}

/** Records everything that passes and sends as it likes. */
class Outsider {
  readonly recorded: Recorded[] = [];
  readonly #sim: SimLinks;

  constructor(sim: SimLinks) {
    this.#sim = sim;
    sim.hub.tap(({ from, to, packet }) => void this.recorded.push({ from, to, packet: packet.slice() }));
  }

  get handshakes(): Recorded[] {
    return this.recorded.filter(({ packet }) => packet[0] === PACKET.handshake);
  }

  /** The tag in the newest data packet to `nodeId`. */
  tagTo(nodeId: string): number {
    const newest = this.recorded.findLast(({ to, packet }) => to === nodeId && packet[0] === PACKET.sealed);
    return newest === undefined ? 0 : viewOf(newest.packet).getUint32(2);
  }

  reset(from: string, to: string): void {
    const packet = new Uint8Array(5);
    packet[0] = PACKET.reset;
    viewOf(packet).setUint32(1, this.tagTo(from));
    this.#sim.hub.inject(from, to, packet);
  }
}

/** Sends one frame every 10 ms for `forMs` each way, with `meanwhile` before each. */
async function traffic(
  sim: SimLinks,
  [a, b]: readonly [SimNode, SimNode],
  forMs: number,
  meanwhile: (round: number) => void,
): Promise<void> {
  for (let round = 0; round * 10 < forMs; round++) {
    meanwhile(round);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(round));
    b.links.session("a")?.send(MESSAGES, TEST_PORT, numbered(round));
    await sim.clock.advance(10);
  }
  await sim.clock.advance(500);
}

const FLOOD_MS = scale(500, 2_000);

const HANDSHAKE_GARBAGE = (header: Bytes): Bytes => {
  const packet = new Uint8Array(250).fill(7);
  packet.set(header.subarray(0, 10));
  return packet;
};

describe("an outsider", () => {
  // With the most cryptographic operations that it may cause on both nodes in 2 s: 512 + 1,024 a second for each of
  // three senders, 32 + 16 a second answered hellos of a dozen each, or 256 + 32 a second said to newcomers.
  const floods = [
    ["reset", 100],
    ["refuse", 100],
    ["announce", 2_000],
    ["handshake garbage", 3 * 2_600],
    ["handshake replays", 3 * 2_600 + 2 * 64 * 16],
    ["data replays", 100],
  ] as const;
  test.each(floods)(
    "with a flood of %s disturbs no traffic, at a bounded cost",
    async (flood, operationsMax) => {
      const sim = new SimLinks(1, { faults: { latencyMs: 2 } });
      const [a, b] = [sim.node("a"), sim.node("b")];
      const outsider = new Outsider(sim);
      await sim.meet(a, b);
      await traffic(sim, [a, b], 100, () => undefined);
      const [first, second] = [a.links.session("b"), b.links.session("a")];
      const frames = [a.count("frame"), b.count("frame")];
      const packets = a.links.stats().packetsSent;
      const handshakes = outsider.handshakes;
      const replays = outsider.recorded.filter(({ packet }) => packet[0] !== PACKET.handshake);
      const quiet = cryptoOperations();
      await traffic(sim, [a, b], FLOOD_MS, () => undefined);
      const undisturbed = cryptoOperations() - quiet;
      const noisy = cryptoOperations();
      let stranger = 0;
      const perRound = scale(8, 40);
      const rounds = FLOOD_MS / 10;
      await traffic(sim, [a, b], FLOOD_MS, (round) => {
        for (let copy = 0; copy < perRound; copy++) {
          for (const [from, to] of [["a", "b"], ["b", "a"], [`stranger ${stranger++}`, "a"]] as const) {
            if (flood === "reset") outsider.reset(from, to);
            if (flood === "refuse") sim.hub.inject(from, to, Uint8Array.of(PACKET.refuse, 1, copy % 5));
            if (flood === "announce") sim.hub.inject(from, to, Uint8Array.of(PACKET.announce));
            if (flood === "handshake garbage") {
              sim.hub.inject(from, to, HANDSHAKE_GARBAGE(handshakes[0]?.packet ?? new Uint8Array(10)));
            }
            if (flood === "handshake replays") {
              const replay = handshakes[(round + copy) % handshakes.length] as Recorded;
              sim.hub.inject(from, to, replay.packet);
            }
            if (flood === "data replays") {
              const replay = replays[(round * perRound + copy) % replays.length] as Recorded;
              sim.hub.inject(replay.from, replay.to, replay.packet);
            }
          }
        }
      });
      expect([a.count("frame"), b.count("frame")]).toEqual(frames.map((count) => count + 2 * rounds));
      expect(b.frames().map(numberOf).slice(-rounds)).toEqual(
        Array.from({ length: rounds }, (_, index) => index),
      );
      expect([a.links.session("b"), b.links.session("a")]).toEqual([first, second]);
      expect([a.count("down"), b.count("down"), a.fatal, b.fatal]).toEqual([0, 0, undefined, undefined]);
      expect(a.links.peers().map(({ nodeId }) => nodeId)).toEqual(["b"]);
      expect([a.links.stats().sessionsResumed, b.links.stats().sessionsResumed]).toEqual([0, 0]);
      expect(cryptoOperations() - noisy - undisturbed).toBeLessThan(operationsMax);
      expect(a.links.stats().packetsSent - packets).toBeLessThan(10_000);
      await sim.stop();
      expect(sim.clock.timers).toBe(0);
    },
  );

  test.each(["lossless", "lossy"] as const)(
    "cannot keep two nodes apart that lost their %s way, whatever it sends",
    async (kind) => {
      const sim = new SimLinks(2, {
        features: kind === "lossless" ? ["lossless"] : [],
        faults: { latencyMs: 5 },
      });
      const outsider = new Outsider(sim);
      const [a, old] = [sim.node("a"), sim.node("b")];
      await sim.meet(a, old);
      // Hellos of several dead incarnations are on record.
      let b = old;
      for (let run = 0; run < scale(2, 4); run++) {
        const stopped = b.links.stop();
        await sim.clock.advance(10);
        await stopped;
        b = sim.node("b");
        await sim.start(b);
        await sim.clock.runUntil(() => met([a, b]));
      }
      const [first, ups] = [a.links.session("b"), a.count("up")];
      const handshakes = outsider.handshakes;
      const storm = async (forMs: number): Promise<void> => {
        for (let at = 0; at < forMs; at += 10) {
          for (let copy = 0; copy < scale(3, 8); copy++) {
            const replay = handshakes[(at + copy * 7) % handshakes.length] as Recorded;
            sim.hub.inject(replay.from, replay.to, replay.packet);
            for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
              sim.hub.inject(from, to, HANDSHAKE_GARBAGE(replay.packet));
              sim.hub.inject(from, to, Uint8Array.of(PACKET.announce));
              outsider.reset(from, to);
            }
          }
          await sim.clock.advance(10);
        }
      };
      const cuts = scale(1, 3);
      for (let cut = 0; cut < cuts; cut++) {
        sim.hub.cut("a", "b");
        first?.send(MESSAGES, TEST_PORT, numbered(cut));
        await storm(200);
        sim.hub.heal();
        await storm(scale(1_500, 3_500));
        expect({ cut, met: met([a, b]) }).toEqual({ cut, met: true });
      }
      expect(b.frames().map(numberOf)).toEqual(Array.from({ length: cuts }, (_, cut) => cut));
      expect(a.links.session("b")).toBe(first);
      expect([a.count("up"), b.count("down"), b.fatal]).toEqual([ups, 0, undefined]);
      await sim.stop();
      expect(sim.clock.timers).toBe(0);
    },
    20_000,
  );

  test(
    "that replays everything right after a restart neither revives the dead run nor stops the new one",
    async () => {
      for (const kill of [true, false]) {
        const sim = new SimLinks(3, { faults: { latencyMs: 3 } });
        const outsider = new Outsider(sim);
        const [a, b] = [sim.node("a"), sim.node("b")];
        await sim.meet(a, b);
        await traffic(sim, [a, b], 200, () => undefined);
        const delivered = a.count("frame");
        const replays = outsider.recorded.slice();
        if (kill) await b.kill();
        else {
          const stopped = b.links.stop();
          await sim.clock.advance(10);
          await stopped;
        }
        const again = sim.node("b");
        await sim.start(again);
        for (let round = 0; round < 30; round++) {
          for (const { from, to, packet } of replays) sim.hub.inject(from, to, packet);
          await sim.clock.advance(50);
        }
        await sim.clock.runUntil(() => met([a, again]), 10_000);
        expect(again.fatal).toBeUndefined();
        expect(a.links.peer("b")?.incarnation).toBe(again.links.incarnation);
        expect([a.count("frame"), again.count("frame"), a.count("up")]).toEqual([delivered, 0, 2]);
        await sim.stop();
      }
    },
    20_000,
  );

  test("makes a node open so many packets at once, and answer so many hellos, and no more", async () => {
    const sim = new SimLinks(6);
    const outsider = new Outsider(sim);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const garbage = HANDSHAKE_GARBAGE((outsider.handshakes[0] as Recorded).packet);
    let before = cryptoOperations();
    for (let copy = 0; copy < 3_000; copy++) sim.hub.inject("stranger", "a", garbage);
    await sim.clock.advance(1);
    expect(cryptoOperations() - before).toBeLessThan(600);
    expect(a.links.stats().dropped.flood).toBeGreaterThan(2_400);
    // Hellos of one run of b, as if recorded over weeks.
    const keys = await ClusterKeys.derive("test", "secret");
    const hellos = await Promise.all(Array.from({ length: 400 }, (_, index) => {
      const core = encodeCore({
        kind: "hello",
        from: "b",
        to: "a",
        incarnation: b.links.incarnation,
        attempt: numbered(index, 16),
        publicKey: numbered(9, 32),
        tag: index,
        windowBytes: 1_000_000,
        resume: undefined,
      });
      return sealHandshake(keys, "hello", core, new Uint8Array(0), numbered(index, 12));
    }));
    before = cryptoOperations();
    for (const hello of hellos) sim.hub.inject("b", "a", hello);
    await sim.clock.advance(1);
    expect(cryptoOperations() - before).toBeLessThan(400 + 33 * 16);
    await sim.stop();
  });

  test("fills no memory with nodes that do not exist, and they are not tried for ever", async () => {
    const sim = new SimLinks(4);
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    const clear = new Map<string, number>();
    sim.hub.tap(({ from, to }) => void (from === "a" && clear.set(to, sim.clock.now())));
    for (let stranger = 0; stranger < 2_000; stranger++) {
      sim.hub.inject(`stranger ${stranger}`, "a", Uint8Array.of(PACKET.announce));
    }
    await sim.clock.advance(10_000);
    expect(clear.size).toBeLessThan(300);
    clear.clear();
    await sim.clock.advance(10_000);
    expect([...clear.keys()]).toEqual(["b"]);
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  });
});
