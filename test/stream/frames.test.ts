/** What nodes say to each other about streams, and what becomes of nonsense. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Bytes, concatBytes, utf8 } from "../../src/lib/bytes.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { OUTCOMES } from "../../src/router/outcome.ts";
import {
  type Credit,
  dataHead,
  decodeFromCaller,
  decodeFromOwner,
  encodeAbort,
  encodeCredits,
  encodeEnd,
  encodeOpen,
  encodeSettled,
  type Opening,
  type Settlement,
} from "../../src/stream/frames.ts";
import { mutated } from "../support/mutated.ts";
import { scale } from "../support/scale.ts";

const runs = { numRuns: scale(500, 50_000) };
const u32 = fc.nat({ max: 0xffffffff });
const count = fc.maxSafeNat();
const opening: fc.Arbitrary<Opening> = fc.record({
  text: fc.boolean(),
  delivery: fc.constantFrom(undefined, "message", "chunks", "framed"),
  totalBytes: fc.option(fc.nat({ max: 2 ** 48 })),
  stallTimeoutMs: fc.integer({ min: 1, max: 2 ** 31 }),
  metadata: fc.jsonValue(),
  handles: fc.array(fc.nat({ max: 2 ** 47 - 1 }), { minLength: 1, maxLength: 20 }),
});
const credit: fc.Arbitrary<Credit> = fc.record({
  stream: u32,
  windowBytes: count,
  bytes: count,
  chunks: count,
});
const settlement: fc.Arbitrary<Settlement> = fc.record({
  stream: u32,
  target: fc.nat({ max: 65_535 }),
  outcome: fc.constantFrom(...OUTCOMES),
  bytes: count,
  chunks: count,
  reason: fc.string({ maxLength: 100 }),
});
const ending = fc.record({
  bytes: count,
  chunks: count,
  digest: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});

const likeJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("frames of streams", () => {
  test("come out as they went in", () => {
    fc.assert(
      fc.property(u32, opening, ending, fc.string({ maxLength: 100 }), (stream, open, end, text) => {
        const wanted = { ...open, metadata: likeJson(open.metadata) };
        expect(decodeFromCaller(encodeOpen(stream, open))).toEqual({ kind: "open", stream, opening: wanted });
        expect(decodeFromCaller(encodeEnd(stream, end))).toEqual({ kind: "end", stream, ending: end });
        const payload = utf8(`${text}.`);
        expect(decodeFromCaller(concatBytes(dataHead(stream), payload))).toEqual({
          kind: "data",
          stream,
          payload,
        });
        const abortion = { code: "aborted", reason: text } as const;
        expect(decodeFromCaller(encodeAbort(stream, abortion))).toEqual({ kind: "abort", stream, abortion });
      }),
      runs,
    );
    fc.assert(
      fc.property(fc.array(credit), fc.array(settlement), (credits, settlements) => {
        expect(decodeFromOwner(encodeCredits(credits))).toEqual({ kind: "credit", credits });
        expect(decodeFromOwner(encodeSettled(settlements))).toEqual({ kind: "settled", settlements });
      }),
      runs,
    );
  });

  test("cut a long reason between characters", () => {
    for (const filler of ["", "a", "ab", "abc"]) {
      const reason = filler + "€".repeat(1_000);
      const said = decodeFromCaller(encodeAbort(1, { code: "timeout", reason }));
      const cut = said.kind === "abort" ? said.abortion.reason : "";
      expect(reason.startsWith(cut)).toBe(true);
      expect(utf8(cut).byteLength).toBeGreaterThan(1_000);
    }
  });

  test("that were altered are read as others or refused as malformed, nothing else", () => {
    const frames = fc.oneof(
      fc.tuple(u32, opening).map(([stream, each]) => encodeOpen(stream, each)),
      fc.tuple(u32, ending).map(([stream, each]) => encodeEnd(stream, each)),
      u32.map((stream) => encodeAbort(stream, { code: "closed", reason: "why" })),
      fc.array(credit, { maxLength: 4 }).map(encodeCredits),
      fc.array(settlement, { maxLength: 4 }).map(encodeSettled),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.slice()),
    );
    const changes = fc.array(fc.nat(), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(frames, changes, (frame, each) => {
        const altered = mutated(frame, each);
        for (const decode of [decodeFromCaller, decodeFromOwner]) {
          expect(thrownBy(decode, altered)).toBe(true);
        }
      }),
      { numRuns: scale(3_000, 300_000) },
    );
  });

  test("of no kind, without data, for nobody or too many are malformed", () => {
    const open = encodeOpen(1, { ...OPENING, handles: [5] });
    const bad: Bytes[] = [
      new Uint8Array(0),
      new Uint8Array([9, 0, 0, 0, 0]),
      new Uint8Array([2, 0, 0, 0, 0]),
      encodeOpen(1, { ...OPENING, handles: [] }),
      encodeOpen(1, { ...OPENING, handles: [2 ** 47] }),
      new Uint8Array([...open, 0]),
      open.slice(0, -1),
      new Uint8Array([5, 1]),
      new Uint8Array([6, 1, 1, 99, 1, 1, 0]),
    ];
    for (const frame of bad) {
      const decode = frame[0] === 5 || frame[0] === 6 ? decodeFromOwner : decodeFromCaller;
      expect(() => decode(frame)).toThrow(FlotillaError);
    }
    // A count that the frame does not have room for is refused before anything is made of it.
    const huge = new Uint8Array([1, 0, 0, 0, 1, 0, 0, 1, 4, 110, 117, 108, 108, 0xff, 0xff, 3]);
    expect(() => decodeFromCaller(huge)).toThrow("ends too early");
  });
});

const OPENING: Opening = {
  text: false,
  delivery: undefined,
  totalBytes: null,
  stallTimeoutMs: 1,
  metadata: null,
  handles: [],
};

/** False when `decode` throws anything but `malformed`. */
function thrownBy(decode: (frame: Bytes) => unknown, frame: Bytes): boolean {
  try {
    decode(frame);
    return true;
  } catch (thrown) {
    return thrown instanceof FlotillaError && thrown.code === "malformed";
  }
}
