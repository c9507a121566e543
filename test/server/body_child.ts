/** `BodyReader` as a process, for test/server/bodies.mixed.test.ts. */
import { BodyReader } from "./body_reader.ts";

const { listener } = await BodyReader.start();
console.log(`listening on ${listener.port}`);
