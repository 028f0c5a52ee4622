/** Every claim of CLAIMS.md, in its order. */
import { AOF_LOSS_CLAIMS } from "./aof-loss.ts";
import { AOF_ORDER_CLAIMS } from "./aof-order.ts";
import { AOF_RECOVERY_CLAIMS } from "./aof-recovery.ts";
import type { Claim } from "./claim.ts";
import { WAL_BINLOG_CLAIMS } from "./wal-binlog.ts";
import { WAL_ORDER_CLAIMS } from "./wal-order.ts";
import { WAL_PAGES_CLAIMS } from "./wal-pages.ts";
import { WAL_REDO_CLAIMS } from "./wal-redo.ts";
import { WAL_TWO_LOGS_CLAIMS } from "./wal-two-logs.ts";

const byNumber = (a: Claim, b: Claim): number =>
  a.id[0] === b.id[0] ? Number(a.id.slice(1)) - Number(b.id.slice(1)) : a.id < b.id ? -1 : 1;

export const CLAIMS: readonly Claim[] = [
  ...AOF_ORDER_CLAIMS,
  ...AOF_LOSS_CLAIMS,
  ...AOF_RECOVERY_CLAIMS,
  ...WAL_ORDER_CLAIMS,
  ...WAL_TWO_LOGS_CLAIMS,
  ...WAL_REDO_CLAIMS,
  ...WAL_PAGES_CLAIMS,
  ...WAL_BINLOG_CLAIMS,
].sort(byNumber);
