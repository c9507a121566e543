/**
 * A digest of a set of claims that does not depend on their order: the sum of a hash of each, so that
 * adding and removing one costs the same however many there are. Two 32-bit sums of differently mixed
 * hashes. It guards against faults of our own; what travels between nodes is guarded against others by the
 * link.
 */
export interface Digest {
  /** Claims in the set. */
  count: number;
  /** Unsigned 32-bit sums. */
  low: number;
  high: number;
}

export function emptyDigest(): Digest {
  return { count: 0, low: 0, high: 0 };
}

export function equalDigests(a: Digest, b: Digest): boolean {
  return a.count === b.count && a.low === b.low && a.high === b.high;
}

/** Adds one claim to `digest` (`times` 1) or takes it away (-1). */
export function countClaim(digest: Digest, times: 1 | -1, id: string, handle: number, stamp: number): void {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ handle, 0x85ebca6b) ^ Math.floor(handle / 4_294_967_296);
  hash = Math.imul(hash ^ (hash >>> 15) ^ stamp, 0xc2b2ae35) ^ Math.floor(stamp / 4_294_967_296);
  digest.count += times;
  digest.low = (digest.low + times * (finish(hash) >>> 0)) >>> 0;
  digest.high = (digest.high + times * (finish(hash ^ 0x9e3779b9 ^ (id.length << 16)) >>> 0)) >>> 0;
}

/** The finalizer of MurmurHash3 (Austin Appleby, public domain): every input bit reaches every output bit. */
function finish(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
