/** Cutting a stream into chunks: sizes, views, characters, and what cannot be cut. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Bytes, concatBytes, fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { chunker, Cutter, type StreamData } from "../../src/stream/cutter.ts";
import { scale } from "../support/scale.ts";
import { pattern } from "../support/stream_world.ts";

const MIB = 1_048_576;

function cut(cutter: Cutter, data: readonly unknown[]): Bytes[] {
  return [...data.flatMap((each) => cutter.push(each)), ...cutter.finish()];
}

/** What `call` throws: a code, since nothing else may be thrown. */
function codeThrown(call: () => unknown): string {
  try {
    call();
  } catch (thrown) {
    return thrown instanceof FlotillaError ? thrown.code : String(thrown);
  }
  return "nothing";
}

/** `whole` in pieces that end at `ends`. */
function pieces(whole: Bytes, ends: readonly number[]): Bytes[] {
  const sorted = [...ends.map((end) => end % (whole.byteLength + 1)).sort((a, b) => a - b), whole.byteLength];
  return sorted.map((end, index) => whole.subarray(sorted[index - 1] ?? 0, end));
}

const cuts = fc.array(fc.nat({ max: 100_000 }), { maxLength: 20 });
const runs = { numRuns: scale(1_000, 50_000) };

describe("a cutter of bytes", () => {
  test("makes chunks of exactly the size, the last one excepted, whatever the pieces", () => {
    fc.assert(
      fc.property(fc.nat({ max: 600 }), cuts, fc.integer({ min: 1, max: 200 }), (length, ends, chunkSize) => {
        const whole = pattern(length);
        const chunks = cut(new Cutter(chunkSize), pieces(whole, ends));
        expect(concatBytes(...chunks)).toEqual(whole);
        expect(chunks.slice(0, -1).every(({ byteLength }) => byteLength === chunkSize)).toBe(true);
        expect(chunks.length).toBe(Math.ceil(length / chunkSize));
        expect(chunks.every(({ byteLength }) => byteLength > 0)).toBe(true);
      }),
      runs,
    );
  });

  test("copies nothing that comes whole: chunks are views of what was pushed", () => {
    const data = pattern(1_000);
    const chunks = new Cutter(400).push(data);
    expect(chunks.map(({ buffer, byteOffset }) => [buffer === data.buffer, byteOffset])).toEqual([
      [true, 0],
      [true, 400],
    ]);
    const whole = new Cutter(1_000).push(data);
    expect(whole[0] === data).toBe(true);
  });

  test("takes no more than the last chunk's bytes as long as it waits for more, in pieces however small", () => {
    const cutter = new Cutter(100_000);
    for (let index = 0; index < 99_999; index++) expect(cutter.push(new Uint8Array([index]))).toEqual([]);
    const [chunk] = cutter.push(new Uint8Array([99_999]));
    expect(chunk).toEqual(Uint8Array.from({ length: 100_000 }, (_, index) => index));
  });

  test("takes bytes of shared memory by a copy", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(7);
    const [chunk] = new Cutter(8).push(shared);
    expect(chunk?.buffer instanceof ArrayBuffer).toBe(true);
    expect(chunk).toEqual(new Uint8Array(8).fill(7));
  });

  test("passes over empty pieces, and makes nothing of nothing", () => {
    expect(cut(new Cutter(4), [])).toEqual([]);
    expect(cut(new Cutter(4), ["", new Uint8Array(0), "abcde", ""])).toEqual([utf8("abcd"), utf8("e")]);
  });
});

