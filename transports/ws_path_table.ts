/** The open paths of a transport, by the node they claim to lead to. */
import type { WsPath } from "./ws_path.ts";

/** Accepted sockets, in all, whose other side has proven nothing yet. */
const UNPROVEN_PATHS_MAX = 128;
/** Of those, the ones that claim a node to which a proven path exists. */
const UNPROVEN_RIVALS_MAX = 4;

export class PathTable {
  /** In the order of opening. */
  readonly #open = new Set<WsPath>();
  /** Accepted and unproven, in the order of opening. */
  readonly #unproven = new Set<WsPath>();
  /** In the order of claiming. */
  readonly #claims = new Map<string, Set<WsPath>>();
  readonly #proven = new Map<string, WsPath>();

  /** Takes a path that has just opened; returns the one that must go to make room. */
  add(path: WsPath): WsPath | undefined {
    this.#open.add(path);
    if (path.outbound) return undefined;
    this.#unproven.add(path);
    return this.#unproven.size > UNPROVEN_PATHS_MAX ? first(this.#unproven) : undefined;
  }

  /** `path` claims `nodeId`; returns the path that must go to make room. */
  claim(path: WsPath, nodeId: string): WsPath | undefined {
    path.nodeId = nodeId;
    let claims = this.#claims.get(nodeId);
    if (claims === undefined) this.#claims.set(nodeId, claims = new Set());
    claims.add(path);
    if (!this.#proven.has(nodeId)) return undefined;
    const rivals = [...claims].filter((claim) => this.#unproven.has(claim));
    return rivals.length > UNPROVEN_RIVALS_MAX ? rivals[0] : undefined;
  }

  /** `path` leads to `nodeId`; returns the other paths that claim it. */
  confirm(path: WsPath, nodeId: string): WsPath[] {
    if (path.nodeId !== nodeId) this.#unclaim(path);
    this.claim(path, nodeId);
    this.#unproven.delete(path);
    this.#proven.set(nodeId, path);
    return [...this.#claims.get(nodeId) ?? []].filter((claim) => claim !== path);
  }

  /** True when it was the proven path to its node. */
  remove(path: WsPath): boolean {
    this.#open.delete(path);
    this.#unproven.delete(path);
    return this.#unclaim(path);
  }

  proven(nodeId: string): WsPath | undefined {
    return this.#proven.get(nodeId);
  }

  /** The proven path to a node, else the newest that claims it. */
  route(nodeId: string): WsPath | undefined {
    return this.#proven.get(nodeId) ?? [...this.#claims.get(nodeId) ?? []].at(-1);
  }

  /** Every node that some path claims to lead to. */
  nodeIds(): string[] {
    return [...this.#claims.keys()];
  }

  provenPaths(): WsPath[] {
    return [...this.#proven.values()];
  }

  openPaths(): WsPath[] {
    return [...this.#open];
  }

  #unclaim(path: WsPath): boolean {
    const { nodeId } = path;
    if (nodeId === undefined) return false;
    const claims = this.#claims.get(nodeId);
    claims?.delete(path);
    if (claims?.size === 0) this.#claims.delete(nodeId);
    return this.#proven.get(nodeId) === path && this.#proven.delete(nodeId);
  }
}

function first<Item>(items: Iterable<Item>): Item | undefined {
  for (const item of items) return item;
  return undefined;
}
