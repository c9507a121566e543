import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Bytes, concatBytes, equalBytes } from "../../src/lib/bytes.ts";
import { encodeCbor } from "../../src/lib/cbor.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { ClusterKeys } from "../../src/link/cluster_keys.ts";
import type { Lane } from "../../src/link/contract.ts";
import {
  encodeCore,
  type HandshakeMessage,
  openHandshake,
  sealHandshake,
} from "../../src/link/handshake_wire.ts";
import {
  DATA_HEADER_BYTES,
  decodeItems,
  encodePacket,
  type Fragment,
  PACKET,
  type PacketPlan,
  planBytes,
} from "../../src/link/packet.ts";
import type { NumberRange } from "../../src/link/ranges.ts";
import { mutated } from "../support/mutated.ts";
import { firstSeed, report } from "../support/measure.ts";
import { scale } from "../support/scale.ts";

const LIMIT_MS = scale(20_000, 300_000);
const seed = firstSeed(Date.now() % 1_000_000);
afterAll(() => report("wire fuzz", { seed, packets: scale(7_100, 850_000) }));

const bytes = (maxLength: number): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ maxLength }).map((array) => new Uint8Array(array));
const uint48 = fc.oneof(fc.nat(100), fc.integer({ min: 0, max: 2 ** 48 - 1 }));

const fragments: fc.Arbitrary<Fragment> = fc.record({
  lane: fc.constantFrom<Lane>(0, 1, 2),
  sequence: uint48,
  port: fc.nat(255),
  total: fc.nat(0xffff_ffff),
  first: fc.boolean(),
  last: fc.boolean(),
  payload: bytes(40),
});

/** Ranges as they must be: highest first, apart. */
const ranges: fc.Arbitrary<NumberRange[]> = fc
  .array(fc.tuple(fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: 64 })
  .map((steps) => {
    let low = 0;
    return steps.map(([gap, length]) => {
      const range = { low: low + gap, high: low + gap + length };
      low = range.high + 2;
      return range;
    }).reverse();
  });

const plans: fc.Arbitrary<PacketPlan> = fc.record({
  ack: fc.option(ranges, { nil: undefined }),
  ping: fc.boolean(),
  end: fc.option(fc.nat(255), { nil: undefined }),
  datagrams: fc.array(fc.record({ port: fc.nat(255), payload: bytes(40) }), { maxLength: 3 }),
  fragments: fc.array(fragments, { maxLength: 4 }),
});

/** What `decodeItems` hands over, as a plan again. */
function decode(packet: Bytes): PacketPlan {
  const plan = {
    ack: undefined as readonly NumberRange[] | undefined,
    ping: false,
    end: undefined as number | undefined,
    datagrams: [] as { port: number; payload: Bytes }[],
    fragments: [] as Fragment[],
  };
  decodeItems(packet, DATA_HEADER_BYTES, {
    ack: (heard) => void (plan.ack = heard),
    ping: () => void (plan.ping = true),
    end: (reason) => void (plan.end = reason),
    datagram: (port, payload) => void plan.datagrams.push({ port, payload }),
    fragment: (fragment) => void plan.fragments.push(fragment),
  });
  return plan;
}

const mutations = fc.array(fc.nat(), { minLength: 1, maxLength: 6 });

/** Runs `decoder`; true if it answered, false if it said `malformed`. Anything else is thrown. */
function survives(decoder: () => unknown): boolean {
  try {
    decoder();
    return true;
  } catch (thrown) {
    if (thrown instanceof FlotillaError && thrown.code === "malformed") return false;
    throw thrown;
  }
}

