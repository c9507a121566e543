/**
 * The door to AMQP 0-9-1 by @cloudamqp/amqp-client, which is loaded when somebody asks for RabbitMQ and not before. Only
 * what reads and writes the protocol: it needs no sockets, so it loads wherever this library does. Without a package.json
 * in reach the bare specifiers do not resolve and the `npm:` ones do.
 */
export interface AmqpModule {
  readonly AMQPBaseClient: typeof import("@cloudamqp/amqp-client/amqp-base-client").AMQPBaseClient;
  readonly AMQPView: typeof import("@cloudamqp/amqp-client/amqp-view").AMQPView;
}

export type AmqpChannel = Awaited<ReturnType<InstanceType<AmqpModule["AMQPBaseClient"]>["channel"]>>;

const fromNpm = async (): Promise<AmqpModule> => {
  const client: string = "npm:@cloudamqp/amqp-client@4.1.1/amqp-base-client";
  const view: string = "npm:@cloudamqp/amqp-client@4.1.1/amqp-view";
  return { ...await import(client), ...await import(view) };
};

const fromPackage = async (): Promise<AmqpModule> => ({
  ...await import("@cloudamqp/amqp-client/amqp-base-client"),
  ...await import("@cloudamqp/amqp-client/amqp-view"),
});

export async function loadAmqp(): Promise<AmqpModule> {
  return await fromPackage().catch(fromNpm);
}
