/**
 * A whole node: clients on `/ws`, other nodes on `/cluster`, the HTTP API on `/api`, `/healthz`, `/readyz`.
 *
 *     deno run -A examples/node.ts --port 8080
 *     bun run examples/node.ts --port 8081 --nodes ws://127.0.0.1:8080
 *     node examples/node.ts --port 8082 --nodes ws://127.0.0.1:8080
 *
 * SIGTERM or SIGINT lets the clients move elsewhere and ends it; the second one ends it at once.
 */
import { runNode } from "./node_run.ts";

await runNode("examples/node.ts");
