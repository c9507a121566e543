import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import { concatBytes } from "../../src/lib/bytes.ts";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { ClusterKeys } from "../../src/link/cluster_keys.ts";
import { MESSAGES } from "../../src/link/contract.ts";
import { PACKET } from "../../src/link/packet.ts";
import { firstSeed, report } from "../support/measure.ts";
import { mutated } from "../support/mutated.ts";
import { scale } from "../support/scale.ts";
import { numbered, numberOf, SimLinks, TEST_PORT } from "../support/sim_links.ts";

const LIMIT_MS = scale(40_000, 900_000);
const BATCH = 250;

const choose = <Item>(random: Random, items: readonly Item[]): Item =>
  items[randomBelow(random, items.length)] as Item;

describe("packets altered on their way", () => {
  test("crash nothing, deliver nothing, prove nothing and end nothing", async () => {
    const packets = scale(50_000, 1_000_000);
    const seed = firstSeed(11);
    const random = seededRandom(seed);
    const sim = new SimLinks(seed, { faults: { latencyMs: 1 } });
    const [a, b] = [sim.node("a"), sim.node("b")];
    const recorded: { from: string; to: string; packet: Bytes }[] = [];
    sim.hub.tap(({ from, to, packet }) => {
      // A thousand, of the present and of the past.
      const entry = { from, to, packet: packet.slice() };
      if (recorded.length < 1_000) recorded.push(entry);
      else recorded[randomBelow(random, recorded.length)] = entry;
    });
    await sim.meet(a, b);
    const sessions = [a.links.session("b"), b.links.session("a")];
    const got: number[] = [];
    b.onFrame = (_session, _lane, payload) => void got.push(numberOf(payload));
    let sent = 0;
    for (let injected = 0; injected < packets;) {
      for (; injected % BATCH !== BATCH - 1; injected++) {
        const { from, to, packet } = choose(random, recorded);
        const changes = Array.from({ length: randomBelow(random, 4) }, () => randomBelow(random, 1_000_000));
        const claimed = random.float() < 0.1 ? choose(random, ["a", "b", "c", ""]) : from;
        sim.hub.inject(claimed, random.float() < 0.1 ? from : to, mutated(packet, changes));
      }
      injected++;
      a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(sent++, 100));
      await sim.clock.advance(50);
    }
    await sim.clock.advance(2_000);
    expect(got).toEqual(Array.from({ length: sent }, (_, index) => index));
    expect([a.links.session("b"), b.links.session("a")]).toEqual(sessions);
    expect([a.count("up"), b.count("up"), a.count("down"), b.count("down")]).toEqual([1, 1, 0, 0]);
    expect([a, b].map(({ links }) => links.peers().map(({ nodeId }) => nodeId))).toEqual([["b"], ["a"]]);
    report("altered packets", { seed, packets, dropped: JSON.stringify(a.links.stats().dropped) });
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  }, LIMIT_MS);

  test("handshake messages that only the wrong kind of insider would send harm no session", async () => {
    const seed = firstSeed(12);
    const random = seededRandom(seed);
    const sim = new SimLinks(seed, { faults: { latencyMs: 1 } });
    const [a, b] = [sim.node("a"), sim.node("b")];
    const bodies: Bytes[] = [];
    const keys = await ClusterKeys.derive("test", "secret");
    const header = concatBytes(Uint8Array.of(PACKET.handshake, 1), keys.tag);
    sim.hub.tap(({ packet }) => {
      if (packet[0] !== PACKET.handshake) return;
      void keys.openHandshake(header, packet.subarray(10)).then((body) =>
        body !== undefined && bodies.push(body)
      );
    });
    await sim.meet(a, b);
    const sessions = [a.links.session("b"), b.links.session("a")];
    const rounds = scale(300, 20_000);
    for (let round = 0; round < rounds; round++) {
      const changes = Array.from({ length: randomBelow(random, 4) }, () => randomBelow(random, 1_000_000));
      const body = mutated(choose(random, bodies), changes);
      const packet = concatBytes(header, await keys.sealHandshake(header, body, random.bytes(12)));
      sim.hub.inject(choose(random, ["a", "b"]), choose(random, ["a", "b"]), packet);
      await sim.clock.advance(20);
    }
    expect([a.links.session("b"), b.links.session("a")]).toEqual(sessions);
    a.links.session("b")?.send(MESSAGES, TEST_PORT, numbered(1));
    await sim.clock.advance(100);
    expect(b.frames().map(numberOf)).toEqual([1]);
    expect([a.links.peers().length, b.links.peers().length]).toEqual([1, 1]);
    report("altered handshakes", { seed, packets: rounds });
    await sim.stop();
    expect(sim.clock.timers).toBe(0);
  }, LIMIT_MS);
});
