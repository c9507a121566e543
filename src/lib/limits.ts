/** Limits that several layers share; each stands here once, with its unit. */

/** UTF-8 bytes of a nodeId. */
export const NODE_ID_BYTES_MAX = 128;
/** UTF-8 bytes of a connectionId. */
export const CONNECTION_ID_BYTES_MAX = 256;
/** UTF-8 bytes of a close reason (RFC 6455, 5.5: a control frame's payload is at most 125, two are the code). */
export const CLOSE_REASON_BYTES_MAX = 123;
/** The longest delay every runtime's timers take, in milliseconds. */
export const TIMER_MS_MAX = 2_147_483_647;
/** Bytes of the longest message of a client, in and out, where nothing else is said: 16 MiB. */
export const MESSAGE_BYTES_MAX_DEFAULT = 16_777_216;
