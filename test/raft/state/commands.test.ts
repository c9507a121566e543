import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeCbor } from "../../../src/lib/cbor.ts";
import { equalBytes, utf8 } from "../../../src/lib/bytes.ts";
import { FlotillaError } from "../../../src/lib/errors.ts";
import {
  type Command,
  decodeEnvelope,
  encodeEnvelope,
  type Envelope,
} from "../../../src/raft/state/commands.ts";
import { scale } from "../../support/scale.ts";
import { mutated } from "../../support/mutated.ts";
import { envelopes } from "./arbitraries.ts";
import { member, Replica } from "./replica.ts";

/** What decoding made of `bytes`: it may only succeed or throw `malformed`. */
function decoded(bytes: Uint8Array): Envelope | undefined {
  try {
    return decodeEnvelope(bytes);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(FlotillaError);
    expect((thrown as FlotillaError).code).toBe("malformed");
    return undefined;
  }
}

const envelope = (command: Command): Envelope => ({ session: 3, sequence: 2, doneBelow: 1, command });
const A = utf8("a");

describe("entries", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(envelopes, (sent) => {
        expect(decodeEnvelope(encodeEnvelope(sent))).toEqual(sent);
      }),
      { numRuns: scale(500, 5_000) },
    );
  });

  test("random bytes are malformed or an entry, and nothing else happens", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void decoded(bytes)), {
      numRuns: scale(2_000, 20_000),
    });
  });

  test("whatever is read is what encodeEnvelope would have written, however it was altered", () => {
    const changes = fc.array(fc.nat(), { minLength: 1, maxLength: 4 });
    let read = 0;
    fc.assert(
      fc.property(envelopes, changes, (sent, changed) => {
        const bytes = mutated(encodeEnvelope(sent), changed);
        const got = decoded(bytes);
        if (got === undefined) return;
        read++;
        expect(equalBytes(encodeEnvelope(got), bytes)).toBe(true);
      }),
      { numRuns: scale(2_000, 20_000) },
    );
    expect(read).toBeGreaterThan(0);
  });

  test("values are views of the entry, and keys are not", () => {
    const bytes = encodeEnvelope(envelope({ kind: "set", key: "k", value: utf8("abc") }));
    const { command } = decodeEnvelope(bytes);
    expect(command.kind === "set" && command.value.buffer === bytes.buffer).toBe(true);
  });

  test.each([
    ["a mark at the front of a long key", "\ufeff" + "k".repeat(100)],
    ["control characters", "\u0000\n\u007f\u009f"],
    ["characters outside the basic plane", "🚢/⚓"],
  ])("keys keep %s", (_, key) => {
    const { command } = decodeEnvelope(encodeEnvelope(envelope({ kind: "delete", key })));
    expect(command).toEqual({ kind: "delete", key });
  });

  test("a small write costs its key, its value and less than 32 bytes", () => {
    const command: Command = { kind: "set", key: "k".repeat(20), value: new Uint8Array(100) };
    const bytes = encodeEnvelope({ session: 2 ** 52, sequence: 70_000, doneBelow: 69_000, command });
    expect(bytes.byteLength).toBeLessThan(20 + 100 + 32);
  });

  test.each<[string, unknown]>([
    ["no list", 1],
    ["nothing", null],
    ["an empty list", []],
    ["a map", { 0: 1 }],
    ["an unknown code", [3, 2, 1, 12, A]],
    ["code 0", [3, 2, 1, 0]],
    ["a field too few", [3, 2, 1, 3, A]],
    ["a field too many", [3, 2, 1, 4, A, A]],
    ["a negative session", [-1, 2, 1, 4, A]],
    ["a session above 2^53", [2n ** 60n, 2, 1, 4, A]],
    ["a broken sequence", [3, 1.5, 1, 4, A]],
    ["sequence 0 in a session", [3, 0, 0, 4, A]],
    ["doneBelow above the sequence", [3, 2, 3, 4, A]],
    ["a key as text", [3, 2, 1, 4, "a"]],
    ["an empty key", [3, 2, 1, 4, new Uint8Array()]],
    ["a key that is not UTF-8", [3, 2, 1, 4, Uint8Array.of(0xc3, 0x28)]],
    ["half a surrogate pair in UTF-8", [3, 2, 1, 4, Uint8Array.of(0xed, 0xa0, 0x80)]],
    ["a value as text", [3, 2, 1, 3, A, "x"]],
    ["no value", [3, 2, 1, 3, A, null]],
    ["undefined for a value", [3, 2, 1, 5, A, 0, undefined]],
    ["a negative expected revision", [3, 2, 1, 5, A, -1, A]],
    ["99 milliseconds", [3, 2, 1, 6, A, A, 99]],
    ["more than a day", [3, 2, 1, 6, A, A, 86_400_001]],
    ["endless time", [3, 2, 1, 7, A, 1, Infinity]],
    ["a date for a token", [3, 2, 1, 8, A, new Date(5)]],
    ["session 0 to open", [0, 0, 0, 1, 0]],
    ["raftId 0 to forget", [0, 0, 0, 11, 0]],
    ["a member of an unknown status", [0, 0, 0, 10, 1, A, null, A, 3, false]],
    ["a member without a name", [0, 0, 0, 10, 1, new Uint8Array(), null, A, 0, false]],
    ["a member whose name has a newline", [0, 0, 0, 10, 1, utf8("a\n"), null, A, 0, false]],
    ["a member whose witness flag is 1", [0, 0, 0, 10, 1, A, null, A, 0, 1]],
  ])("%s is malformed", (_, fields) => {
    expect(decoded(encodeCbor(fields))).toBeUndefined();
  });

  test.each<[string, readonly number[]]>([
    ["bytes behind the end", [0x85, 0, 0, 0, 0x04, 0x41, 0x61, 0]],
    ["bytes that end too early", [0x85, 0, 0, 0, 0x04, 0x42, 0x61]],
    ["a length that ends too early", [0x85, 0, 0, 0, 0x04, 0x59, 0x61]],
    ["a number longer than it must be", [0x85, 0, 0, 0, 0x18, 0x04, 0x41, 0x61]],
    ["a length longer than it must be", [0x85, 0, 0, 0, 0x04, 0x58, 0x01, 0x61]],
    ["a whole number as a float", [0x85, 0, 0, 0, 0xf9, 0x44, 0x00, 0x41, 0x61]],
    ["a list without a length", [0x9f, 0, 0, 0, 0x04, 0x41, 0x61, 0xff]],
    ["a tag", [0x85, 0, 0, 0, 0x04, 0xd8, 0x40, 0x41, 0x61]],
    ["a record definition before the entry", [
      0xd9,
      0xdf,
      0xfe,
      0x83,
      0,
      0x80,
      0x85,
      0,
      0,
      0,
      0x04,
      0x41,
      0x61,
    ]],
    ["a list longer than the memory", [0x9a, 0xff, 0xff, 0xff, 0xff]],
    ["lists in lists without end", new Array<number>(100_000).fill(0x81)],
  ])("%s is malformed", (_, bytes) => {
    expect(decoded(Uint8Array.from([0x85, 0, 0, 0, 0x04, 0x41, 0x61]))).toBeDefined();
    expect(decoded(Uint8Array.from(bytes))).toBeUndefined();
  });

  test.each<[string, Envelope]>([
    ["a key with half a surrogate pair", envelope({ kind: "delete", key: "a\ud800" })],
    ["an empty key", envelope({ kind: "delete", key: "" })],
    ["a time to live of zero", envelope({ kind: "renew-lease", name: "n", token: 1, ttlMs: 0 })],
    ["a nodeId too long", envelope({ kind: "set-member", member: member(1, { nodeId: "x".repeat(129) }) })],
    ["sequence 0 in a session", { ...envelope({ kind: "delete", key: "a" }), sequence: 0, doneBelow: 0 }],
  ])("%s is not written", (_, sent) => {
    expect(() => encodeEnvelope(sent)).toThrow(FlotillaError);
  });
});

