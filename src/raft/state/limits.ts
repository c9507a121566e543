/** Bounds of the replicated state. Every node must have the same ones: they decide what an entry does. */

/** UTF-8 bytes of a key. */
export const KEY_BYTES_MAX = 512;
/** Bytes of a value: 1 MiB. */
export const VALUE_BYTES_MAX = 1_048_576;
/** Bytes of all keys, values, lease names and holders, and `ITEM_BYTES` for each key and lease: 16 MiB. */
export const STATE_BYTES_MAX = 16_777_216;
/** Bytes that a key or a lease counts besides its own, so that many small ones stay bounded too. */
export const ITEM_BYTES = 64;

export const LEASES_MAX = 10_000;
/** UTF-8 bytes of a lease's name. */
export const LEASE_NAME_BYTES_MAX = 512;
/** UTF-8 bytes of what a lease's holder calls itself. */
export const LEASE_HOLDER_BYTES_MAX = 256;
/** Milliseconds for which a lease is granted. */
export const LEASE_TTL_MS_MIN = 100;
/** The same: one day. */
export const LEASE_TTL_MS_MAX = 86_400_000;

export const SESSIONS_MAX = 10_000;
/** Sequences of one session whose results are remembered, counted back from its highest. */
export const RESULTS_PER_SESSION_MAX = 4_096;
/** Results remembered in all sessions together. */
export const RESULTS_MAX = 262_144;
/** Sessions remembered as ended, so that none of them opens again. */
export const ENDED_SESSIONS_MAX = 4_096;

export const MEMBERS_MAX = 1_024;
/** Members remembered as forgotten. */
export const FORGOTTEN_MEMBERS_MAX = 1_024;
/** UTF-8 bytes of a member's public URL. */
export const PUBLIC_URL_BYTES_MAX = 2_048;
/** UTF-8 bytes of a member's incarnation. */
export const INCARNATION_BYTES_MAX = 64;
/** UTF-8 bytes of a cluster's id. */
export const CLUSTER_ID_BYTES_MAX = 128;
/** Clusters that this one was re-formed from; older ones are forgotten. */
export const LINEAGE_MAX = 16;

/** No counter starts higher, so that none ever leaves the safe integers. */
export const COUNTER_MAX: number = 2 ** 52;

/** Changes of the map kept for watchers. */
export const HISTORY_CHANGES_MAX = 8_192;
/** Bytes of their keys and values: 8 MiB. */
export const HISTORY_BYTES_MAX = 8_388_608;
