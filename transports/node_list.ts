/** The list of nodes as a user writes it. */
import { FlotillaError, shown } from "../src/lib/errors.ts";
import { isNodeId } from "../src/lib/ids.ts";

/** Where a node is, as far as it is known: at least one of the two is given. */
export interface NodeAddress {
  readonly nodeId?: string;
  /** `ws://host:port` or `wss://host:port`, without a path. */
  readonly url?: string;
}

export interface NodeListOptions {
  /** This node's own id: its entries are skipped. */
  readonly self: string;
  /** Refuse entries that are only an id: the transport dials, and has nothing to dial. */
  readonly addressRequired: boolean;
}

const FORMS = "ws://host:port/nodeId, wss://host:port/nodeId, ws://host:port or nodeId@host:port";

/**
 * Reads entries of the forms `ws://host:port/nodeId` (`wss:` for TLS), `ws://host:port` (the id is learnt),
 * `nodeId@host:port` and `nodeId`; IPv6 hosts stand in brackets, and an id in a URL is percent-encoded.
 * Entries that name the same address or the same bare id are merged; the order is that of the list.
 *
 * @throws FlotillaError `invalid-option` naming the entry that cannot be used.
 */
export function parseNodeList(entries: readonly string[], options: NodeListOptions): NodeAddress[] {
  const merged = new Map<string, NodeAddress>();
  for (const entry of entries) {
    const address = parseEntry(entry.trim());
    const { nodeId, url } = address;
    if (nodeId === options.self) continue;
    if (url === undefined && options.addressRequired) {
      throw badEntry(entry, `this transport dials, so the node needs an address: ${FORMS}`);
    }
    const key = url ?? `id ${nodeId}`;
    const known = merged.get(key);
    if (known?.nodeId !== undefined && nodeId !== undefined && known.nodeId !== nodeId) {
      throw badEntry(entry, `the same address is listed for ${shown(known.nodeId)}`);
    }
    merged.set(key, { ...known, ...address });
  }
  const all = [...merged.values()];
  const addressed = new Set(all.filter(({ url }) => url !== undefined).map(({ nodeId }) => nodeId));
  return all.filter(({ nodeId, url }) => url !== undefined || !addressed.has(nodeId));
}

/**
 * `ws://host:port` of a ws: or wss: URL, in the one form that equal addresses share; undefined for
 * anything else.
 */
export function socketOrigin(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, host, username, password } = new URL(text);
  if ((protocol !== "ws:" && protocol !== "wss:") || host === "" || username !== "" || password !== "") {
    return undefined;
  }
  return `${protocol}//${host}`;
}

/** Whether nobody can see or touch what travels there: it stays on this machine, or under TLS. */
export function isPrivateUrl(url: string): boolean {
  return isLoopbackUrl(url) || url.startsWith("wss:");
}

/** Whether `url` leads to this machine itself. */
export function isLoopbackUrl(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function parseEntry(entry: string): NodeAddress {
  if (entry.includes("://")) return parseUrl(entry);
  const at = entry.lastIndexOf("@");
  if (at < 0) return { nodeId: checkedId(entry, entry) };
  const host = entry.slice(at + 1);
  const url = socketOrigin(`ws://${host}`);
  if (url === undefined || host === "" || /[/?#]/.test(host)) {
    throw badEntry(entry, `${shown(host)} is not host:port`);
  }
  return { nodeId: checkedId(entry.slice(0, at), entry), url };
}

function parseUrl(entry: string): NodeAddress {
  const url = socketOrigin(entry);
  if (url === undefined) throw badEntry(entry, `not one of ${FORMS}`);
  const { pathname, search, hash } = new URL(entry);
  if (search !== "" || hash !== "" || pathname.indexOf("/", 1) > 0) {
    throw badEntry(entry, "behind the address only a nodeId may follow");
  }
  if (pathname === "/") return { url };
  return { nodeId: checkedId(decoded(pathname.slice(1), entry), entry), url };
}

function decoded(text: string, entry: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw badEntry(entry, `${shown(text)} is not percent-encoded UTF-8`, cause);
  }
}

function checkedId(nodeId: string, entry: string): string {
  if (isNodeId(nodeId)) return nodeId;
  throw badEntry(entry, `${shown(nodeId)} is not a nodeId (1 to 128 bytes, no control characters)`);
}

function badEntry(entry: string, why: string, cause?: unknown): FlotillaError {
  return new FlotillaError("invalid-option", `nodes: entry ${shown(entry)}: ${why}`, { cause });
}