describe("data packets", () => {
  test("any plan comes out as it went in, in as many bytes as announced", () => {
    fc.assert(
      fc.property(plans, uint48, fc.nat(255), (plan, number, phase) => {
        const packet = encodePacket(PACKET.plain, phase, 0xdead_beef, number, plan);
        expect(packet.byteLength).toBe(planBytes(plan));
        const out = decode(packet);
        const expected = plan.fragments.map((fragment) => ({
          ...fragment,
          port: fragment.first ? fragment.port : 0,
          total: fragment.first && !fragment.last ? fragment.total : fragment.payload.byteLength,
        }));
        expect(out).toEqual({ ...plan, fragments: expected });
      }),
      { seed, numRuns: scale(300, 50_000) },
    );
  }, LIMIT_MS);

  test("any bytes and any mutation of a packet are read or called malformed, and nothing else", () => {
    let read = 0;
    let refused = 0;
    const count = (packet: Bytes): void => void (survives(() => decode(packet)) ? read++ : refused++);
    fc.assert(fc.property(bytes(200), count), { seed, numRuns: scale(3_000, 300_000) });
    fc.assert(
      fc.property(plans, mutations, (plan, changes) => {
        count(mutated(encodePacket(PACKET.plain, 0, 1, 1, plan), changes));
      }),
      { seed, numRuns: scale(3_000, 300_000) },
    );
    expect(read).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(300);
  }, LIMIT_MS);
});

describe("handshake packets", () => {
  const ends = { from: "a", to: "b", attempt: new Uint8Array(16).fill(3) };
  const introduction = {
    ...ends,
    incarnation: "0011223344556677",
    publicKey: new Uint8Array(32).fill(9),
    tag: 0xffff_ffff,
    windowBytes: 2 ** 40,
  };
  const sessionId = "00112233445566778899aabbccddeeff";
  const received = [0, 2 ** 48, 7];
  const messages: HandshakeMessage[] = [
    { kind: "hello", ...introduction, resume: undefined },
    { kind: "hello", ...introduction, resume: { sessionId, received } },
    {
      kind: "reply",
      ...introduction,
      nonce: new Uint8Array(16),
      plain: "opened",
      resumed: true,
      sessionId,
      received,
    },
    { kind: "confirm", ...ends, plain: "declared", received },
    { kind: "refuse", ...ends, reason: "id-in-use" },
  ];
  const nonce = new Uint8Array(12);

  test("every message comes out as it went in", async () => {
    const keys = await ClusterKeys.derive("test", "secret");
    for (const message of messages) {
      const core = encodeCore(message);
      const opened = await openHandshake(
        keys,
        await sealHandshake(keys, message.kind, core, new Uint8Array(32), nonce),
      );
      if (typeof opened === "string") throw new Error(`refused: ${opened}`);
      expect(opened.message).toEqual(message);
      expect([...opened.core, ...opened.proof]).toEqual([...core, ...new Uint8Array(32)]);
    }
  });

  test("whoever knows the secret may send anything: it is read or called malformed", async () => {
    const keys = await ClusterKeys.derive("test", "secret");
    const bodies = fc.oneof(
      bytes(300),
      fc.tuple(fc.nat(5), fc.constantFrom(...messages), mutations).map(([kind, message, changes]) =>
        encodeCbor([kind, mutated(encodeCore(message), changes), new Uint8Array(32)])
      ),
      fc.anything({ withTypedArray: true }).map((value) =>
        encodeCbor([1, encodeCbor(value ?? null), value ?? null])
      ),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const header = concatBytes(Uint8Array.of(PACKET.handshake, 1), keys.tag);
        const packet = concatBytes(header, await keys.sealHandshake(header, body, nonce));
        await openHandshake(keys, packet).catch((thrown) => expect(thrown).toBeInstanceOf(Error));
      }),
      { seed, numRuns: scale(400, 100_000) },
    );
  }, LIMIT_MS);

  test("nobody else's packet opens, whatever was changed in it", async () => {
    const keys = await ClusterKeys.derive("test", "secret");
    const packets = await Promise.all(
      messages.map((message) =>
        sealHandshake(keys, message.kind, encodeCore(message), new Uint8Array(32), nonce)
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...packets), mutations, async (packet, changes) => {
        const changed = mutated(packet, changes);
        const opened = await openHandshake(keys, changed);
        if (!equalBytes(changed, packet)) expect(typeof opened).toBe("string");
      }),
      { seed, numRuns: scale(400, 100_000) },
    );
  }, LIMIT_MS);
});
