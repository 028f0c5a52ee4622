/** For clients with several requests in flight: what they send in one turn of the event loop leaves as one write. */
import type { Socket } from "node:net";

/** Call it before a write; the socket is uncorked when all that runs now has run. */
export function corkForTurn(socket: Socket): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  process.nextTick(() => socket.uncork());
}
