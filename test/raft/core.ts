/**
 * The core under test. The simulator takes it as an argument, so that it can be run against copies of the core
 * with a planted bug; everything else it imports is the real one.
 */
import { RawNode } from "../../../src/raft/core/raw_node.ts";

export interface Core {
  readonly RawNode: typeof RawNode;
}

export const realCore: Core = { RawNode };
