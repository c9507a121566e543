/** Ways in which nodes find and reach each other: tests that are the same for all of them know no more of it. */
import type { ClusterOptions } from "../../src/cluster/options.ts";
import { demandRedis } from "./redis.ts";

/** Another node of the cluster. */
export interface MeshPeer {
  readonly nodeId: string;
  /** Where it listens: `ws://127.0.0.1:port`. */
  readonly url: string;
}

/** One cluster's way. */
export interface Mesh extends AsyncDisposable {
  /** For `createCluster`; the `peers` are all those that form the cluster with it. */
  options(peers: readonly MeshPeer[]): Partial<ClusterOptions>;
  /** The same for `examples/node.ts`. */
  flags(peers: readonly MeshPeer[]): string[];
}

export interface MeshKind {
  readonly name: string;
  /** Not there in `npm test -- --without-brokers`. */
  readonly isBroker: boolean;
  open(): Promise<Mesh>;
}

const SECRET = "known to all";

export const WS_MESH: MeshKind = {
  name: "ws",
  isBroker: false,
  open: () =>
    Promise.resolve({
      options: (peers) => ({ nodes: peers.map(({ url }) => url), secret: SECRET }),
      flags: (peers) => ["--nodes", peers.map(({ url }) => url).join(","), "--secret", SECRET],
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

const REDIS_MESH: MeshKind = {
  name: "redis",
  isBroker: true,
  async open() {
    const redis = await demandRedis();
    const ids = (peers: readonly MeshPeer[]): string[] => peers.map(({ nodeId }) => nodeId);
    return {
      options: (peers) => ({
        transportType: "redis",
        redisConnectionString: redis.url,
        nodes: ids(peers),
        secret: SECRET,
      }),
      flags: (peers) => [
        ...["--transport", "redis", "--redis", redis.url, "--secret", SECRET],
        ...["--nodes", ids(peers).join(",")],
      ],
      [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
    };
  },
};

/** Whoever uses these imports `support/redis.ts`, too, and skips by `withoutBrokers`. */
export const MESHES: readonly MeshKind[] = [WS_MESH, REDIS_MESH];
