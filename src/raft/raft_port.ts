/** Raft's own port on the links. */
export const RAFT_PORT = 5;
