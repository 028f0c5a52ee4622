/** Commands about the client's connection. */

export * from "./client.ts";
export * from "./hello.ts";
export * from "./session.ts";
