/**
 * Which CBOR this room reads. CBOR can say one thing in several ways, and cbor-x knows extensions of which
 * some depend on what it decoded earlier: a node that joined later might read another command, or none, in
 * the same entry. So only what `encodeCbor` writes for fields gets to the decoder.
 */
import { decodeCbor } from "../../lib/cbor.ts";
import { FlotillaError, reasonOf } from "../../lib/errors.ts";

const MAJOR_WHOLE = 0, MAJOR_BYTES = 2, MAJOR_LIST = 4;
const FALSE = 0xf4, TRUE = 0xf5, NULL = 0xf6, FLOAT64 = 0xfb;

/** The value in `bytes`, byte strings in it as views. Throws `malformed`; the message calls them `what`. */
export function decodePlain(bytes: Uint8Array, what: string): unknown {
  if (!isPlain(bytes)) throw new FlotillaError("malformed", `read ${what}: not the CBOR of this room`);
  try {
    return decodeCbor(bytes);
  } catch (cause) {
    throw new FlotillaError("malformed", `read ${what}: ${reasonOf(cause)}`, { cause });
  }
}

/** Whether there are only whole numbers, byte strings, lists, flags and null, each as short as it can be. */
function isPlain(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.byteLength) {
    const first = bytes[at++] as number;
    const major = first >> 5;
    if (major === MAJOR_WHOLE || major === MAJOR_BYTES || major === MAJOR_LIST) {
      let value = first & 0x1f;
      if (value > 0x1a) return false;
      if (value >= 0x18) {
        const width = 1 << (value - 0x18);
        const least = width === 1 ? 0x18 : width === 2 ? 0x100 : 0x10000;
        value = 0;
        for (const end = at + width; at < end; at++) value = value * 256 + (bytes[at] ?? NaN);
        if (!(value >= least)) return false;
      }
      if (major === MAJOR_BYTES) at += value;
    } else if (first === FLOAT64) {
      // cbor-x writes numbers from 2^32 on as floats.
      if (at + 8 > bytes.byteLength) return false;
      const value = new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0);
      if (!Number.isSafeInteger(value) || value < 4_294_967_296) return false;
      at += 8;
    } else if (first !== FALSE && first !== TRUE && first !== NULL) {
      return false;
    }
  }
  return at === bytes.byteLength;
}
