/**
 * The door to cbor-x: plain interoperable CBOR, pure JavaScript (no native addon, no `eval`).
 * Decoded values are `unknown`; whoever decodes checks their shape.
 *
 * Without a package.json in reach (the raw mod.ts imported from a URL on Deno) the bare specifier does not
 * resolve and the `npm:` one does. cbor-extract is named first there so that the resolver reuses 2.2.2:
 * 2.2.3 lacks its prebuilt packages, and its compiled addon crashes Deno and Bun. It is never loaded.
 */
type CborModule = typeof import("cbor-x/index-no-eval");

const fromNpm = async (): Promise<CborModule> => {
  const addon: string = "npm:cbor-extract@2.2.2";
  const codec: string = "npm:cbor-x@1.6.8/index-no-eval";
  await import(addon).catch(() => undefined);
  return await import(codec);
};
const { Encoder }: CborModule = await import("cbor-x/index-no-eval").catch(fromNpm);

const codec = new Encoder({ useRecords: false, tagUint8Array: false });

/** `value` as CBOR, in bytes of its own. */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(codec.encode(value));
}

/** The value in `bytes`; byte strings in it are views of `bytes`. Throws on anything that is not one CBOR item. */
export function decodeCbor(bytes: Uint8Array): unknown {
  return codec.decode(bytes);
}
