// Files of a form: several choices add up, dropped and pasted ones too, each can be taken out, and sending shows how far
// it is. Without this file the form is a plain one; everything that is said here, the server says again.
(() => {
  "use strict";
  const on = (name, handler, options) => document.addEventListener(name, handler, options);
  const fieldOf = (element) => element.closest?.("form")?.querySelector("[data-files-field]");
  const inputOf = (field) => field.querySelector('input[type="file"]');
  const part = (field, name) => field.querySelector(`[data-${name}]`);
  const words = (field, name, facts = {}) => Object.entries(facts).reduce(
    (sentence, [key, value]) => sentence.replace(`%${key}`, () => value),
    field.dataset[`words${name}`],
  );
  const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.ceil(bytes / 1000))} kB` : `${Math.ceil(bytes / 1e5) / 10} MB`);
  const tell = (field, sentence) => { part(field, "told").textContent = sentence; };

  // What is chosen ---------------------------------------------------------------------------------------------------
  // An input forgets its files when others are chosen, so each field's files are kept here.
  const chosen = new WeakMap();
  const filesOf = (field) => chosen.get(field) || [];
  const same = (one, other) => one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;

  const refusal = (field, files) => {
    const { files: most, fileBytes, totalBytes } = inputOf(field).dataset;
    const large = files.find((file) => file.size > Number(fileBytes));
    if (large) return words(field, "Large", { name: large.name, size: size(large.size), most: size(Number(fileBytes)) });
    if (files.length > Number(most)) return words(field, "Many", { most });
    const together = files.reduce((sum, file) => sum + file.size, 0);
    return together > Number(totalBytes) ? words(field, "Together", { most: size(Number(totalBytes)) }) : "";
  };

  const draw = (field) => {
    const list = part(field, "chosen");
    list.replaceChildren(...filesOf(field).map((file, place) => {
      const item = document.createElement("li");
      const name = document.createElement("bdi");
      name.textContent = file.name;
      const about = document.createElement("span");
      about.className = "muted small nowrap";
      about.textContent = size(file.size);
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "dismiss";
      remove.textContent = "×";
      remove.dataset.removeFile = place;
      remove.setAttribute("aria-label", words(field, "Remove", { name: file.name }));
      item.append(name, about, remove);
      return item;
    }));
    list.hidden = !list.children.length;
  };

  const keep = (field, files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(file);
    inputOf(field).files = transfer.files;
    chosen.set(field, [...files]);
    draw(field);
  };

  // As many as fit, one after the other, so that one that is too large does not keep the others out.
  const add = (field, files) => {
    const kept = filesOf(field).slice();
    let refused = "";
    for (const file of files) {
      if (kept.some((other) => same(file, other))) continue;
      const sentence = refusal(field, [...kept, file]);
      if (sentence) refused ||= sentence;
      else kept.push(file);
    }
    keep(field, kept);
    const said = part(field, "refused");
    said.textContent = refused;
    said.hidden = !refused;
    field.querySelector("[data-choose-again]")?.remove();
    tell(field, kept.map((file) => file.name).join(", "));
  };

  on("change", ({ target }) => {
    if (target.type !== "file") return;
    const field = fieldOf(target);
    if (field) add(field, target.files);
  });
  on("click", ({ target }) => {
    const button = target.closest("[data-remove-file]");
    if (!button) return;
    const field = fieldOf(button);
    const place = Number(button.dataset.removeFile);
    keep(field, filesOf(field).filter((_file, index) => index !== place));
    part(field, "refused").hidden = true;
    const buttons = field.querySelectorAll("[data-remove-file]");
    (buttons[Math.min(place, buttons.length - 1)] || inputOf(field)).focus();
  });

  // Dropping and pasting ---------------------------------------------------------------------------------------------
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const unmark = () => { for (const form of document.querySelectorAll("form.dropping")) form.classList.remove("dropping"); };
  on("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // a file dropped beside the form would replace the page, and the words with it
    unmark();
    const field = fieldOf(event.target);
    event.dataTransfer.dropEffect = field ? "copy" : "none";
    if (field) field.closest("form").classList.add("dropping");
  });
  on("dragleave", (event) => { if (!event.relatedTarget) unmark(); });
  on("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    unmark();
    const field = fieldOf(event.target);
    if (field) add(field, event.dataTransfer.files);
  });
  on("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    const field = fieldOf(event.target);
    // Office programs put a picture of the text beside the text: then the text is meant.
    if (!files.length || !field || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    const now = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
    add(field, files.map((file) => {
      if (!/^image\.\w+$/.test(file.name)) return file;
      return new File([file], `${field.dataset.wordsPasted} ${now}.${file.name.split(".").pop()}`, { type: file.type });
    }));
  });

  // Sending ----------------------------------------------------------------------------------------------------------
  const busy = (form, is) => {
    form.toggleAttribute("data-sending", is);
    form.setAttribute("aria-busy", String(is));
    for (const element of form.elements) {
      if (element.type === "submit" || element.type === "file" || "removeFile" in element.dataset) element.disabled = is;
    }
    part(fieldOf(form.elements[0]), "upload").hidden = !is;
  };

  // A page that says why it was not taken takes this one's place, with the files still chosen.
  const showInstead = (request, form) => {
    const action = form.getAttribute("action");
    const files = filesOf(fieldOf(form.elements[0]));
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    document.title = page.title;
    document.body.replaceWith(document.adoptNode(page.body));
    for (const area of document.querySelectorAll("textarea[data-draft-key]")) {
      try { sessionStorage.removeItem(`draft:${area.dataset.draftKey}:sent`); } catch { /* closed to us */ }
    }
    window.htmx?.process(document.body);
    document.dispatchEvent(new CustomEvent("htmx:load", { detail: { elt: document.body } }));
    const again = [...document.forms].find((other) => other.querySelector("[data-files-field]") && other.getAttribute("action") === action);
    if (again && files.length) {
      add(fieldOf(again.elements[0]), files);
    }
    scrollTo(0, 0);
    (document.querySelector("[data-focus]") || document.querySelector("main"))?.focus();
  };

  // Too busy, too often, or more than a proxy lets through: the form stays as it is, to be sent again.
  const sentenceOf = (request) => {
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    return [...page.querySelectorAll("main h1, main > p:not(.muted), main .page-lead p")].map((each) => each.textContent.trim()).join(". ");
  };

  const send = (form, submitter) => {
    const field = fieldOf(form.elements[0]);
    const request = new XMLHttpRequest();
    const bar = part(field, "upload").querySelector("progress");
    const line = part(field, "upload-words");
    const said = part(field, "refused");
    const stop = (sentence) => {
      busy(form, false);
      said.textContent = sentence;
      said.hidden = false;
    };
    request.open("POST", form.action);
    // The server then names the next page instead of leading there, so that the page itself goes.
    request.setRequestHeader("HX-Request", "true");
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const done = Math.round((100 * loaded) / total);
      bar.value = done;
      line.textContent = words(field, done < 100 ? "Sending" : "Sent", { done });
    });
    request.addEventListener("load", () => {
      const next = request.getResponseHeader("HX-Redirect");
      if (next) location.assign(next);
      else if (request.status >= 500 || [413, 429].includes(request.status)) stop(sentenceOf(request) || words(field, "Failed"));
      else showInstead(request, form);
    });
    request.addEventListener("error", () => stop(words(field, "Failed")));
    request.addEventListener("abort", () => {
      stop(words(field, bar.value < 100 ? "Cancelled" : "Late"));
      inputOf(field).focus();
    });
    const data = new FormData(form, submitter);
    bar.value = 0;
    line.textContent = words(field, "Sending", { done: 0 });
    said.hidden = true;
    busy(form, true);
    const cancel = field.querySelector("[data-upload-cancel]");
    cancel.onclick = () => request.abort();
    cancel.focus();
    request.send(data);
  };

  on("submit", (event) => {
    const form = event.target;
    const field = form.elements?.[0] && form.querySelector("[data-files-field]");
    if (!field || event.defaultPrevented || !filesOf(field).length) return;
    event.preventDefault(); // site.js then leaves its buttons to us
    if (form.hasAttribute("data-sending")) return;
    for (const area of form.querySelectorAll("textarea[data-draft-key]")) {
      try { sessionStorage.setItem(`draft:${area.dataset.draftKey}:sent`, "1"); } catch { /* closed to us */ }
    }
    send(form, event.submitter);
  }, true);

  // A page from the history may still have its files in the input.
  addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("[data-files-field]")) {
      if (inputOf(field).files.length && !filesOf(field).length) add(field, inputOf(field).files);
    }
  });
})();
