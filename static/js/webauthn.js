// Passkeys: before a form marked data-passkey is sent, the browser is asked for the credential that goes with it.
// data-passkey says what for (create or get); the server's options are in the JSON of #data-passkey-options, or are
// fetched from data-passkey-from.
(() => {
  "use strict";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  const optionsOf = async (form) => {
    if (form.dataset.passkeyFrom) {
      const response = await fetch(form.dataset.passkeyFrom, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`options: ${response.status}`);
      return (await response.json()).request_options.publicKey;
    }
    const data = JSON.parse(document.getElementById(form.dataset.passkeyOptions).textContent);
    return (data.creation_options || data.request_options).publicKey;
  };

  const ceremonies = {
    create: (options) => navigator.credentials.create({ publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: known(options.excludeCredentials),
      // One that the device keeps logs in without an address or a password; an older key is a second factor.
      authenticatorSelection: { ...options.authenticatorSelection, residentKey: "preferred", requireResidentKey: false },
    } }),
    get: (options) => navigator.credentials.get({ publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: known(options.allowCredentials),
    } }),
  };

  const asJson = ({ id, rawId, type, response, ...rest }, extensions, attachment) => {
    const parts = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) parts[name] = text(response[name]);
    }
    if (response.getTransports) parts.transports = response.getTransports();
    return JSON.stringify({
      id, rawId: text(rawId), type, response: parts, clientExtensionResults: extensions, authenticatorAttachment: attachment,
    });
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const box = form.elements.credential;
    if (!form.dataset.passkey || !box || form.dataset.passkeyDone !== undefined) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const failed = form.querySelector("[data-passkey-failed]");
    if (failed) failed.hidden = true;
    try {
      const credential = await ceremonies[form.dataset.passkey](await optionsOf(form));
      box.value = asJson(credential, credential.getClientExtensionResults(), credential.authenticatorAttachment || null);
      form.dataset.passkeyDone = "";
      form.requestSubmit();
      delete form.dataset.passkeyDone;
    } catch {
      // Called off, timed out, none there, or none allowed: the browser has said which, and keeps it from us.
      if (failed) failed.hidden = false;
    }
  }, true);
})();
