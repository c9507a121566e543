/** Keys that a node derives from what all nodes of its cluster know, each for one use. */
import { type Bytes, utf8 } from "./bytes.ts";

/**
 * 256 bits for `use`, of the cluster's secret under its name (HKDF, RFC 5869). Without a secret, give "": the same code
 * runs on what everybody can know.
 */
export async function derivedBits(clusterName: string, secret: string, use: string): Promise<Bytes> {
  const root = await crypto.subtle.importKey("raw", utf8(`flotilla secret ${secret}`), "HKDF", false, [
    "deriveBits",
  ]);
  const salt = utf8(`flotilla cluster ${clusterName}`), info = utf8(`flotilla ${use}`);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, root, 256),
  );
}

/** A key for HMAC-SHA-256 for `use`. */
export async function derivedNameKey(clusterName: string, secret: string, use: string): Promise<CryptoKey> {
  const bits = await derivedBits(clusterName, secret, use);
  return await crypto.subtle.importKey("raw", bits, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}
