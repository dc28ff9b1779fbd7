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
  // As the server says it (aegir_support/uploads.py).
  const size = (field, bytes) => {
    if (bytes < 1000) return words(field, bytes === 1 ? "Byte" : "Bytes", { n: bytes });
    if (bytes < 1e6) return words(field, "Kilobytes", { n: Math.ceil(bytes / 1000) });
    return words(field, "Megabytes", { n: Math.ceil(bytes / 1e5) / 10 });
  };
  const tell = (field, sentence) => { part(field, "told").textContent = sentence; };

  // What is chosen ---------------------------------------------------------------------------------------------------
  // An input forgets its files when others are chosen, so each field's files are kept here.
  const chosen = new WeakMap();
  const filesOf = (field) => chosen.get(field) || [];
  const namesOf = (files) => files.map((file) => file.name).join(", ");
  const same = (one, other) => one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;

  // What is wrong with this file by itself, and why it does not fit beside the others.
  const fault = (field, file) => {
    const most = Number(inputOf(field).dataset.fileBytes);
    if (!file.size) return words(field, "Empty", { name: file.name });
    return file.size > most ? words(field, "Large", { name: file.name, size: size(field, file.size), most: size(field, most) }) : "";
  };
  const misfit = (field, files) => {
    const { files: most, totalBytes } = inputOf(field).dataset;
    if (files.length > Number(most)) return words(field, "Many", { most });
    const together = files.reduce((sum, file) => sum + file.size, 0);
    return together > Number(totalBytes) ? words(field, "Together", { most: size(field, Number(totalBytes)) }) : "";
  };

  const draw = (field) => {
    const list = part(field, "chosen");
    list.replaceChildren(...filesOf(field).map((file, place) => {
      const item = document.createElement("li");
      const name = document.createElement("bdi");
      name.textContent = file.name;
      const about = document.createElement("span");
      about.className = "muted small nowrap";
      about.textContent = size(field, file.size);
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
    tell(field, files.length ? words(field, "Now", { names: namesOf(files) }) : words(field, "None"));
  };
  const refuse = (field, sentence) => {
    const said = part(field, "refused");
    said.textContent = sentence;
    said.hidden = !sentence;
  };

  // As many as fit, one after the other, so that one that is too large does not keep the others out.
  const add = (field, files) => {
    const kept = filesOf(field).slice();
    const sentences = [];
    const left = new Map(); // the files left out, by the reason
    for (const file of files) {
      if (kept.some((other) => same(file, other))) continue;
      const wrong = fault(field, file);
      const reason = wrong ? "" : misfit(field, [...kept, file]);
      if (wrong) sentences.push(wrong);
      else if (reason) left.set(reason, [...(left.get(reason) || []), file]);
      else kept.push(file);
    }
    for (const [reason, those] of left) sentences.push(`${words(field, "NotTaken", { names: namesOf(those) })} ${reason}`);
    keep(field, kept);
    refuse(field, sentences.join(" "));
    field.querySelector("[data-choose-again]")?.remove();
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
    refuse(field, ""); // what it said was about another choice
    const buttons = field.querySelectorAll("[data-remove-file]");
    (buttons[Math.min(place, buttons.length - 1)] || inputOf(field)).focus();
  });

  // Dropping and pasting ---------------------------------------------------------------------------------------------
  const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  // Beside every form the files go to the only one in sight.
  const fieldAt = (target) => {
    const inSight = [...document.querySelectorAll("[data-files-field]")].filter((field) => field.checkVisibility());
    return fieldOf(target) || (inSight.length === 1 ? inSight[0] : null);
  };
  // Where several or none are in sight, we do not guess.
  const sayBeside = () => {
    document.querySelector("[data-beside]")?.remove();
    const field = document.querySelector("[data-files-field]");
    const place = document.getElementById("messages");
    if (!field || !place) return;
    const said = document.createElement("p");
    said.className = "field-error";
    said.dataset.beside = "";
    said.textContent = words(field, "Beside");
    place.append(said);
    said.scrollIntoView({ block: "nearest" });
  };
  const unmark = () => { for (const form of document.querySelectorAll("form.dropping")) form.classList.remove("dropping"); };
  on("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // a file dropped beside the form would replace the page, and the words with it
    unmark();
    const field = fieldAt(event.target);
    event.dataTransfer.dropEffect = "copy"; // else the browser would not tell us of the drop
    if (field) field.closest("form").classList.add("dropping");
  });
  on("dragleave", (event) => { if (!event.relatedTarget) unmark(); });
  on("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    unmark();
    const field = fieldAt(event.target);
    if (!field) return sayBeside();
    document.querySelector("[data-beside]")?.remove();
    add(field, event.dataTransfer.files);
    if (!fieldOf(event.target)) field.scrollIntoView({ block: "nearest" });
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

  // Files without words ----------------------------------------------------------------------------------------------
  // The browser's own bubble is gone in a moment, and says no more than that something is missing.
  const wordless = (area) => document.getElementById(`${area.id}_wordless`);
  on("invalid", (event) => {
    const area = event.target;
    const field = area.matches("textarea") && area.validity.valueMissing && fieldOf(area);
    if (!field || !filesOf(field).length) return;
    event.preventDefault();
    if (!wordless(area)) {
      const said = document.createElement("p");
      said.className = "field-error";
      said.id = `${area.id}_wordless`;
      said.textContent = words(field, "Wordless");
      area.before(said);
      area.setAttribute("aria-describedby", [area.getAttribute("aria-describedby"), said.id].filter(Boolean).join(" "));
      area.setAttribute("aria-invalid", "true");
    }
    if (area.form.querySelector(":invalid") === area) area.focus();
  }, true);
  on("input", ({ target }) => {
    if (!target.id || !wordless(target)) return;
    const others = (target.getAttribute("aria-describedby") || "").split(" ").filter((id) => id !== `${target.id}_wordless`);
    wordless(target).remove();
    target.toggleAttribute("aria-describedby", Boolean(others.length));
    if (others.length) target.setAttribute("aria-describedby", others.join(" "));
    target.removeAttribute("aria-invalid");
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
