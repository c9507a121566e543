import type { LinkStats } from "./contract.ts";

/** All counters at zero. */
export function emptyStats(): LinkStats {
  return {
    packetsSent: 0,
    packetsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    retransmits: 0,
    dropped: { malformed: 0, unsealed: 0, replayed: 0, "unknown-session": 0, flood: 0 },
    refused: { "wrong-secret": 0, "wrong-cluster": 0, "wrong-version": 0, "id-in-use": 0 },
    sessionsStarted: 0,
    sessionsResumed: 0,
    sessionsEnded: 0,
    transport: {},
  };
}
