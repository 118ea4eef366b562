// The API key that the server may want: asked for once, kept in this tab, sent with each call.

import { byId } from "./dom.js";

const KEPT = "tandem-key";
let asking = null;

/** Returns the headers that carry the key, none where none was given. */
export function credentials() {
  const key = sessionStorage.getItem(KEPT);
  return key === null ? {} : { Authorization: `Bearer ${key}` };
}

/** Asks the person for a key and resolves once there is one; calls that are refused together ask once. */
export function askForKey(reason) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    byId("key-reason").textContent = reason;
    byId("key-form").onsubmit = () => {
      // A header holds no more than this; another key than a printable one would be an error of the browser's.
      sessionStorage.setItem(KEPT, byId("key").value.trim().replace(/[^\x21-\x7e]/g, ""));
      byId("key").value = "";
      asking = null;
      resolve();
    };
    dialog.oncancel = (event) => event.preventDefault(); // there is nothing to see behind it
    if (!dialog.open) dialog.showModal();
  });
  return asking;
}
