/** Pages for what one recovery writes: used again by the next, so that a million recoveries leave no garbage. */
import { PAGE_BYTES } from "./page-store.ts";

export class PagePool {
  readonly #pages: Uint8Array[] = [];
  #used = 0;

  /** A page with any content, until `reset`. */
  take(): Uint8Array {
    let page = this.#pages[this.#used];
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.push(page);
    }
    this.#used++;
    return page;
  }

  /** All pages taken are free: nobody may use them any more. */
  reset(): void {
    this.#used = 0;
  }
}
