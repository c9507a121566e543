import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FlotillaError } from "../../src/lib/errors.ts";
import { encodeCbor } from "../../src/lib/cbor.ts";
import { decodeDetails, encodeDetails } from "../../src/directory/details.ts";
import { STAMP_MAX } from "../../src/directory/stamp.ts";
import { decodeFrame, type DirectoryFrame, encodeFrame, HANDLE_MAX } from "../../src/directory/wire.ts";
import { DETAILS } from "./nodes.ts";

const id = fc.oneof(
  fc.uuid(),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed()),
);
const handle = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: HANDLE_MAX }));
const stamp = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: STAMP_MAX }));
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const claim = fc.record({ id, handle, stamp });
const state = fc.record({ number, digest: fc.record({ count: number, low: uint32, high: uint32 }) });
const change = fc.oneof(
  fc.record({ kind: fc.constant("put" as const), claim }),
  fc.record({ kind: fc.constant("remove" as const), id }),
);
const details = fc.record({
  endpoint: fc.string(),
  remoteAddress: fc.option(fc.string()),
  connectedAt: fc.integer({ min: 0, max: 4e12 }),
  ownId: fc.boolean(),
  tags: fc.dictionary(fc.string().filter((key) => key !== "__proto__"), fc.string(), {
    noNullPrototype: true,
  }),
});
const frame: fc.Arbitrary<DirectoryFrame> = fc.oneof(
  fc.record({ kind: fc.constant("changes" as const), first: number, changes: fc.array(change) }),
  fc.record({ kind: fc.constant("snapshot-begin" as const), number }),
  fc.record({ kind: fc.constant("claims" as const), claims: fc.array(claim) }),
  fc.record({ kind: fc.constantFrom("snapshot-end" as const, "heartbeat" as const), state }),
  fc.record({ kind: fc.constant("snapshot-request" as const) }),
  fc.record({ kind: fc.constantFrom("ask" as const, "describe" as const), question: number, id }),
  fc.record({
    kind: fc.constant("answer" as const),
    question: number,
    claim: fc.option(fc.record({ handle, stamp }), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("description" as const),
    question: number,
    details: fc.option(details, { nil: undefined }),
  }),
);

/** What decoding made of `bytes`: it may only succeed or throw `malformed`. */
function decoded(bytes: Uint8Array): DirectoryFrame | undefined {
  try {
    return decodeFrame(bytes);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(FlotillaError);
    expect((thrown as FlotillaError).code).toBe("malformed");
    return undefined;
  }
}

describe("directory frames", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(frame, (sent) => {
        expect(decodeFrame(encodeFrame(sent))).toEqual(sent);
      }),
      { numRuns: 500 },
    );
  });

  test("random bytes are malformed or a frame, and nothing else happens", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decoded(bytes)), {
      numRuns: 3_000,
    });
  });

  test("altered and cut frames are malformed or a frame, and nothing else happens", () => {
    const edit = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(frame, fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(), (sent, edits, cut) => {
        const bytes = encodeFrame(sent);
        for (const { at, to } of edits) bytes[at % bytes.length] = to;
        decoded(bytes);
        decoded(bytes.subarray(0, cut % (bytes.length + 1)));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a frame decodes to no more entries than it has bytes", () => {
    const bytes = new Uint8Array(1_000).fill(1);
    const frame = decoded(bytes);
    if (frame?.kind === "changes") expect(frame.changes.length).toBeLessThan(bytes.length / 3);
  });

  test.each([
    ["an empty frame", []],
    ["an unknown kind", [99]],
    ["an empty id", [7, 1, 0]],
    ["an id above 256 bytes", [7, 1, 0x81, 0x02, ...new Array<number>(257).fill(97)]],
    ["an id longer than the frame", [7, 1, 50, 97]],
    ["an id that is not UTF-8", [7, 1, 2, 0xc3, 0x28]],
    ["a number above 2^53", [2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a number without end", [2, ...new Array<number>(20).fill(0x80)]],
    ["a handle above 2^47", [8, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 1]],
    ["a removal in a snapshot", [3, 0, 1, 97]],
    ["bytes after the end", [6, 0]],
    ["an answer that is neither yes nor no", [8, 1, 2]],
  ])("%s is malformed", (_, bytes) => {
    expect(decoded(Uint8Array.from(bytes))).toBeUndefined();
  });

  test("a run of registrations costs its ids and a few bytes each", () => {
    const changes = Array.from({ length: 500 }, (_, index) => ({
      kind: "put" as const,
      claim: { id: `connection-${index}`, handle: 1_000_000 + index, stamp: 3.9e14 + index * 400 },
    }));
    const ids = changes.reduce((bytes, change) => bytes + change.claim.id.length, 0);
    expect(encodeFrame({ kind: "changes", first: 1, changes }).length - ids).toBeLessThan(500 * 6);
  });
});

describe("details", () => {
  test("come back as they were", () => {
    const sent = { ...DETAILS, remoteAddress: null, tags: { user: "ÿ-π-✓", room: "7" } };
    expect(decodeDetails(encodeDetails(sent))).toEqual(sent);
  });

  test.each<[string, unknown]>([
    ["a map", { endpoint: "/" }],
    ["four fields", ["/", null, 1, true]],
    ["a number as endpoint", [1, null, 1, true, {}]],
    ["a date as tags", ["/", null, 1, true, new Date(0)]],
    ["a list as tags", ["/", null, 1, true, ["x"]]],
    ["a tag that is a number", ["/", null, 1, true, { x: 1 }]],
    ["an endless time", ["/", null, Infinity, true, {}]],
    ["tags without end", ["/", null, 1, true, { x: "x".repeat(10_000) }]],
  ])("%s is malformed", (_, fields) => {
    expect(() => decodeDetails(encodeCbor(fields))).toThrow(FlotillaError);
  });

  test("bytes that are not CBOR are malformed", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeDetails(bytes);
        } catch (thrown) {
          expect((thrown as FlotillaError).code).toBe("malformed");
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