describe("a cutter of text", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 80 });

  test("splits no character, and no chunk could have held one more", () => {
    fc.assert(
      fc.property(text, cuts, fc.integer({ min: 4, max: 30 }), (whole, ends, chunkSize) => {
        const chunks = cut(new Cutter(chunkSize, true), pieces(utf8(whole), ends));
        const texts = chunks.map(fromUtf8);
        expect(texts.join("")).toBe(whole);
        for (const [index, chunk] of chunks.entries()) {
          expect(chunk.byteLength).toBeLessThanOrEqual(chunkSize);
          const next = [...texts[index + 1] ?? ""][0];
          if (next !== undefined) expect(chunk.byteLength + utf8(next).byteLength).toBeGreaterThan(chunkSize);
        }
      }),
      runs,
    );
  });

  test("takes strings that were cut anywhere, within a pair of surrogates too, and bytes between them", () => {
    const part = fc.tuple(fc.constantFrom("a", "ä", "€", "😀", "\ufeff"), fc.boolean());
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), fc.integer({ min: 4, max: 9 }), (data, chunkSize) => {
        const pushed = data.flatMap(([each, asText]): StreamData[] =>
          asText ? each.split("") : pieces(utf8(each), [1, 2])
        );
        const chunks = cut(new Cutter(chunkSize, true), pushed);
        expect(chunks.map(fromUtf8).join("")).toBe(data.map(([each]) => each).join(""));
      }),
      runs,
    );
  });

  test("refuses bytes that are not UTF-8, where they come or where they end", () => {
    const push = (...data: unknown[]) => codeThrown(() => cut(new Cutter(8, true), data));
    expect(push(new Uint8Array([0xff]))).toBe("malformed");
    expect(push(new Uint8Array([0xed, 0xa0, 0x80]))).toBe("malformed");
    expect(push(new Uint8Array([0xe2, 0x82]))).toBe("malformed");
    expect(push(new Uint8Array([0xe2]), "a", new Uint8Array([0x82, 0xac]))).toBe("malformed");
    expect(push(new Uint8Array([0xe2]), new Uint8Array([0x82, 0xac]))).toBe("nothing");
  });

  test("writes half a pair of surrogates as every encoder does", () => {
    const chunks = cut(new Cutter(8, true), ["a\ud83d", "b", "\ude00", "\ud83d"]);
    expect(chunks.map(fromUtf8).join("")).toBe("a\ufffdb\ufffd\ufffd");
  });
});

describe("what cannot be cut", () => {
  const sizes = [0, -1, 1.5, NaN, Infinity, MIB + 1, "64", null];
  test.each(sizes.map((size) => [`${typeof size} ${size}`, size] as const))(
    "is told: a chunkSize of %s",
    (_, chunkSize) => {
      expect(codeThrown(() => new Cutter(chunkSize as number))).toBe("invalid-option");
    },
  );

  test("text in chunks shorter than a character is one of them", () => {
    expect(codeThrown(() => new Cutter(3, true))).toBe("invalid-option");
    expect(codeThrown(() => new Cutter(4, true))).toBe("nothing");
    expect(codeThrown(() => new Cutter(1))).toBe("nothing");
    expect(codeThrown(() => new Cutter(MIB))).toBe("nothing");
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a number", 5],
    ["an object", { bytes: 1 }],
    ["a list", [1, 2]],
    ["an ArrayBuffer", new ArrayBuffer(4)],
    ["a DataView", new DataView(new ArrayBuffer(4))],
    ["a Uint16Array", new Uint16Array(4)],
    ["something without a text of its own", Object.create(null)],
    ["a symbol", Symbol("x")],
  ])("is told: %s", (_, data) => {
    expect(codeThrown(() => new Cutter().push(data))).toBe("malformed");
    expect(codeThrown(() => new Cutter(8, true).push(data))).toBe("malformed");
  });
});

describe("chunker()", () => {
  async function through(data: readonly unknown[], stream: TransformStream<StreamData, Bytes>) {
    const source = new ReadableStream<StreamData>({
      start(controller) {
        for (const each of data) controller.enqueue(each as StreamData);
        controller.close();
      },
    });
    const chunks: Bytes[] = [];
    const reader = source.pipeThrough(stream).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return chunks;
      chunks.push(value);
    }
  }

  test("is a TransformStream from any pieces to chunks", async () => {
    const whole = pattern(200_000);
    const chunks = await through(pieces(whole, [7, 70_000, 150_000]), chunker());
    expect(chunks.map(({ byteLength }) => byteLength)).toEqual([65_536, 65_536, 65_536, 3_392]);
    expect(concatBytes(...chunks)).toEqual(whole);
    const texts = await through(["aä€", "😀"], chunker(4, { text: true }));
    expect(texts.map(fromUtf8)).toEqual(["aä", "€", "😀"]);
    expect(await through([], chunker(4))).toEqual([]);
  });

  test("throws for a bad size and fails for bad data", async () => {
    expect(codeThrown(() => chunker(0))).toBe("invalid-option");
    const failed = await through([{}], chunker()).catch((thrown: FlotillaError) => thrown.code);
    expect(failed).toBe("malformed");
    const broken = await through([new Uint8Array([0xe2])], chunker(4, { text: true }))
      .catch((thrown: FlotillaError) => thrown.code);
    expect(broken).toBe("malformed");
  });
});
