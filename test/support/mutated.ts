import { type Bytes, concatBytes } from "../../src/lib/bytes.ts";

/** `packet` with some bytes changed, cut off or doubled, by the numbers in `changes`. */
export function mutated(packet: Bytes, changes: readonly number[]): Bytes {
  let out = packet.slice();
  for (const change of changes) {
    const at = change % Math.max(1, out.byteLength);
    if (change % 11 === 0) out = out.slice(0, at);
    else if (change % 13 === 0) out = concatBytes(out, out.subarray(at));
    else if (out.byteLength > 0) out[at] = (out[at] as number) ^ (1 + change % 255);
  }
  return out;
}
