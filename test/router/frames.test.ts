import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FlotillaError } from "../../src/lib/errors.ts";
import { CONTROL, type Lane, MESSAGES, STREAMS } from "../../src/link/contract.ts";
import { ROUTER_PORT } from "../../src/router/contract.ts";
import {
  decodeControl,
  decodeMessage,
  encodeAnswers,
  encodeClose,
  encodeMessage,
} from "../../src/router/frames.ts";
import { FakeCluster } from "./fake_cluster.ts";

const target = fc.record({ handle: fc.nat({ max: 2 ** 47 - 1 }), starts: fc.boolean() });
const message = fc.record({
  text: fc.boolean(),
  messageId: fc.option(fc.string({ minLength: 1, maxLength: 20 }), { nil: undefined }),
  remainingMs: fc.nat({ max: 2 ** 31 - 1 }),
  first: fc.nat({ max: 2 ** 48 - 1 }),
  targets: fc.array(target, { minLength: 1, maxLength: 20 }),
  payload: fc.uint8Array({ maxLength: 100 }),
});
const run = fc.record({
  code: fc.constantFrom(0, 3, 8, 32, 33, 34, 35),
  first: fc.nat({ max: 2 ** 48 - 1 }),
  count: fc.nat({ max: 2 ** 32 - 1 }),
});

function malformed(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch (thrown) {
    return thrown instanceof FlotillaError && thrown.code === "malformed";
  }
}

describe("frames of the router", () => {
  test("come out as they went in", () => {
    fc.assert(fc.property(message, ({ targets, first, payload, ...header }) => {
      const decoded = decodeMessage(encodeMessage(header, first, targets, new Uint8Array(payload)));
      expect({ ...decoded, payload: [...decoded.payload] }).toEqual({
        ...header,
        first,
        targets,
        payload: [...payload],
      });
    }));
    fc.assert(fc.property(fc.array(run, { maxLength: 20 }), (runs) => {
      expect(decodeControl(encodeAnswers(runs))).toEqual({ kind: "answers", runs });
    }));
    const request = { number: 7, handle: 2 ** 40, code: 4321, reason: "enough, é" };
    expect(decodeControl(encodeClose(request))).toEqual({ kind: "close", request });
  });

  test("of any other shape are malformed, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 3 }), (bytes, kind) => {
        const frame = new Uint8Array([kind, ...bytes]);
        for (const decode of [decodeMessage, decodeControl]) {
          try {
            decode(frame);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(FlotillaError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
    expect(malformed(() => decodeMessage(new Uint8Array(0)))).toBe(true);
    expect(malformed(() => decodeControl(new Uint8Array(0)))).toBe(true);
    const header = { text: false, messageId: "id", remainingMs: 1 };
    const frame = encodeMessage(header, 0, [{ handle: 1, starts: true }], new Uint8Array(0));
    for (let length = 0; length < frame.byteLength; length++) {
      expect(malformed(() => decodeMessage(frame.slice(0, length)))).toBe(true);
    }
    const flagged = frame.slice();
    flagged[1] = 2;
    expect(malformed(() => decodeMessage(flagged))).toBe(true);
    expect(malformed(() => decodeControl(encodeAnswers([{ code: 9, first: 0, count: 1 }])))).toBe(true);
    const close = { number: 0, handle: 1, code: 1006, reason: "" };
    expect(malformed(() => decodeControl(encodeClose(close)))).toBe(true);
  });
});

describe("a peer that sends nonsense", () => {
  const header = { text: true, messageId: undefined, remainingMs: 1_000 };
  const hostile: [string, Lane, Uint8Array<ArrayBuffer>][] = [
    ["a message cut short", MESSAGES, new Uint8Array([1, 0, 0])],
    [
      "text that is not UTF-8",
      MESSAGES,
      encodeMessage(header, 0, [{ handle: 1, starts: true }], new Uint8Array([255])),
    ],
    ["answers to what was never sent", CONTROL, encodeAnswers([{ code: 0, first: 0, count: 2 }])],
    ["answers to a billion messages", CONTROL, encodeAnswers([{ code: 0, first: 0, count: 2 ** 32 - 1 }])],
    ["an unknown control frame", CONTROL, new Uint8Array([9])],
    ["a frame on another lane", STREAMS, new Uint8Array([1])],
  ];

  test.each(hostile)("%s: loses its session and harms nobody", async (_, lane, frame) => {
    const cluster = new FakeCluster(3);
    const [a, b, c] = [cluster.node(0), cluster.node(1), cluster.node(2)];
    const sink = a.connect("alice");
    b.connect("bob", 0);
    await cluster.clock.advance(5);
    const waiting = a.router.deliver(["bob"], "x");
    await cluster.clock.advance(5);
    b.sessionWith(a).send(lane, ROUTER_PORT, frame);
    expect([...await cluster.run(waiting)]).toEqual([["bob", "node-lost"]]);
    expect(cluster.network.faults.length).toBe(1);
    expect(sink.received).toEqual([]);
    expect(await cluster.run(c.router.routeMessage("alice", "still here"))).toBe(true);
  });

  test("answers twice, or names numbers and handles that are gone: nothing happens", async () => {
    const cluster = new FakeCluster(2);
    const [a, b] = [cluster.node(0), cluster.node(1)];
    b.connect("bob");
    await cluster.clock.advance(5);
    expect(await cluster.run(a.router.routeMessage("bob", "x"))).toBe(true);
    const runs = [0, 32, 33, 34, 35].map((code) => ({ code, first: 0, count: 1 }));
    b.sessionWith(a).send(CONTROL, ROUTER_PORT, encodeAnswers(runs));
    const whole = [33, 34, 35].map((code) => ({ code, first: 0, count: 2 ** 32 - 1 }));
    b.sessionWith(a).send(CONTROL, ROUTER_PORT, encodeAnswers(whole));
    await cluster.clock.advance(5);
    expect(cluster.network.faults).toEqual([]);
    expect(await cluster.run(a.router.routeMessage("bob", "y"))).toBe(true);
  });
});
