/**
 * The core under test. The simulator and the scripts take it as an argument, so that they can be run against
 * copies of the core with a planted bug; everything else they import is the real one.
 */
import { RawNode } from "../../src/raft/core/raw_node.ts";

export interface Core {
  readonly RawNode: typeof RawNode;
}

export const realCore: Core = { RawNode };
