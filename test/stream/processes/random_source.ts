import { createHash, type Hash } from "node:crypto";

/** The longest piece that the source yields, in bytes: longer than a chunk. */
const PIECE_BYTES_MAX = 200_000;

/** `bytes` random bytes, the same for the same seed, in pieces of random sizes; with the SHA-256 of what was read. */
export class RandomSource {
  readonly #hash: Hash = createHash("sha256");
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes read so far. */
  read = 0;
  /** Why it was cancelled. */
  cancelled: unknown;

  constructor(bytes: number, seed: number) {
    const next = xorshift(seed);
    this.readable = new ReadableStream({
      pull: (controller) => {
        const length = Math.min(bytes - this.read, 1 + next() % PIECE_BYTES_MAX);
        if (length === 0) return controller.close();
        const words = new Uint32Array(Math.ceil(length / 4));
        for (let index = 0; index < words.length; index++) words[index] = next();
        const piece = new Uint8Array(words.buffer, 0, length);
        this.#hash.update(piece);
        this.read += length;
        controller.enqueue(piece);
      },
      cancel: (reason) => void (this.cancelled = reason),
    }, { highWaterMark: 0 });
  }

  /** Once all is read. */
  sha256(): string {
    return this.#hash.digest("hex");
  }
}

/** Marsaglia's xorshift of 32 bits: "Xorshift RNGs", 2003. */
function xorshift(seed: number): () => number {
  let state = (seed | 0) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
