// A page for React. Import it before react-dom, which looks for one when it is loaded.
import { Window } from "happy-dom";

const window = new Window({ url: "https://app.test" });
const { document, navigator, MutationObserver } = window;
for (const [name, value] of Object.entries({ window, document, navigator, MutationObserver }))
  Object.defineProperty(globalThis, name, { value });

/** closePage ends what the page does, so that the process can end. */
export const closePage = (): Promise<void> => window.happyDOM.close();

/** container adds an element to the page. */
export function container(html = ""): Element {
  const element = globalThis.document.createElement("div");
  element.innerHTML = html;
  globalThis.document.body.append(element);
  return element;
}
