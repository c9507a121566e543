import { describe, expect, test } from "bun:test";
import type { Links, LinkService, Session } from "../../src/link/contract.ts";
import { CONTROL, LANES, MESSAGES, STREAMS } from "../../src/link/contract.ts";
import { numbered, numberOf, SimLinks, type SimNode, TEST_PORT } from "../support/sim_links.ts";

const OTHER_PORT = 8;

/** Fails in one callback, once; counts ups and downs. */
class Failing implements LinkService {
  readonly #where: keyof LinkService;
  failed = 0;
  ups = 0;
  downs = 0;

  constructor(where: keyof LinkService) {
    this.#where = where;
  }

  #at(where: keyof LinkService): void {
    if (where !== this.#where || this.failed++ > 0) return;
    throw new Error(`a service fails in ${where}`);
  }

  up(_session: Session): void {
    this.ups++;
    this.#at("up");
  }

  down(): void {
    this.downs++;
    this.#at("down");
  }

  frame(): void {
    this.#at("frame");
  }

  datagram(): void {
    this.#at("datagram");
  }

  writable(): void {
    this.#at("writable");
  }

  suspect(): void {
    this.#at("suspect");
  }
}

/** Everything that calls services: frames, datagrams, a full lane, silence that ends before the peer timeout. */
async function provoke(sim: SimLinks, a: SimNode, b: SimNode): Promise<void> {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    const session = from.links.session(to.links.nodeId);
    session?.datagram(OTHER_PORT, numbered(1));
    session?.send(MESSAGES, OTHER_PORT, numbered(2));
    while (session?.send(STREAMS, TEST_PORT, new Uint8Array(50_000)) === "sent");
  }
  await sim.clock.advance(2_000);
  sim.hub.block("a", "b");
  sim.hub.block("b", "a");
  await sim.clock.advance(4_000);
  sim.hub.heal();
  await sim.clock.advance(4_000);
}

describe("a service that throws", () => {
  test.each(["up", "frame", "datagram", "writable", "suspect"] as const)(
    "in %s ends that session as a fault; every service hears up and down once, and a new session follows",
    async (where) => {
      const sim = new SimLinks(1, { faults: { latencyMs: 1 } });
      const options = { seal: "never", laneQueueBytes: 200_000, laneWindowBytes: 100_000 } as const;
      const [a, b] = [sim.node("a", options), sim.node("b", options)];
      const failing = new Failing(where);
      a.links.register(OTHER_PORT, failing);
      b.links.register(OTHER_PORT, {});
      await sim.meet(a, b);
      await provoke(sim, a, b);
      await sim.clock.advance(5_000);
      expect(failing.failed).toBeGreaterThan(0);
      expect(a.heard.flatMap((event) => event.kind === "down" ? [event.reason] : [])).toEqual(["fault"]);
      expect([failing.ups, failing.downs]).toEqual([2, 1]);
      expect([a.count("up"), a.count("down")]).toEqual([2, 1]);
      a.links.session("b")?.send(CONTROL, TEST_PORT, numbered(9));
      await sim.clock.advance(100);
      expect(numberOf(b.frames().at(-1) ?? new Uint8Array(4))).toBe(9);
      await sim.stop();
      expect(sim.clock.timers).toBe(0);
    },
  );

  test("in down harms nobody: the others hear it, and stopping goes on", async () => {
    const sim = new SimLinks(2);
    const [a, b] = [sim.node("a"), sim.node("b")];
    const failing = new Failing("down");
    const last = new Failing("frame");
    a.links.register(OTHER_PORT, failing);
    a.links.register(OTHER_PORT + 1, last);
    await sim.meet(a, b);
    await sim.stop();
    expect([failing.downs, last.downs]).toEqual([1, 1]);
    expect(sim.clock.timers).toBe(0);
  });
});

