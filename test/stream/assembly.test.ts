/** A stream that becomes one message. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes, utf8 } from "../../src/lib/bytes.ts";
import { Assembly } from "../../src/stream/assembly.ts";
import { pattern } from "../support/stream_world.ts";

describe("an assembly", () => {
  test("is all that was added, in order, whatever the sizes", () => {
    const sizes = fc.array(fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 10_000 }), fc.constant(70_000)), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(sizes, (each) => {
        const assembly = new Assembly(null);
        const chunks = each.map((size, index) => pattern(size, index));
        for (const chunk of chunks) assembly.add(chunk);
        const wanted = concatBytes(...chunks);
        expect(assembly.bytes).toBe(wanted.byteLength);
        const whole = assembly.whole(false);
        expect(typeof whole === "string" || wanted.every((byte, at) => byte === whole[at])).toBe(true);
        expect(whole.length).toBe(wanted.byteLength);
      }),
      { numRuns: 200 },
    );
  });

  test("keeps long chunks as they are, and of short ones no more than their bytes", () => {
    const assembly = new Assembly(null);
    const long = pattern(65_536);
    assembly.add(long);
    expect(assembly.whole(false)).toBe(long);
    const tiny = Array.from({ length: 1_000 }, (_, index) => pattern(3, index));
    const wanted = concatBytes(...tiny);
    for (const chunk of tiny) {
      assembly.add(chunk);
      // Its frame, which is larger than it, may go.
      chunk.fill(0);
    }
    expect(assembly.whole(false)).toEqual(wanted);
  });

  test("is text where it is UTF-8, also where a chunk splits a character", () => {
    const assembly = new Assembly(null);
    for (const byte of utf8("aä€😀")) assembly.add(new Uint8Array([byte]));
    expect(assembly.whole(true)).toBe("aä€😀");
    assembly.add(new Uint8Array([0xe2, 0x82]));
    expect(() => assembly.whole(true)).toThrow(TypeError);
  });
});
