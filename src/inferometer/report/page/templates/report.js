// A page at work: language, light and dark, choices, pictures when they come into view, print, files to keep.
(() => {
  const root = document.documentElement;
  const WORDS = {
    zoomIn: ["zoom in", "放大"], zoomOut: ["zoom out", "缩小"], reset: ["reset the zoom", "重置缩放"],
    png: ["save as PNG", "保存为 PNG"], csv: ["save the data as CSV", "保存数据为 CSV"], copied: ["copied", "已复制"],
    simulated: ["simulated", "模拟"],
  };
  const PRINT_PX = 660;
  const pictures = new Map();  // figure -> {plot, span, chart}
  const t = (words) => words[root.lang === "zh" ? 1 : 0];
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch (error) { /* a file may have no storage */ } };
  const kept = (name) => { try { return localStorage.getItem(name); } catch (error) { return null; } };

  root.classList.add("scripted");

  function colours(printing) {
    const css = getComputedStyle(root), of = (name) => css.getPropertyValue(`--${name}`).trim();
    return { ink: of("ink"), soft: of("soft"), line: of("line"), card: of("card"), paper: of("paper"), accent: of("accent"), shade: of("shade"),
      main: of("main"), second: of("second"), third: of("third"), good: of("c-good"), bad: of("c-bad"), asked: of("asked"),
      quiet: of("quiet"), band: of("band"), early: of("early"), mid: of("mid"), midtone: of("mid"), late: of("late"),
      font: getComputedStyle(document.body).fontFamily, dark: css.colorScheme === "dark" && !printing,
      coarse: matchMedia("(pointer: coarse)").matches };
  }

  function context(picture, width) {
    return { ...colours(), t, span: picture.span, narrow: width < 480, width, still: root.classList.contains("printing") };
  }

  function plotOf(figure) {
    if (!pictures.has(figure)) {
      const raw = figure.querySelector("script[type='application/json']").textContent;
      const span = figure.dataset.span ? figure.dataset.span.split(" ").map(Number) : [NaN, NaN];
      pictures.set(figure, { plot: Charts.decode(JSON.parse(raw)), span, chart: null });
    }
    return pictures.get(figure);
  }

  function draw(figure, width) {
    const picture = plotOf(figure), place = figure.querySelector(".plot");
    if (picture.chart) picture.chart.dispose();
    const size = width ? { width, height: 320 } : {};
    if (picture.plot.type === "forest") place.style.height = `${90 + 30 * picture.plot.rows.length}px`;
    picture.chart = echarts.init(place, null, size);
    picture.chart.setOption(Charts.option(picture.plot, context(picture, width || place.clientWidth)));
    if (picture.plot.link) {
      picture.chart.group = picture.plot.link;
      echarts.connect(picture.plot.link);
    }
  }

  function drawAgain() {
    for (const [figure, picture] of pictures) {
      if (!picture.chart) continue;
      if (figure.querySelector(".plot").clientWidth) {
        draw(figure);
      } else {  // out of sight, in a fold or a choice: when it is seen again
        picture.chart.dispose();
        picture.chart = null;
        near.unobserve(figure);
        near.observe(figure);
      }
    }
  }

  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !(pictures.get(target) || {}).chart) draw(target);
    }
  }, { rootMargin: "400px" });

  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const picture = pictures.get(target.closest("figure"));
      if (picture && picture.chart && target.clientWidth && !root.classList.contains("printing")) picture.chart.resize();
    }
  });

  // ---- tools of a picture

  function tools(figure) {
    const bar = figure.querySelector(".tools");
    const add = (sign, words, act) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sign;
      Object.assign(button.dataset, { en: words[0], zh: words[1] });
      button.title = t(words);
      button.setAttribute("aria-label", t(words));
      button.addEventListener("click", () => { if (!plotOf(figure).chart) draw(figure); act(plotOf(figure)); });
      bar.append(button);
    };
    if (figure.classList.contains("chart") || figure.classList.contains("gantt")) {
      add("+", WORDS.zoomIn, (picture) => zoom(picture, 0.5));
      add("−", WORDS.zoomOut, (picture) => zoom(picture, 2));
      add("⟲", WORDS.reset, (picture) => picture.chart.dispatchAction({ type: "dataZoom", start: 0, end: 100 }));
    }
    add("PNG", WORDS.png, (picture) => save(image(picture), `${picture.plot.key}.png`));
    add("CSV", WORDS.csv, (picture) => {
      const url = URL.createObjectURL(new Blob(["\ufeff" + csv(picture.plot, JSON.parse(figure.dataset.columns))], { type: "text/csv" }));
      save(url, `${picture.plot.key}.csv`);
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    });
  }

  function zoom(picture, factor) {
    const { start, end } = picture.chart.getOption().dataZoom[0];
    const middle = (start + end) / 2, half = Math.min(50, Math.max(0.05, (end - start) / 2 * factor));
    const from = Math.min(Math.max(0, middle - half), 100 - 2 * half);
    picture.chart.dispatchAction({ type: "dataZoom", start: from, end: from + 2 * half });
  }

  function save(url, name) {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
  }

  // The picture alone says what it is, of how many, and whether it was simulated.
  function image(picture) {
    const away = document.createElement("div"), { plot } = picture, c = { ...context(picture, 1000), still: true };
    const chart = echarts.init(away, null, { width: 1000, height: 600, devicePixelRatio: 2 });
    const option = Charts.option(plot, c);
    const simulated = document.querySelector("nav .simulated") ? ` · ${t(WORDS.simulated)}` : "";
    option.title = { text: t(plot.title), subtext: `n = ${plot.n.toLocaleString("en-US")} ${t(plot.of)}${simulated}`, left: 12, top: 8,
      textStyle: { color: c.ink, fontSize: 18 }, subtextStyle: { color: c.soft, fontSize: 13 } };
    option.legend = { ...option.legend, top: 62 };
    option.grid = { ...option.grid, top: option.grid.top + 62 };
    option.dataZoom = [];
    chart.setOption(option);
    const url = chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: c.paper });
    chart.dispose();
    return url;
  }

  // ---- CSV, in the same long form as inferometer.report.plots.table

  const quoted = (value) => {
    let text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;  // no formula in a spreadsheet
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function csv(plot, header) {
    return [header, ...Rows.of(plot)].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
  }

  // ---- language, theme, choices, copying

  function setLanguage(language) {
    root.lang = language;
    document.title = root.dataset[language === "zh" ? "titleZh" : "titleEn"];
    for (const element of document.querySelectorAll("[data-en]")) {
      const text = element.dataset[language];
      if (element.tagName === "OPTION") element.textContent = text;
      else element.title = text;
      if (element.tagName === "BUTTON") element.setAttribute("aria-label", text);
    }
    const button = document.getElementById("language");
    if (button) {
      button.textContent = language === "zh" ? "English" : "中文";
      button.lang = language === "zh" ? "en" : "zh";
      button.setAttribute("aria-label", language === "zh" ? "switch to English / 切换为英文" : "切换为中文 / switch to Chinese");
    }
    drawAgain();
  }

  function asked() {
    const found = /(?:^#|&)lang=(en|zh)\b/.exec(location.hash);
    return found && found[1];
  }

  function dark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function listen() {
    const language = document.getElementById("language"), theme = document.getElementById("theme");
    if (language) {
      language.addEventListener("click", () => {
        const wanted = root.lang === "zh" ? "en" : "zh";
        keep("inferometer.language", wanted);
        setLanguage(wanted);
      });
    }
    if (theme) {
      theme.addEventListener("click", () => {
        root.dataset.theme = dark() ? "light" : "dark";
        keep("inferometer.theme", root.dataset.theme);
        drawAgain();
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
    addEventListener("hashchange", () => {
      if (asked()) setLanguage(asked());
      reveal();
    });
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
  }

  // A link into what is folded, or not chosen, opens it.
  function reveal() {
    let element = null;
    try { element = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch (error) { return; }
    if (!element) return;
    for (let e = element; e; e = e.parentElement) {
      if (e.tagName === "DETAILS") e.open = true;
      if (e.classList.contains("option")) choose(e.parentElement, [...e.parentElement.querySelectorAll(":scope > .option")].indexOf(e));
    }
    const folded = element.querySelector(":scope > details.folded");
    if (folded) folded.open = true;
    element.scrollIntoView();
  }

  function choose(choice, place) {
    choice.querySelectorAll(":scope > .option").forEach((option, i) => option.classList.toggle("chosen", i === place));
    choice.querySelector(":scope > label select").value = String(place);
  }

  function copy(button) {
    const text = button.parentElement.querySelector("pre").textContent, before = button.innerHTML;
    const done = () => {
      button.textContent = t(WORDS.copied);
      setTimeout(() => { button.innerHTML = before; }, 1500);
    };
    const bySelection = () => {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (document.execCommand("copy")) done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, bySelection);
    else bySelection();
  }

  // ---- print: everything open and drawn, in light colours, as wide as the paper

  let opened = [], theme = null;

  function beforePrint() {
    if (root.classList.contains("printing")) return;
    root.classList.add("printing");
    theme = root.dataset.theme ?? null;
    root.dataset.theme = "light";
    opened = [...document.querySelectorAll("details.folded:not([open])")];
    for (const details of opened) details.open = true;
    for (const figure of document.querySelectorAll("figure")) draw(figure, PRINT_PX);
  }

  function afterPrint() {
    if (!root.classList.contains("printing")) return;
    for (const details of opened) details.open = false;
    if (theme === null) delete root.dataset.theme;
    else root.dataset.theme = theme;
    root.classList.remove("printing");
    drawAgain();
  }

  // ---- start; `inferometerPage.adopt` does the same for blocks that come later

  function adopt(part) {
    for (const figure of part.querySelectorAll("figure")) {
      tools(figure);
      near.observe(figure);
      sized.observe(figure.querySelector(".plot"));
    }
    for (const select of part.querySelectorAll(".choice > label select")) {
      select.addEventListener("change", () => choose(select.closest(".choice"), Number(select.value)));
    }
    for (const button of part.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
  }

  function forget(part) {
    for (const figure of part.querySelectorAll("figure")) {
      const picture = pictures.get(figure);
      if (picture && picture.chart) picture.chart.dispose();
      pictures.delete(figure);
      near.unobserve(figure);
      sized.unobserve(figure.querySelector(".plot"));
    }
  }

  // New data for a picture that is there, without taking it away and making it again.
  function renew(figure, raw) {
    figure.querySelector("script[type='application/json']").textContent = raw;
    const known = pictures.get(figure);
    if (!known) return;
    known.plot = Charts.decode(JSON.parse(raw));
    if (known.chart) known.chart.setOption(Charts.option(known.plot, context(known, known.chart.getWidth())), true);
  }

  const before = kept("inferometer.theme");
  if (before === "dark" || before === "light") root.dataset.theme = before;
  adopt(document);
  listen();
  const wanted = asked() || kept("inferometer.language");
  if (wanted === "en" || wanted === "zh") setLanguage(wanted);
  reveal();
  window.inferometerPage = { adopt, forget, renew, setLanguage, csv: (figure) => csv(plotOf(figure).plot, JSON.parse(figure.dataset.columns)) };
})();
