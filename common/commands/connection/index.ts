/** Commands about the client's connection. */
export {};