describe("calls from inside callbacks", () => {
  test("a frame sent from up, frame, writable and down is taken or refused as anywhere else", async () => {
    const sim = new SimLinks(3);
    const [a, b] = [sim.node("a"), sim.node("b")];
    const answers: string[] = [];
    a.onUp = (session) => void session.send(MESSAGES, TEST_PORT, numbered(0));
    b.onFrame = (session, lane, payload) => {
      if (numberOf(payload) < 50) session.send(lane, TEST_PORT, numbered(numberOf(payload) + 1));
    };
    a.onFrame = (session, lane, payload) => {
      if (numberOf(payload) < 50) session.send(lane, TEST_PORT, numbered(numberOf(payload) + 1));
      else answers.push("done");
      if (numberOf(payload) === 49) session.send(lane, TEST_PORT, numbered(50));
    };
    a.onDown = (session) => void answers.push(session.send(MESSAGES, TEST_PORT, numbered(1)));
    await sim.meet(a, b);
    await sim.clock.advance(100);
    await sim.stop();
    expect(answers).toEqual(["ended"]);
  });

  test("a writable handler that tries a frame longer than the room left does not spin, and gets it through", async () => {
    const sim = new SimLinks(4);
    const options = { laneQueueBytes: 100_000, laneWindowBytes: 10_000 };
    const [a, b] = [sim.node("a", options), sim.node("b", options)];
    await sim.meet(a, b);
    const session = a.links.session("b");
    let tries = 0;
    let taken = 0;
    const long = (): void => {
      tries++;
      while (taken < 3 && session?.send(MESSAGES, TEST_PORT, new Uint8Array(70_000)) === "sent") taken++;
    };
    a.onWritable = () => {
      if (tries > 1_000) throw new Error("the handler is called again and again");
      long();
    };
    for (let index = 0; index < 4; index++) session?.send(MESSAGES, TEST_PORT, new Uint8Array(10_000));
    long();
    await sim.clock.runUntil(() => b.count("frame") === 4 + 3 || a.count("down") > 0, 5_000);
    expect(taken).toBe(3);
    expect(tries).toBeLessThanOrEqual(4);
    expect(a.count("down")).toBe(0);
    await sim.stop();
  });

  const stopsIn = ["up", "frame", "datagram", "writable", "down"] as const;
  test.each(stopsIn)(
    "stop() inside %s: every up has its down, nothing follows, no timer is left",
    async (where) => {
      for (const seal of ["always", "never"] as const) {
        const sim = new SimLinks(5, { faults: { latencyMs: 1 } });
        const options = { seal, laneQueueBytes: 200_000, laneWindowBytes: 100_000 };
        const [a, b] = [sim.node("a", options), sim.node("b", options)];
        const stopped: Promise<void>[] = [];
        const after: string[] = [];
        const links: Links = a.links;
        const stop = (): void => {
          stopped.push(links.stop());
          stopped.push(links.stop());
        };
        const at = (name: string): void => {
          if (stopped.length > 0 && name !== "down") after.push(name);
          if (name === where) stop();
        };
        a.links.register(OTHER_PORT, {
          up: () => at("up"),
          frame: () => at("frame"),
          datagram: () => at("datagram"),
          writable: () => at("writable"),
          down: () => at("down"),
        });
        const later = new Failing("frame");
        a.links.register(OTHER_PORT + 1, later);
        b.links.register(OTHER_PORT, {});
        await sim.start(a, b);
        await sim.clock.runUntil(() => stopped.length > 0 || a.links.session("b") !== undefined);
        await provoke(sim, a, b);
        if (where === "down") {
          sim.hub.cut("a", "b");
          await sim.clock.advance(6_000);
        }
        await sim.clock.advance(100);
        await Promise.all(stopped);
        expect(stopped.length).toBeGreaterThan(0);
        expect(after).toEqual([]);
        expect(a.count("up")).toBe(a.count("down"));
        expect(later.ups).toBe(later.downs);
        await sim.stop();
        expect(sim.clock.timers).toBe(0);
      }
    },
  );

  test("a frame of no bytes reaches its service on every lane", async () => {
    const sim = new SimLinks(6, { packetBytesMax: 1_200, faults: { latencyMs: 1 } });
    const [a, b] = [sim.node("a"), sim.node("b")];
    await sim.meet(a, b);
    for (const lane of LANES) {
      for (const bytes of [0, 5_000, 0]) a.links.session("b")?.send(lane, TEST_PORT, new Uint8Array(bytes));
    }
    await sim.clock.advance(1_000);
    expect(b.frames().map(({ byteLength }) => byteLength)).toHaveLength(9);
    expect(b.frames().filter(({ byteLength }) => byteLength === 0)).toHaveLength(6);
    await sim.stop();
  });
});
