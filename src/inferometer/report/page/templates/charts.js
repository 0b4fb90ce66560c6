"use strict";
// Typed plots (inferometer.report.plots.model) as options of Apache ECharts. Nothing is computed here but pixels.
const Charts = (() => {
  const SYMBOLS = ["circle", "triangle", "diamond", "rect", "emptyCircle", "emptyTriangle", "emptyDiamond"];
  const DASHES = ["solid", "dashed", "dotted", [10, 3, 2, 3]];
  const RAMP = { light: ["#440154", "#3b528b", "#21918c", "#35a55f", "#b8a500"],
    dark: ["#a58bff", "#7c9cf0", "#35b8b0", "#6fd36a", "#fde725"] };
  const CIVIDIS = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"];

  // A column: numbers, or little-endian float32 in Base64; null is a missing value.
  function column(raw) {
    if (!raw) return null;
    if (Array.isArray(raw)) return raw.map((v) => (v === null ? NaN : v));
    const bytes = Uint8Array.from(atob(raw.f), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  }

  function decode(plot) {
    const names = { chart: [], gantt: ["lane", "index", "planned", "sent", "first", "last", "end", "ok"],
      heat: ["x_edges", "y_edges"], forest: [] }[plot.type];
    for (const name of names) plot[name] = column(plot[name]);
    if (plot.type === "heat") {
      plot.values = plot.values.map(column);
      plot.counts = plot.counts.map(column);
    }
    for (const s of plot.series || []) {
      for (const name of ["x", "y", "low", "high", "x_low", "x_high"]) s[name] = column(s[name]);
    }
    return plot;
  }

  const known = Number.isFinite;
  const gap = (v) => (known(v) ? v : null);

  function figure(v) {
    if (v === null || v === undefined || !known(v)) return "–";
    const size = Math.abs(v);
    const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return v.toLocaleString("en-US", { maximumFractionDigits: digits });
  }

  const titled = (axis, t) => t(axis.name) + (axis.unit ? ` (${axis.unit})` : "");

  // 1, 2 and 5 times each power of ten, from below `low` to above `high`.
  function decades(low, high) {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      for (const m of [1, 2, 5]) ticks.push(Number((m * 10 ** e).toPrecision(1)));
    }
    const from = Math.max(0, ticks.findIndex((v) => v > low * 1.0000001) - 1);
    const to = ticks.findIndex((v) => v >= high * 0.9999999);
    return ticks.slice(from, to + 1);
  }

  function nice(low, high) {
    const step0 = (high - low || Math.abs(high) || 1) / 5;
    const power = 10 ** Math.floor(Math.log10(step0));
    const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= step0 * 0.9999);
    return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  }

  function reach(columns, marks, log) {
    let low = Infinity, high = -Infinity;
    for (const values of columns) {
      for (const v of values || []) if (known(v) && (!log || v > 0)) { low = Math.min(low, v); high = Math.max(high, v); }
    }
    if (low > high) [low, high] = log ? [1, 10] : [0, 1];
    for (const v of marks) {  // a limit far away would squeeze what was measured into a corner
      if (!known(v) || (log && v <= 0)) continue;
      if (v <= (log ? 10 : 3) * high) high = Math.max(high, v);
      if (!log || v >= low / 10) low = Math.min(low, v);
    }
    return [low, high];
  }

  function axis(spec, [low, high], exact, c) {
    const shared = {
      name: titled(spec, c.t), nameLocation: "middle", nameTextStyle: { color: c.soft, fontSize: 12 },
      axisLabel: { color: c.soft, formatter: figure, hideOverlap: true, fontSize: 11 },
      axisLine: { show: true, lineStyle: { color: c.line } }, axisTick: { lineStyle: { color: c.line } },
      splitLine: { lineStyle: { color: c.line, width: 0.6 } }, minorSplitLine: { show: false },
    };
    if (spec.scale === "log") {
      const all = decades(low, high);
      const wide = high / low > 200 ? all.filter((v) => /^[^1-9]*1/.test(String(v))) : all;
      if (all.length < 2) all.push(all[0] * 2);
      shared.axisLabel.customValues = wide.length > 1 ? wide : all;
      shared.axisTick.customValues = shared.axisLabel.customValues;
      shared.splitLine.show = false;
      return { ...shared, type: "log", min: exact ? low : all[0], max: exact ? high : all[all.length - 1] };
    }
    if (exact) return { ...shared, type: "value", min: low, max: high };
    const from = Math.min(0, low);
    const [min, max] = nice(from, high > from ? high : from + 1);
    return { ...shared, type: "value", min, max };
  }

  // One colour a role, varied along a family's shade; where colours are alike, or not seen, dashes and shapes differ.
  function styles(series, c) {
    const seen = {}, firsts = { main: 0, second: 1, third: 2, good: 3, bad: 1, asked: 0, quiet: 4, band: 0 };
    const ramp = RAMP[c.dark ? "dark" : "light"];
    return series.map((s, i) => {
      const shaded = s.shade !== null && s.shade !== undefined;
      const k = (seen[s.role] = (seen[s.role] ?? -1) + 1), place = shaded ? i : firsts[s.role] + k;
      const base = { main: c.main, second: c.second, third: c.third, good: c.good, bad: c.bad, asked: c.asked,
        quiet: c.quiet, band: c.band }[s.role];
      return { color: shaded ? mixed(ramp, s.shade) : base, symbol: SYMBOLS[place % SYMBOLS.length],
        dash: s.role === "asked" ? "dashed" : DASHES[(shaded ? i : firsts[s.role] % 3 + k) % DASHES.length] };
    });
  }

  function mixed(stops, at) {
    const place = Math.min(stops.length - 2, Math.floor(at * (stops.length - 1)));
    return echarts.color.lerp(at * (stops.length - 1) - place, [stops[place], stops[place + 1]]);
  }

  function base(plot, c) {
    return {
      animation: false, textStyle: { color: c.ink, fontFamily: c.font }, backgroundColor: "transparent",
      grid: { left: 42, right: 20, top: 34, bottom: 30, containLabel: true },
      tooltip: { renderMode: "richText", confine: true, backgroundColor: c.card, borderColor: c.line,
        textStyle: { color: c.ink, fontSize: 12 } },
      aria: { enabled: false },
      legend: { type: "scroll", top: 0, textStyle: { color: c.ink }, itemWidth: 22, pageTextStyle: { color: c.soft },
        inactiveColor: c.quiet },
      dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl",
        moveOnMouseWheel: false, moveOnMouseMove: !c.coarse, preventDefaultMouseMove: false,
        disabled: c.coarse || plot.type === "heat" || plot.type === "forest" }],
    };
  }

  // Crosses of intervals: [x, y, low, high, x_low, x_high].
  function crosses(s, style, axisIndex) {
    const data = s.x.map((x, i) => [x, s.y[i], s.low ? s.low[i] : NaN, s.high ? s.high[i] : NaN,
      s.x_low ? s.x_low[i] : NaN, s.x_high ? s.x_high[i] : NaN].map(gap));
    return { type: "custom", name: s.key, data, silent: true, clip: true, z: 1, yAxisIndex: axisIndex,
      itemStyle: { color: style.color }, encode: { x: 0, y: 1 },
      renderItem: (params, api) => {
        const v = (i) => api.value(i), lines = [], cap = 4;
        const draw = (a, b, vertical) => {
          const line = (x1, y1, x2, y2) => lines.push({ type: "line", shape: { x1, y1, x2, y2 },
            style: { stroke: style.color, lineWidth: 1.4, opacity: 0.75 } });
          line(a[0], a[1], b[0], b[1]);
          for (const p of [a, b]) {
            if (vertical) line(p[0] - cap, p[1], p[0] + cap, p[1]); else line(p[0], p[1] - cap, p[0], p[1] + cap);
          }
        };
        if (known(v(2)) && known(v(3)) && known(v(0))) draw(api.coord([v(0), v(2)]), api.coord([v(0), v(3)]), true);
        if (known(v(4)) && known(v(5)) && known(v(1))) draw(api.coord([v(4), v(1)]), api.coord([v(5), v(1)]), false);
        return { type: "group", children: lines };
      } };
  }

  function band(s, style, axisIndex) {
    const rows = s.x.map((x, i) => [x, s.low[i], s.high[i]]).filter((row) => row.every(known));
    return { type: "custom", name: s.key, data: rows.slice(0, 1), silent: true, clip: true, z: 0,
      yAxisIndex: axisIndex, itemStyle: { color: style.color }, encode: { x: 0, y: 1 },
      renderItem: (params, api) => ({ type: "polygon", style: { fill: style.color, opacity: 0.16 }, shape: { points: [
        ...rows.map((row) => api.coord([row[0], row[2]])), ...rows.slice().reverse().map((row) => api.coord([row[0], row[1]])),
      ] } }) };
  }

  function drawn(s, style) {
    const points = s.draw === "points" || s.draw === "line-points";
    const type = { points: "scatter", bars: "bar" }[s.draw] || "line";
    const many = s.x.length > 300;
    const own = { type, name: s.key, data: s.x.map((x, i) => [gap(x), gap(s.y[i])]), yAxisIndex: s.right ? 1 : 0,
      color: style.color, itemStyle: { color: style.color, opacity: type === "scatter" && many ? 0.45 : 1 },
      emphasis: { disabled: many }, z: s.role === "quiet" ? 2 : 3 };
    if (type === "line") {
      Object.assign(own, { showSymbol: points, symbol: style.symbol, symbolSize: 8, step: s.draw === "steps" ? "end" : false,
        connectNulls: false, lineStyle: { color: style.color, width: s.role === "quiet" ? 1 : 2, type: style.dash } });
    } else if (type === "scatter") {
      Object.assign(own, { symbol: style.symbol, symbolSize: many ? 4 : 9 });
    } else {
      own.barMaxWidth = 18;
    }
    return own;
  }

  // Lines and zones over the chart, carried by a series without data.
  function marked(marks, right, bounds, c) {
    const colours = { limit: c.bad, good: c.good, window: c.accent, knee: c.mid };
    const lines = [], areas = [];
    for (const m of marks) {
      const along = m.axis === "x" ? "xAxis" : "yAxis", [low, high] = m.axis === "x" ? bounds.x : bounds.y;
      const name = c.t(m.name), color = colours[m.kind];
      if (m.zone) {
        const from = m.start ?? low, to = m.end ?? high;
        if (to < low || from > high) continue;
        areas.push([{ [along]: Math.max(from, low), name, itemStyle: { color, opacity: 0.1 },
          label: { color: c.soft, fontSize: 11, position: m.axis === "x" ? "insideTop" : "insideBottomRight" } },
        { [along]: Math.min(to, high) }]);
      } else if (m.start !== null && m.start >= low && m.start <= high) {
        lines.push({ [along]: m.start, name, lineStyle: { color, width: 1.6, type: m.kind === "knee" ? "dotted" : "dashed" },
          label: { formatter: () => name, color: c.ink, fontSize: 11, position: m.axis === "x" ? "insideEndTop" : "insideStartTop" } });
      }
    }
    return { type: "line", name: "", data: [], silent: true, yAxisIndex: right ? 1 : 0, z: 1,
      markLine: { symbol: "none", silent: true, data: lines }, markArea: { silent: true, data: areas } };
  }

  function chart(p, c) {
    const option = base(p, c), log = p.x.scale === "log", linked = known(c.span[0]);
    p.series.forEach((s, i) => { s.key = c.t(s.name) || String(i + 1); });
    const at = (name) => p.marks.filter((m) => m.axis === name).flatMap((m) => [m.start, m.end]);
    const side = (right) => p.series.filter((s) => s.right === right).flatMap((s) => [s.y, s.low, s.high]);
    const xs = linked ? c.span : reach(p.series.flatMap((s) => [s.x, s.x_low, s.x_high]), at("x"), log);
    option.xAxis = { ...axis(p.x, xs, linked, c), nameGap: 26 };
    option.yAxis = [{ ...axis(p.y, reach(side(false), at("y"), p.y.scale === "log"), false, c), nameGap: 46 }];
    if (p.right) {
      const y = axis(p.right, reach(side(true), at("right"), p.right.scale === "log"), false, c);
      option.yAxis.push({ ...y, nameGap: 46, position: "right", splitLine: { show: false } });
      option.grid.right = 42;
    }
    for (const y of option.yAxis) if (c.narrow) y.nameTextStyle = { ...y.nameTextStyle, fontSize: 11 };
    option.series = [];
    styles(p.series, c).forEach((style, i) => {
      const s = p.series[i], line = s.draw === "line" || s.draw === "steps";
      option.series.push({ ...drawn(s, style), plotted: i });
      if (s.low && s.high && line) option.series.push(band(s, style, s.right ? 1 : 0));
      else if ((s.low && s.high) || (s.x_low && s.x_high)) option.series.push(crosses(s, style, s.right ? 1 : 0));
    });
    const x = [option.xAxis.min, option.xAxis.max], y = (i) => [option.yAxis[i].min, option.yAxis[i].max];
    const own = p.marks.filter((m) => m.axis !== "right"), right = p.marks.filter((m) => m.axis === "right");
    if (own.length) option.series.push(marked(own, false, { x, y: y(0) }, c));
    if (right.length && p.right) option.series.push(marked(right, true, { x, y: y(1) }, c));
    option.legend.data = p.series.map((s) => s.key);
    option.legend.show = p.series.length > 1;
    option.legend.icon = undefined;
    if (p.series.length < 2) option.grid.top = 18;
    else if (c.still) {  // on paper nobody turns the pages of a legend
      const rows = Math.ceil(option.legend.data.reduce((sum, name) => sum + 44 + 7 * name.length, 0) / (c.width - 40));
      Object.assign(option.legend, { type: "plain", left: 8, right: 8 });
      option.grid.top = 14 + 20 * rows;
    }
    tell(option, p, c);
    if (p.link) slider(option, c);
    return option;
  }

  function tell(option, p, c) {
    const lines = p.series.every((s) => s.draw !== "points" && !s.labels.length);
    const unit = (s) => (s.right && p.right ? p.right : p.y).unit;
    const of = (item) => {
      const s = p.series[option.series[item.seriesIndex].plotted];
      if (!s) return "";
      const y = s.y[item.dataIndex], low = s.low ? s.low[item.dataIndex] : NaN, high = s.high ? s.high[item.dataIndex] : NaN;
      const between = known(low) && known(high) ? ` [${figure(low)}, ${figure(high)}]` : "";
      return `${s.key}: ${figure(y)} ${unit(s)}${between}`;
    };
    const x = (item) => `${c.t(p.x.name)} ${figure(item.value[0])} ${p.x.unit}`;
    option.tooltip.trigger = lines ? "axis" : "item";
    option.tooltip.axisPointer = { type: lines ? "line" : "cross", label: { show: false } };
    option.tooltip.formatter = (given) => {
      const items = (Array.isArray(given) ? given : [given]).filter((item) => item.value && "plotted" in option.series[item.seriesIndex]);
      if (!items.length) return "";
      const label = items.length === 1 && p.series[option.series[items[0].seriesIndex].plotted].labels[items[0].dataIndex];
      return [...(label ? [c.t(label)] : []), x(items[0]), ...items.slice(0, 12).map(of)].join("\n");
    };
  }

  function slider(option, c) {
    option.grid.bottom = 62;
    option.dataZoom.push({ type: "slider", xAxisIndex: 0, filterMode: "none", height: 16, bottom: 8, showDetail: false,
      borderColor: c.line, fillerColor: c.shade, handleStyle: { color: c.accent }, showDataShadow: false,
      brushSelect: false });
  }

  function gantt(p, c) {
    const option = base(p, c), t = c.t, lanes = p.lane.reduce((most, lane) => Math.max(most, lane), 0) + 1;
    const above = -Math.max(1, 0.07 * lanes);  // room for what the marks are called
    const parts = [[t(["waiting in the client", "客户端等待"]), c.early], [t(["until the first token", "首个 token 之前"]), c.midtone],
      [t(["decoding", "解码"]), c.late], [t(["failed", "失败"]), c.bad]];
    const xs = known(c.span[0]) ? c.span : reach([p.planned, p.sent, p.end], [], false);
    option.xAxis = { ...axis(p.x, xs, known(c.span[0]), c), nameGap: 26 };
    option.yAxis = [{ type: "value", min: above, max: lanes, inverse: true, name: t(["slot", "并发槽位"]), nameLocation: "middle", nameGap: 46,
      nameTextStyle: { color: c.soft }, splitLine: { show: false }, minInterval: 1,
      axisLabel: { color: c.soft, showMinLabel: false, formatter: (v) => (v < 0 ? "" : figure(v)) } }];
    option.legend.data = parts.map(([name]) => name);
    const rows = p.lane.map((lane, i) => [p.planned[i], lane, p.sent[i], p.first[i], p.last[i], p.end[i], p.ok[i], i].map(gap));
    option.series = [{ type: "custom", name: parts[2][0], data: rows, clip: true, encode: { x: [0, 5], y: 1 }, plotted: 0,
      dimensions: ["planned", "lane", "sent", "first", "last", "end", "ok", "row"], itemStyle: { color: c.late },
      progressive: 4000, renderItem: (params, api) => bars(api, c) },
    ...parts.filter((_, i) => i !== 2).map(([name, color]) => ({ type: "custom", name, data: [], itemStyle: { color },
      renderItem: () => null }))];
    option.tooltip.formatter = (item) => {
      const i = item.data[7], ms = (a, b) => (known(a) && known(b) ? `${figure((b - a) * 1000)} ms` : "–");
      return [`${t(["request", "请求"])} ${p.index[i]}: ${p.label[i] || (p.ok[i] ? "ok" : t(["failed", "失败"]))}`,
        `${t(["sent at", "发送于"])} ${figure(p.sent[i])} s`, `${t(["first token after", "首 token"])} ${ms(p.sent[i], p.first[i])}`,
        `${t(["whole answer after", "完整回答"])} ${ms(p.sent[i], p.end[i])}`].join("\n");
    };
    for (const mark of [marked(p.marks.filter((m) => m.axis === "x"), false, { x: xs, y: [0, lanes] }, c)]) option.series.push(mark);
    slider(option, c);
    return option;
  }

  function bars(api, c) {
    const [planned, lane, sent, first, last, end, ok] = [0, 1, 2, 3, 4, 5, 6].map((i) => api.value(i));
    const height = Math.max(1, api.size([0, 1])[1]), top = api.coord([0, lane])[1], pad = height > 5 ? height * 0.12 : 0;
    const children = [];
    const bar = (from, to, fill) => {
      if (!known(from) || !known(to) || to < from) return;
      const x = api.coord([from, lane])[0], width = Math.max(api.coord([to, lane])[0] - x, 0.5);
      children.push({ type: "rect", shape: { x, y: top + pad, width, height: height - 2 * pad }, style: { fill } });
    };
    if (!ok) {
      bar(known(sent) ? sent : planned, known(end) ? end : sent, c.bad);
    } else {
      bar(planned, sent, c.early);
      const to = known(last) ? last : end;
      bar(sent, known(first) ? first : to, known(first) ? c.midtone : c.late);
      bar(first, to, c.late);
    }
    return { type: "group", children };
  }

  function heat(p, c) {
    const option = base(p, c), flat = p.values.flat().filter(known), rows = p.values.length, columns = rows ? p.values[0].length : 0;
    const low = Math.min(...flat), high = Math.max(...flat), cells = [];
    const edges = (all, i, n) => (all.length > n ? [all[i], all[i + 1]] : [all[i] - 0.5, all[i] + 0.5]);
    p.values.forEach((row, y) => row.forEach((v, x) => {
      if (known(v)) cells.push([...edges(p.x_edges, x, columns), ...edges(p.y_edges, y, rows), v, p.counts[y][x]]);
    }));
    const bounds = (i) => [Math.min(...cells.map((cell) => cell[i])), Math.max(...cells.map((cell) => cell[i + 1]))];
    option.xAxis = { ...axis(p.x, bounds(0), true, c), nameGap: 26, splitLine: { show: false } };
    option.yAxis = [{ ...axis(p.y, bounds(2), true, c), nameGap: 46, splitLine: { show: false } }];
    for (const [on, edged] of [[option.xAxis, p.x_edges], [option.yAxis[0], p.y_edges]]) {
      if (edged.length <= 12) on.axisTick.customValues = on.axisLabel.customValues = edged;
    }
    option.legend.show = false;
    option.grid.top = 18;
    option.grid.bottom = 62;
    const colours = p.low_is_good ? CIVIDIS.slice().reverse() : CIVIDIS;
    option.visualMap = { type: "continuous", min: low, max: high > low ? high : low + 1, dimension: 4, calculable: false, orient: "horizontal",
      left: "center", bottom: 4, itemHeight: 120, itemWidth: 10, text: [`${figure(high)} ${p.value.unit}`, figure(low)],
      textStyle: { color: c.soft }, inRange: { color: colours } };
    option.series = [{ type: "custom", data: cells, name: titled(p.value, c.t), encode: { x: [0, 1], y: [2, 3], value: 4 }, clip: true, plotted: 0,
      renderItem: (params, api) => {
        const [x1, x2, y1, y2, v, n] = [0, 1, 2, 3, 4, 5].map((i) => api.value(i));
        const a = api.coord([x1, y2]), b = api.coord([x2, y1]), width = b[0] - a[0], height = b[1] - a[1];
        const dark = p.low_is_good === (v - low < (high - low) * 0.55) ? "#1b1f24" : "#ffffff";
        const text = width > 46 && height > 26 ? [{ type: "text", style: { text: `${figure(v)}\nn ${figure(n)}`, x: a[0] + width / 2,
          y: a[1] + height / 2, align: "center", verticalAlign: "middle", fill: dark, fontSize: 11 } }] : [];
        return { type: "group", children: [{ type: "rect", shape: { x: a[0] + 0.5, y: a[1] + 0.5, width: width - 1, height: height - 1 },
          style: { fill: api.visual("color") } }, ...text] };
      } }];
    option.tooltip.formatter = (item) => {
      const [x1, x2, y1, y2, v, n] = item.data;
      return [`${c.t(p.x.name)} ${figure(x1)} – ${figure(x2)} ${p.x.unit}`, `${c.t(p.y.name)} ${figure(y1)} – ${figure(y2)} ${p.y.unit}`,
        `${c.t(p.value.name)} ${figure(v)} ${p.value.unit}`, `n = ${figure(n)}`].join("\n");
    };
    return option;
  }

  function forest(p, c) {
    const option = base(p, c), rows = p.rows.slice().reverse();
    const colours = { better: c.good, worse: c.bad, same: c.asked, unsure: c.mid, absent: c.quiet };
    const shapes = { better: "circle", worse: "triangle", same: "rect", unsure: "diamond", absent: "emptyCircle" };
    const words = { better: ["better", "变好"], worse: ["worse", "变差"], same: ["same", "相同"], unsure: ["unsure", "不确定"], absent: ["absent", "缺失"] };
    const ends = rows.flatMap((r) => [r.low, r.middle, r.high]).filter((v) => v !== null);
    const most = Math.max(p.threshold * 1.5, ...ends.map(Math.abs)) * 1.1;
    const edge = nice(-most, most);
    option.xAxis = { ...axis(p.x, edge, true, c), nameGap: 26 };
    option.xAxis.axisLabel.formatter = (v) => (v > 0 ? "+" : "") + figure(v);
    option.yAxis = [{ type: "category", data: rows.map((r) => c.t(r.name)), axisLabel: { color: c.ink, width: c.narrow ? 110 : 190, overflow: "break" },
      axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, splitLine: { show: false } }];
    const style = (r) => ({ color: colours[r.word] });
    option.series = Object.keys(words).filter((word) => rows.some((r) => r.word === word)).map((word) => ({ type: "scatter", name: c.t(words[word]),
      symbol: shapes[word], symbolSize: 11, itemStyle: { color: colours[word] }, plotted: 0, z: 3,
      data: rows.map((r, i) => [r.middle, i, i]).filter(([middle, i]) => middle !== null && rows[i].word === word) }));
    option.series.push({ type: "custom", silent: true, z: 2, data: rows.map((r, i) => [r.low, r.high, i]).filter((v) => v[0] !== null && v[1] !== null),
      encode: { x: [0, 1], y: 2 }, clip: true, renderItem: (params, api) => {
        const a = api.coord([api.value(0), api.value(2)]), b = api.coord([api.value(1), api.value(2)]);
        return { type: "line", shape: { x1: a[0], y1: a[1], x2: b[0], y2: b[1] },
          style: { stroke: style(rows[api.value(2)]).color, lineWidth: 3, opacity: 0.7 } };
      } });
    option.series.push({ type: "line", data: [], markLine: { symbol: "none", silent: true, label: { show: false },
      lineStyle: { color: c.ink, type: "solid", width: 1 }, data: [{ xAxis: 0 }] },
    markArea: { silent: true, itemStyle: { color: c.asked, opacity: 0.12 }, data: [[{ xAxis: -p.threshold }, { xAxis: p.threshold }]] } });
    option.legend.data = option.series.filter((s) => s.name).map((s) => s.name);
    option.tooltip.formatter = (item) => {
      const r = rows[item.data[2]];
      return [c.t(r.name), `${figure(r.middle)} ${p.x.unit} [${figure(r.low)}, ${figure(r.high)}]`, c.t(words[r.word]), r.text].join("\n");
    };
    return option;
  }

  return { decode, option: (plot, c) => ({ chart, gantt, heat, forest })[plot.type](plot, c) };
})();
