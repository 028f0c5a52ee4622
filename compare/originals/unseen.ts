/**
 * Cases of claims that no installed original can show, and why: printed with the claim. Their measured column is derived from
 * what was measured.
 */

const MEMORY = "what goes on in its memory cannot be seen from outside; what it asks of the disk is seen";
const OTHER_ORDER = "its order cannot be reversed; the measured column is what the reason says";

/** By claim: why none of its cases can be seen, or by case. */
const REASONS: Readonly<Record<string, string | Readonly<Record<string, string>>>> = {
  A1: { always: MEMORY },
  A3: OTHER_ORDER,
  A4: OTHER_ORDER,
  A9: { "log first, SET": OTHER_ORDER, "log first, a command that fails": OTHER_ORDER },
  W1: { "1/1, one SET": MEMORY, "1/1, its commit": MEMORY },
  W13: {
    "a large group, synced in the background":
      "it does not sync small and large groups in different ways; its commit is the other case",
  },
  W21: { "time of one synced write": "this measures the machine's disk, not a server" },
  W22: OTHER_ORDER,
  W28: { "it is ignored": "it always asks the page's LSN" },
  W30: { "reversed, the disk is whole": OTHER_ORDER },
  W31: {
    "redo-log-files-in-group 2 (as MySQL before 8.0.30)": "MySQL is not installed; MariaDB has one file",
    "redo-log-files-in-group 32 (as MySQL since 8.0.30)": "MySQL is not installed; MariaDB has one file",
  },
};

export function whyUnseen(claim: string, when: string): string | undefined {
  const reasons = REASONS[claim];
  return typeof reasons === "object" ? reasons[when] : reasons;
}
