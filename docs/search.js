/* The search of the site. Pages opened from a folder cannot fetch files, but they can load a script:
   docs/make_search.py writes all sections as one, search_index.js. */
"use strict";

(() => {
  /** A section: [address, heading, path of the page in the menu, text, weight]. */
  const SHOWN = 12;
  const OF_A_PAGE = 3;
  const EMPTY = new Set(
    ("a an and any are as at be been but by can could did do does for from get got has have how i if in " +
      "into is it its just me my no not of on one or our so some than that the their them then there " +
      "these they this to too want was we were what when where which who why will with would you your").split(" "),
  );
  /** Other words for the same thing; the first is the one that the pages use. */
  const SAME = [
    ["photo", "image", "picture", "pic", "file"],
    ["colour", "color", "palette"],
    ["few", "fewer", "less", "reduce", "coarse"],
    ["more", "many", "finer"],
    ["class", "category", "label"],
    ["split", "separate", "divide", "distinguish"],
    ["merge", "join", "combine", "unite", "same"],
    ["change", "edit", "alter"],
    ["find", "found", "left", "skip", "miss", "missing", "ignore"],
    ["slow", "fast", "speed", "faster", "time"],
    ["memory", "ram", "oom"],
    ["mask", "segmentation", "overlay"],
    ["gpu", "cuda"],
    ["install", "pip", "setup"],
    ["name", "rename"],
    ["delete", "remove", "clear"],
    ["grey", "gray", "grayscale"],
  ];

  const stem = (word) =>
    word.length < 4
      ? word
      : word
          .replace(/(?:isation|ization)s?$/, "ise")
          .replace(/ies$/, "y")
          .replace(/(ss|sh|ch|x)es$/, "$1")
          .replace(/([^su])s$/, "$1")
          .replace(/(?:ing|ed)$/, (end, at, all) => (at > 2 ? "" : all.slice(at)))
          .replace(/([^aeiouls])\1$/, "$1")
          .replace(/(..)e$/, "$1");
  const words = (text) => (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) || []).map(stem);
  const kin = new Map(
    SAME.flatMap((group) => {
      const stems = [...new Set(group.map(stem))];
      return stems.map((word) => [word, stems.filter((other) => other !== word)]);
    }),
  );

  /** What is searched: for each section the number of times that a stem is in heading and text. */
  let sections;
  const counted = (text) => {
    const counts = new Map();
    for (const word of words(text)) counts.set(word, (counts.get(word) || 0) + 1);
    return counts;
  };
  const prepare = (index) => {
    sections = index.map(([address, heading, path, text, weight]) => ({
      address, heading, path, text, weight,
      length: text.length,
      inHeading: counted(heading),
      inPath: counted(path[path.length - 1] || ""),
      inText: counted(text),
    }));
  };

  /** How well a word fits a section, from 0; `partial` words may be the beginning of one. */
  const fit = (word, section, partial) => {
    const times = (counts) => {
      let all = counts.get(word) || 0;
      if (partial && word.length > 2 && !all) {
        for (const [other, count] of counts) if (other.startsWith(word)) all += 0.6 * count;
      }
      return all;
    };
    const often = times(section.inText);
    const usual = 0.4 + section.length / 2500;
    return (
      3 * Math.min(times(section.inHeading), 1) +
      1.2 * Math.min(times(section.inPath), 1) +
      (1.6 * often) / (often + usual)
    );
  };

  const search = (query) => {
    const all = words(query);
    const telling = all.filter((word, at) => !EMPTY.has(word) || (at === all.length - 1 && all.length === 1));
    const asked = [...new Set(telling.length ? telling : all)];
    const typing = /[\p{L}\p{N}]$/u.test(query);
    const fits = asked.map((word, at) => {
      const partial = typing && at === asked.length - 1;
      return sections.map((section) =>
        Math.max(
          fit(word, section, partial),
          ...(kin.get(word) || []).map((other) => 0.6 * fit(other, section, false)),
        ),
      );
    });
    const rare = fits.map((row) => Math.log(1 + sections.length / (1 + row.filter(Boolean).length)));
    const scored = sections.map((section, at) => {
      const met = fits.filter((row) => row[at] > 0).length / asked.length;
      const sum = fits.reduce((total, row, word) => total + row[at] * rare[word], 0);
      return { section, score: sum * met * met * section.weight };
    });
    const ofPage = new Map();
    return scored
      .filter((one) => one.score > 0)
      .sort((a, b) => b.score - a.score)
      .filter(({ section }) => {
        const page = section.address.split("#")[0];
        ofPage.set(page, (ofPage.get(page) || 0) + 1);
        return ofPage.get(page) <= OF_A_PAGE;
      })
      .slice(0, SHOWN)
      .map((one) => ({ ...one, asked }));
  };

  /** Fills an element with text, the words that were asked for marked. */
  const mark = (element, text, asked) => {
    const known = new Set(asked.flatMap((word) => [word, ...(kin.get(word) || [])]));
    let end = 0;
    for (const found of text.matchAll(/[\p{L}\p{N}]+/gu)) {
      if (!known.has(stem(found[0].toLowerCase()))) continue;
      element.append(text.slice(end, found.index));
      element.append(Object.assign(document.createElement("mark"), { textContent: found[0] }));
      end = found.index + found[0].length;
    }
    element.append(text.slice(end));
    return element;
  };

  /** About 160 signs of the text, where the words that were asked for are densest. */
  const excerpt = (text, asked) => {
    const known = new Set(asked.flatMap((word) => [word, ...(kin.get(word) || [])]));
    const places = [...text.matchAll(/[\p{L}\p{N}]+/gu)]
      .filter((found) => known.has(stem(found[0].toLowerCase())))
      .map((found) => found.index);
    let from = places[0] || 0;
    let most = 0;
    for (const place of places) {
      const near = places.filter((other) => other >= place && other < place + 140).length;
      if (near > most) [most, from] = [near, place];
    }
    from = Math.max(0, text.lastIndexOf(" ", Math.max(0, from - 30)));
    const cut = text.slice(from, from + 160);
    return (from ? "…" : "") + cut.trimStart() + (from + 160 < text.length ? "…" : "");
  };

  const element = (kind, name, text = "") =>
    Object.assign(document.createElement(kind), { className: name, textContent: text });

  const box = document.querySelector(".find__box");
  if (!box) return;
  const base = box.dataset.base.replace(/\/?$/, "/");
  const input = box.querySelector(".find__words");
  const said = box.querySelector(".find__said");
  const list = box.querySelector(".find__list");

  const show = () => {
    const query = input.value.trim();
    list.replaceChildren();
    said.textContent = "";
    if (!sections || !query) return;
    const found = search(query);
    said.textContent = found.length ? "" : "Nothing found. Try fewer or other words.";
    for (const { section, asked } of found) {
      const link = element("a", "find__link");
      link.href = base + section.address;
      link.append(
        mark(element("span", "find__heading"), section.heading, asked),
        element("span", "find__path", section.path.join(" › ")),
        mark(element("span", "find__text"), excerpt(section.text, asked), asked),
      );
      link.addEventListener("click", () => box.close());
      const item = element("li", "find__item");
      item.append(link);
      list.append(item);
    }
  };

  const load = () => {
    if (sections || document.querySelector("script[data-index]")) return;
    const script = document.createElement("script");
    script.src = base + "search_index.js";
    script.dataset.index = "";
    script.addEventListener("load", () => {
      prepare(globalThis.picieSearchIndex);
      show();
    });
    script.addEventListener("error", () => {
      said.textContent = "The site has no search_index.js: build it with make docs.";
    });
    document.head.append(script);
  };

  const open = () => {
    load();
    if (!box.open) box.showModal();
    input.select();
  };

  document.querySelector(".find__open").addEventListener("click", open);
  document.querySelector("label[for=__search]")?.addEventListener("click", (event) => {
    event.preventDefault(); // it would only tick the theme's own box
    open();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(?:input|textarea|select)$/i.test(event.target.tagName);
    const wanted = event.key === "/" || (event.key === "k" && (event.ctrlKey || event.metaKey));
    if (wanted && !typing && !event.altKey) {
      event.preventDefault();
      open();
    }
  });
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close(); // beside the box
  });
  box.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && links.length) {
      event.preventDefault();
      (at + step < 0 ? input : links[Math.min(at + step, links.length - 1)]).focus();
    } else if (event.key === "Enter" && document.activeElement === input && links.length) {
      event.preventDefault();
      links[0].click();
    } else if (event.key === "Escape") {
      event.preventDefault(); // a search field would only be emptied
      box.close();
    }
  });
  input.addEventListener("input", show);
})();
