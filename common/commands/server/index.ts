/** Commands about the server. */

export * from "./append-only-file.ts";
export * from "./binary-log.ts";
export * from "./command.ts";
export * from "./config.ts";
export * from "./flush.ts";
export * from "./info.ts";
export * from "./shutdown.ts";
