/**
 * The door to xxhash-wasm: XXH64 of bytes that come piece by piece. It guards against our own faults, not
 * against attackers. Chosen because many digests can run side by side in one WASM instance, it is 3 kB, has no
 * dependencies and runs on all three runtimes and in browsers.
 *
 * Where WASM may not be compiled (a page's security policy) there is no digest, and `newDigest` says so.
 */
type XxhashModule = typeof import("xxhash-wasm");

const fromNpm = async (): Promise<XxhashModule> => {
  const specifier: string = "npm:xxhash-wasm@1.1.0";
  return await import(specifier);
};
const { default: load }: XxhashModule = await import("xxhash-wasm").catch(fromNpm);
const xxhash = await load().catch(() => undefined);

/** A digest that grows with every update. */
export interface Digest {
  update(bytes: Uint8Array): void;
  /** XXH64, seed 0, of all bytes so far. */
  value(): bigint;
}

/** Undefined where WASM is forbidden. */
export function newDigest(): Digest | undefined {
  if (xxhash === undefined) return undefined;
  const hasher = xxhash.create64();
  return { update: (bytes) => void hasher.update(bytes), value: () => hasher.digest() };
}
