/**
 * A witness: the third vote of a cluster whose state two nodes keep. It has the flags of `examples/node.ts`, keeps
 * no state and takes no clients; with `--data-dir` it is still the same member after a restart.
 *
 *     deno run -A examples/witness.ts --id w --port 8082 --nodes a@127.0.0.1:8080,b@127.0.0.1:8081
 *     bun run examples/witness.ts --id w --port 8082 --nodes a@127.0.0.1:8080,b@127.0.0.1:8081
 *     node examples/witness.ts --id w --port 8082 --nodes a@127.0.0.1:8080,b@127.0.0.1:8081
 *
 * The other two list it as they list each other.
 */
import { runNode } from "./node_run.ts";

await runNode("examples/witness.ts", { witness: true });
