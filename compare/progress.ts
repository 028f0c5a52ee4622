/** A line on standard error that says what is running; only on a terminal. */

export class Progress {
  readonly #isShown = process.stderr.isTTY === true;
  readonly #startedAt = performance.now();
  #total: number;
  #done = 0;

  /** `total`: units of work. */
  constructor(total: number) {
    this.#total = total;
  }

  /** There is more to do than was known. */
  expect(units: number): void {
    this.#total += units;
  }

  /** `units` more are done; `what` runs now. */
  advance(units: number, what: string): void {
    this.#done += units;
    if (!this.#isShown) return;
    const elapsed = (performance.now() - this.#startedAt) / 1000;
    const left =
      this.#done === 0 ? "" : `, ${((elapsed / this.#done) * Math.max(0, this.#total - this.#done)).toFixed(0)} s left`;
    const text = `${this.#done}/${this.#total}  ${elapsed.toFixed(0)} s${left}  ${what}`;
    process.stderr.write(`\r\u001b[2K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) process.stderr.write("\r\u001b[2K");
  }
}
