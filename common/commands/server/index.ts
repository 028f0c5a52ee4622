/** Commands about the server. */
export {};
