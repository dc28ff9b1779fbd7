// What pages need beyond HTML. Every essential act works without this file; docs/look.md lists the attributes it reads.
(() => {
  "use strict";
  const root = document.documentElement;
  const words = root.dataset;
  const all = (selector, within = document) => within.querySelectorAll(selector);
  const on = (name, handler, options) => document.addEventListener(name, handler, options);
  const store = {
    get: (key) => { try { return sessionStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* full or closed: the page still works */ } },
    drop: (key) => { try { sessionStorage.removeItem(key); } catch { /* as above */ } },
  };
  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  };

  // Time ------------------------------------------------------------------------------------------------------------
  // A reader's clock may be wrong by minutes, so deadlines count from the server's. A page from the history is old,
  // and its server time with it: there the reader's clock is the better one.
  const revisited = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  const drift = revisited || !words.serverTime ? 0 : Date.parse(words.serverTime) - Date.now();
  const now = () => Date.now() + (Math.abs(drift) > 5000 ? drift : 0);
  const pad = (number) => String(number).padStart(2, "0");

  const tick = () => {
    for (const clock of all("[data-countdown]:not([data-over])")) {
      const left = Math.floor((Date.parse(clock.dateTime) - now()) / 1000);
      if (left <= 0) {
        clock.textContent = words.up;
        clock.dataset.over = "";
        clock.dispatchEvent(new CustomEvent("countdown:end", { bubbles: true }));
      } else {
        const minutes = Math.floor(left / 60);
        clock.textContent = left >= 3600
          ? words.hours.replace("%h", Math.floor(minutes / 60)).replace("%m", minutes % 60)
          : `${pad(minutes)}:${pad(left % 60)}`;
        clock.classList.toggle("soon", left < 300);
      }
    }
  };
  const refreshDistances = () => {
    for (const part of all("time > [data-distance]")) {
      const gap = Date.parse(part.parentElement.dateTime) - now();
      const minutes = Math.floor(Math.abs(gap) / 60000);
      if (minutes >= 24 * 60) continue; // days do not change while a page is open
      const length = minutes < 60 ? words.min.replace("%d", minutes) : words.hour.replace("%d", Math.floor(minutes / 60));
      part.textContent = minutes < 1 ? words.now : (gap > 0 ? words.in : words.ago).replace("%s", length);
    }
  };
  setInterval(tick, 1000);
  setInterval(refreshDistances, 30000);

  // Asking first ----------------------------------------------------------------------------------------------------
  const ask = (question, yes, danger) => new Promise((answer) => {
    const dialog = make("dialog", { class: "dialog", "aria-labelledby": "ask-title" });
    const form = make("form", { method: "dialog" });
    const actions = make("div", { class: "actions" });
    form.append(make("h2", { class: "h3", id: "ask-title" }, question));
    actions.append(
      make("button", { class: danger ? "btn btn-danger" : "btn btn-primary", value: "yes" }, yes || words.yes),
      make("button", { class: "btn", value: "no" }, words.no),
    );
    form.append(actions);
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    dialog.showModal();
  });

  on("submit", (event) => {
    const form = event.target;
    const asked = event.submitter?.dataset.confirm ? event.submitter : form;
    const question = asked.dataset.confirm;
    if (!question || form.dataset.confirmed !== undefined) {
      delete form.dataset.confirmed;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    const danger = event.submitter?.classList.contains("btn-danger");
    ask(question, asked.dataset.confirmYes || event.submitter?.textContent.trim(), danger).then((yes) => {
      if (!yes) return;
      form.dataset.confirmed = "";
      form.requestSubmit(event.submitter);
    });
  }, true);
  on("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    ask(event.detail.question).then((yes) => yes && event.detail.issueRequest(true));
  });

  // Sending once ----------------------------------------------------------------------------------------------------
  const wake = () => {
    for (const button of all("button[data-asleep]")) {
      button.disabled = false;
      delete button.dataset.asleep;
    }
  };
  on("submit", (event) => {
    if (event.defaultPrevented || event.target.method === "dialog") return;
    // After the browser has read the form: a sleeping button's own name and value would not be sent.
    setTimeout(() => {
      for (const button of event.target.elements) {
        if (button.type !== "submit" || button.disabled) continue;
        button.disabled = true;
        button.dataset.asleep = "";
      }
    });
    setTimeout(wake, 10000); // a download leaves the page standing
  });
  addEventListener("pageshow", wake);

  // Unsent words ----------------------------------------------------------------------------------------------------
  // A draft counts as sent once a page comes back that is no error and no login: those say <meta name="not-taken">.
  const draftKey = (area) => `draft:${area.dataset.draftKey}`;
  const notTaken = document.querySelector('meta[name="not-taken"]') !== null || revisited;
  const restore = (area) => {
    const key = draftKey(area);
    if (store.get(`${key}:sent`) && !notTaken) {
      store.drop(key);
      store.drop(`${key}:sent`);
    }
    const kept = store.get(key);
    if (!kept || area.value) return;
    area.value = kept;
    area.after(make("p", { class: "form-hint", role: "status" }, words.restored));
  };
  if (notTaken) {
    try {
      for (const key of Object.keys(sessionStorage)) if (/^draft:.*:sent$/.test(key)) store.drop(key);
    } catch { /* storage is closed to us */ }
  }
  on("submit", (event) => {
    for (const area of all("textarea[data-draft-key]", event.target)) store.set(`${draftKey(area)}:sent`, "1");
  });
  on("htmx:afterRequest", (event) => {
    if (!event.detail.successful) return;
    for (const area of all("textarea[data-draft-key]", event.target)) store.drop(draftKey(area));
  });

  // What is left of a text ------------------------------------------------------------------------------------------
  const count = (area) => {
    const most = Number(area.dataset.most);
    const left = most - area.value.length;
    let counter = area.parentElement.querySelector(".counter");
    if (!counter) {
      counter = make("p", { class: "form-hint counter", "aria-live": "polite" });
      area.after(counter);
    }
    counter.textContent = left < Math.max(most / 10, 50) ? words.left.replace("%s", left) : "";
  };
  on("input", ({ target }) => {
    if (target.matches("textarea[data-most]")) count(target);
    if (target.matches("textarea[data-draft-key]")) store.set(draftKey(target), target.value);
  });

  // Clicks ----------------------------------------------------------------------------------------------------------
  const showTheme = () => {
    for (const choice of all("[data-set-theme]")) {
      choice.setAttribute("aria-pressed", String(choice.dataset.setTheme === words.themeChoice));
    }
  };
  const clicks = {
    dismiss: (button) => button.closest(".alert").remove(),
    dialog: (button) => document.getElementById(button.dataset.dialog)?.showModal(),
    copy: (button) => navigator.clipboard.writeText(button.dataset.copy).then(() => {
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 2000);
    }),
    setTheme: (button) => {
      try { localStorage.setItem("theme", button.dataset.setTheme); } catch { /* follows the system then */ }
      dispatchEvent(new Event("theme:chosen"));
      showTheme();
    },
    fill: (button) => {
      for (const [name, value] of Object.entries(JSON.parse(button.dataset.fill))) {
        const input = document.querySelector(`[name="${name}"]`);
        if (input) input.value = value;
      }
      document.querySelector(button.dataset.fillThen)?.focus();
    },
  };
  on("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    const button = event.target.closest("button");
    if (!button) return;
    for (const [name, act] of Object.entries(clicks)) if (name in button.dataset) act(button);
  });
  on("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  on("change", ({ target }) => target.closest("form[data-autosubmit]")?.requestSubmit());

  // htmx ------------------------------------------------------------------------------------------------------------
  on("htmx:beforeRequest", () => root.classList.add("loading"));
  on("htmx:afterRequest", () => root.classList.remove("loading"));
  on("htmx:load", ({ detail }) => prepare(detail.elt));

  const prepare = (part) => {
    for (const hidden of all("[data-needs-js], [data-dismiss]", part)) hidden.hidden = false;
    for (const area of all("textarea[data-draft-key]", part)) restore(area);
    for (const area of all("textarea[data-most]", part)) count(area);
    tick();
    refreshDistances();
  };
  prepare(document);
  showTheme();
  document.querySelector("[data-focus]")?.focus();
})();