describe("a malformed entry", () => {
  test("has a malformed result, names nobody and changes nothing", () => {
    const replica = new Replica();
    replica.apply({ kind: "open-session", session: 3 });
    replica.set("a", "1");
    const before = replica.restored();
    const changes = fc.array(fc.nat(), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(envelopes, changes, (sent, changed) => {
        const bytes = mutated(encodeEnvelope(sent), changed);
        if (bytes.byteLength === 0 || decoded(bytes) !== undefined) return;
        const { envelope, result, repeated, change, leaseChange } = replica.take(bytes);
        expect(result?.kind).toBe("malformed");
        expect([envelope, repeated, change, leaseChange]).toEqual([undefined, false, undefined, undefined]);
      }),
      { numRuns: scale(1_000, 10_000) },
    );
    expect(replica.equals(before)).toBe(true);
  });

  test("is read the same by a node that decoded other entries before", () => {
    const definition = Uint8Array.from([0xd9, 0xdf, 0xfe, 0x83, 0, 0x81, 0x41, 0x61, 0x80]);
    const use = Uint8Array.from([0xd9, 0xe0, 0x00, 0x81, 0x01]);
    const [veteran, newcomer] = [new Replica(), new Replica()];
    veteran.take(definition);
    expect(veteran.take(use).result).toEqual(newcomer.take(use).result);
  });

  test("of no bytes is Raft's own: it has no result", () => {
    const replica = new Replica();
    expect(replica.take(new Uint8Array())).toEqual({
      envelope: undefined,
      result: undefined,
      repeated: false,
      change: undefined,
      leaseChange: undefined,
    });
  });
});
