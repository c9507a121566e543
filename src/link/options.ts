/** What the links are told. */
export interface LinkOptions {
  /** Two clusters of different names never meet. */
  readonly clusterName: string;
  /** What every node of the cluster knows; undefined for none. */
  readonly secret: string | undefined;
  /** `auto`: seal except on ways that are private by themselves; `always`; `never`. Default `auto`. */
  readonly seal: "auto" | "always" | "never";
  /** Pings fill silence of so many milliseconds. Default 1,000. */
  readonly pingIntervalMs: number;
  /** Milliseconds of silence after which a peer is down and its session over. Default 5,000. */
  readonly peerTimeoutMs: number;
  /** Bytes that a bulk lane may have outstanding towards this node. Default 2 MiB. */
  readonly laneWindowBytes: number;
  /** Bytes that may wait on a bulk lane before `full`. Default 4 MiB. */
  readonly laneQueueBytes: number;
  /** Bytes of the longest frame. Default 32 MiB. */
  readonly frameBytesMax: number;
}

export const LINK_DEFAULTS: Omit<LinkOptions, "clusterName" | "secret"> = {
  seal: "auto",
  pingIntervalMs: 1_000,
  peerTimeoutMs: 5_000,
  laneWindowBytes: 2 * 1_048_576,
  laneQueueBytes: 4 * 1_048_576,
  frameBytesMax: 32 * 1_048_576,
};
